/* FLOP and bytes of the CNN's layers against figures that were worked out by hand. */
#include "../check.h"
#include "model/layer.h"
#include "model/work.h"

#include <string.h>

static graph cnn;

static void expect(const char *layer, layer_pass_kind pass, double flop, double bytes) {
    for (int index = 0; index < cnn.layer_count; index++) {
        if (strcmp(cnn.layers[index].name, layer) != 0)
            continue;
        work found = layer_work(&cnn, index, pass, 64, DTYPE_F32);
        CHECK(found.flop == flop && found.bytes == bytes,
              "%s, pass %d: %.0f FLOP and %.0f bytes, expected %.0f and %.0f", layer, pass,
              found.flop, found.bytes, flop, bytes);
        return;
    }
    CHECK(false, "no layer %s", layer);
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
    layers_by_hand();
    whole_step();
    return check_done();
}
