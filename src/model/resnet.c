/* Residual networks (He et al., "Deep Residual Learning for Image Recognition", 2015) as
 * torchvision has them, with its names of tensors and its beginnings: 64 channels, doubled with
 * each halving of the image, in four stages; in a bottleneck the stride is the 3 x 3 convolution's.
 * With 1000 classes: resnet18 has 11,689,512 parameters, resnet34 21,797,672, resnet50 25,557,032.
 * resnet18-small has a stem for images of 32 or 64 pixels: 3 x 3 and no pooling. */
#include "model/layer_name.h"
#include "model/models.h"

#include <stdio.h>

typedef struct resnet {
    int blocks[4]; /* of each stage */
    bool bottleneck;
    bool small;
} resnet;

/* A convolution that keeps the image's size but for its stride. */
static int conv(graph *g, const char *block, const char *part, int x, int channels, int kernel,
                int stride) {
    return graph_conv2d_unbiased(g, name_of(block, part).text, x, channels, kernel, stride,
                                 kernel / 2);
}

static int norm(graph *g, const char *block, const char *part, int x, int added,
                activation activation) {
    return graph_batchnorm2d(g, name_of(block, part).text, x, added, activation);
}

/* What the branch is added to: x, or where the shape changes its projection. */
static int shortcut(graph *g, const char *block, int x, int channels, int stride) {
    if (g->error.code != LS_OK || (stride == 1 && g->tensors[x].channels == channels))
        return x;
    x = conv(g, block, "downsample.0", x, channels, 1, stride);
    return norm(g, block, "downsample.1", x, -1, ACTIVATION_NONE);
}

static int basic_block(graph *g, const char *name, int x, int channels, int stride) {
    int kept = shortcut(g, name, x, channels, stride);
    int y = conv(g, name, "conv1", x, channels, 3, stride);
    y = norm(g, name, "bn1", y, -1, ACTIVATION_RELU);
    y = conv(g, name, "conv2", y, channels, 3, 1);
    return norm(g, name, "bn2", y, kept, ACTIVATION_RELU);
}

static int bottleneck_block(graph *g, const char *name, int x, int channels, int stride) {
    int kept = shortcut(g, name, x, 4 * channels, stride);
    int y = conv(g, name, "conv1", x, channels, 1, 1);
    y = norm(g, name, "bn1", y, -1, ACTIVATION_RELU);
    y = conv(g, name, "conv2", y, channels, 3, stride);
    y = norm(g, name, "bn2", y, -1, ACTIVATION_RELU);
    y = conv(g, name, "conv3", y, 4 * channels, 1, 1);
    return norm(g, name, "bn3", y, kept, ACTIVATION_RELU);
}

static int stem(graph *g, const resnet *of, int x) {
    x = of->small ? graph_conv2d_unbiased(g, "conv1", x, 64, 3, 1, 1)
                  : graph_conv2d_unbiased(g, "conv1", x, 64, 7, 2, 3);
    x = graph_batchnorm2d(g, "bn1", x, -1, ACTIVATION_RELU);
    return of->small ? x : graph_maxpool2d(g, "maxpool", x, 3, 2, 1);
}

static int build(graph *g, const resnet *of, int height, int width, int channels, int classes) {
    int x = stem(g, of, graph_input(g, height, width, channels));
    for (int stage = 0; stage < 4; stage++)
        for (int block = 0; block < of->blocks[stage]; block++) {
            char name[32];
            snprintf(name, sizeof name, "layer%d.%d", stage + 1, block);
            graph_begin_block(g);
            x = (of->bottleneck ? bottleneck_block : basic_block)(g, name, x, 64 << stage,
                                                                  stage > 0 && block == 0 ? 2 : 1);
            graph_end_block(g);
        }
    x = graph_avgpool2d(g, "avgpool", x);
    return graph_linear(g, "fc", x, classes, ACTIVATION_NONE);
}

int model_resnet18(graph *g, int height, int width, int channels, int classes) {
    return build(g, &(resnet){.blocks = {2, 2, 2, 2}}, height, width, channels, classes);
}

int model_resnet34(graph *g, int height, int width, int channels, int classes) {
    return build(g, &(resnet){.blocks = {3, 4, 6, 3}}, height, width, channels, classes);
}

int model_resnet50(graph *g, int height, int width, int channels, int classes) {
    return build(g, &(resnet){.blocks = {3, 4, 6, 3}, .bottleneck = true}, height, width, channels,
                 classes);
}

int model_resnet18_small(graph *g, int height, int width, int channels, int classes) {
    return build(g, &(resnet){.blocks = {2, 2, 2, 2}, .small = true}, height, width, channels,
                 classes);
}
