/* FLOP and bytes of layers of the CNN and of ResNet-18 against figures that were worked out by
 * hand. */
#include "../check.h"
#include "model/layer.h"
#include "model/work.h"

#include <string.h>

static graph cnn, resnet;

static void expect_of(const graph *model, const char *layer, layer_pass_kind pass, double flop,
                      double bytes) {
    for (int index = 0; index < model->layer_count; index++) {
        if (strcmp(model->layers[index].name, layer) != 0)
            continue;
        work found = layer_work(model, index, pass, 64, DTYPE_F32);
        CHECK(found.flop == flop && found.bytes == bytes,
              "%s, pass %d: %.0f FLOP and %.0f bytes, expected %.0f and %.0f", layer, pass,
              found.flop, found.bytes, flop, bytes);
        return;
    }
    CHECK(false, "no layer %s", layer);
}

static void expect(const char *layer, layer_pass_kind pass, double flop, double bytes) {
    expect_of(&cnn, layer, pass, flop, bytes);
}

/* conv2: 64 x 16 x 16 pixels, 64 -> 128 channels, 3 x 3: 73,728 weights; x 4 MiB, y 8 MiB. */
static void layers_by_hand(void) {
    double conv2 = 2.0 * 64 * 256 * 73728, weights = 4.0 * 73728, mib = 1048576;
    expect("conv2", PASS_FORWARD, conv2, 12 * mib + weights);
    expect("conv2", PASS_BACKWARD_DATA, conv2, 12 * mib + weights);
    expect("conv2", PASS_BACKWARD_WEIGHTS, conv2, 12 * mib + weights);
    expect("conv1", PASS_BACKWARD_DATA, 0, 0); /* the images' gradient: nobody's */
    expect("pool1", PASS_FORWARD, 0, 20 * mib);
    expect("pool1", PASS_BACKWARD_DATA, 0, 24 * mib); /* dx, and y and dy of a quarter each */
    expect("pool1", PASS_BACKWARD_WEIGHTS, 0, 0);
    expect("fc1", PASS_FORWARD, 2.0 * 64 * 8192 * 512, 2 * mib + 16 * mib + 131072);
    check_case("layers of the CNN at batch 64");
}

/* At 224: tensors of 56 x 56 x 64 floats are 49 MiB, those of 112 x 112 x 64 196 MiB. */
static void norms_by_hand(void) {
    double mib = 1048576, part = 49 * mib, scale = 4.0 * 64;
    expect_of(&resnet, "layer1.0.bn1", PASS_FORWARD, 0, 2 * part + scale);
    expect_of(&resnet, "layer1.0.bn1", PASS_BACKWARD_WEIGHTS, 0, 2 * part + scale);
    expect_of(&resnet, "layer1.0.bn1", PASS_BACKWARD_DATA, 0, 3 * part + scale); /* dy, x, dx */
    expect_of(&resnet, "layer1.0.bn2", PASS_FORWARD, 0, 3 * part + scale);
    /* dy, y, x[0], and both gradients */
    expect_of(&resnet, "layer1.0.bn2", PASS_BACKWARD_DATA, 0, 5 * part + scale);
    expect_of(&resnet, "maxpool", PASS_FORWARD, 0, 5 * part);
    expect_of(&resnet, "avgpool", PASS_FORWARD, 0, 64.0 * 512 * 4 * (49 + 1));
    expect_of(&resnet, "conv1", PASS_FORWARD, 2.0 * 64 * 112 * 112 * 9408,
              64.0 * 224 * 224 * 3 * 4 + 4 * part + 4 * 9408);
    check_case("layers of ResNet-18 at batch 64");
}

/* torchvision gives 1.814 G multiplications and additions for an image's forward pass. */
static void resnet_forward(void) {
    double flop = 0;
    for (int layer = 0; layer < resnet.layer_count; layer++)
        flop += layer_work(&resnet, layer, PASS_FORWARD, 64, DTYPE_F32).flop / 64;
    CHECK(flop > 2 * 1.8135e9 && flop < 2 * 1.8145e9, "%.0f FLOP an image", flop);
    check_case("ResNet-18's forward pass");
}

/* 145.5 MFLOP an image; Adam reads and writes 28 bytes a parameter, its gradient among them. */
static void whole_step(void) {
    double flop = 0;
    for (int layer = 0; layer < cnn.layer_count; layer++)
        for (int pass = PASS_FORWARD; pass <= PASS_BACKWARD_WEIGHTS; pass++)
            flop += layer_work(&cnn, layer, (layer_pass_kind)pass, 64, DTYPE_F32).flop / 64;
    CHECK(flop > 145.45e6 && flop < 145.55e6, "%.0f FLOP an image", flop);
    CHECK(optimizer_work(&cnn, 2, DTYPE_F32).bytes == 28.0 * 4275594, "Adam");
    double weights = 1728 + 73728 + 4194304 + 5120;
    CHECK(optimizer_work(&cnn, 0, DTYPE_BF16).bytes == 12.0 * 4275594 + 2 * weights, "SGD, bf16");
    CHECK(data_work(&cnn, 64, DTYPE_BF16).bytes == 3.0 * 64 * 3072, "the batch");
    CHECK(loss_work(&cnn, 64, DTYPE_F32).bytes == 8.0 * 640, "the loss");
    check_case("the whole step");
}

int main(void) {
    ls_error error = {0};
    CHECK(model_build("cnn", 32, 32, 3, 10, &cnn, &error) == LS_OK, "%s", error.text);
    CHECK(model_build("resnet18", 224, 224, 3, 1000, &resnet, &error) == LS_OK, "%s", error.text);
    layers_by_hand();
    norms_by_hand();
    resnet_forward();
    whole_step();
    return check_done();
}
