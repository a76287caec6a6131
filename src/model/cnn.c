/* The CNN of the speedup table: two 3x3 convolutions, each with ReLU and 2x2 max pooling, then two
 * linear layers. At 32 x 32 x 3 and 10 classes: 4,275,594 parameters. */
#include "model/models.h"

int model_cnn(graph *g, int height, int width, int channels, int classes) {
    int x = graph_input(g, height, width, channels);
    x = graph_conv2d(g, "conv1", x, 64, 3, 1, 1, ACTIVATION_RELU);
    x = graph_maxpool2d(g, "pool1", x, 2, 2, 0);
    x = graph_conv2d(g, "conv2", x, 128, 3, 1, 1, ACTIVATION_RELU);
    x = graph_maxpool2d(g, "pool2", x, 2, 2, 0);
    x = graph_linear(g, "fc1", x, 512, ACTIVATION_RELU);
    return graph_linear(g, "fc2", x, classes, ACTIVATION_NONE);
}
