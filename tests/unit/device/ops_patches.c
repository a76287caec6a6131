/* Patches of an image, forward and backward, to the bit, in every layout. */
#include "device/kinds/patches.h"
#include "op_trial.h"

#include <stdlib.h>

/* Where value i of a canonical image lies among the patches. */
static size_t place_of(const patches_shape *s, size_t i) {
    size_t channels = (size_t)s->channels, width = (size_t)s->width, height = (size_t)s->height;
    size_t side = (size_t)s->side, c = i % channels, column = i / channels % width;
    size_t row = i / channels / width % height, n = i / channels / width / height;
    size_t patch = (n * (height / side) + row / side) * (width / side) + column / side;
    return ((patch * side + row % side) * side + column % side) * channels + c;
}

static void one_shape(subject *s, const patches_shape *shape, uint64_t stream) {
    dims image = {shape->n, shape->height, shape->width, shape->channels};
    size_t count = dims_count(image);
    float *x = random_values(s, count, stream, -1, 1);
    float *dy = random_values(s, count, stream + 1, -1, 1);
    float *y = floats(count), *dx = floats(count);
    for (size_t i = 0; i < count; i++) {
        y[place_of(shape, i)] = x[i];
        dx[i] = dy[place_of(shape, i)];
    }
    op_results got = op_try(s, &(op_trial){.kind = &op_patches,
                                           .shape = shape,
                                           .x = {trial_image(shape->in_layout, image, x)},
                                           .dy = trial_flat(count, dy)});
    expect_equal("y", got.y, y, count);
    expect_equal("dx", got.dx[0], dx, count);
    free(x), free(dy), free(y), free(dx), op_results_free(&got);
    case_done(s, "patches of %d in [%d,%d,%d,%d] %s", shape->side, shape->n, shape->height,
              shape->width, shape->channels, layout_name(shape->in_layout));
}

void test_patches(subject *s, subject *ref) {
    static const int shapes[][5] = {{2, 32, 32, 3, 8},
                                    {3, 28, 14, 3, 14},
                                    {1, 16, 16, 3, 16},
                                    {5, 8, 12, 1, 4},
                                    {2, 6, 4, 16, 2}};
    (void)ref;
    if (subject_lacks(s, &op_patches))
        return;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *d = shapes[i];
        tensor_layout chosen = subject_layout(s, LAYOUT_ROLE_INPUT, d[3]);
        patches_shape shape = {.n = d[0],
                               .height = d[1],
                               .width = d[2],
                               .channels = d[3],
                               .side = d[4],
                               /* A network's patches take no channels that are padded. */
                               .in_layout = chosen == LAYOUT_NHWC_PADDED ? LAYOUT_NHWC : chosen,
                               .type = s->type};
        one_shape(s, &shape, 14000 + 2 * i);
        for (int layout = 0; s->device->facts.host_addressable && layout < LAYOUT_COUNT; layout++) {
            shape.in_layout = (tensor_layout)layout;
            if (d[3] % 16 == 0 || !layout_plane_channels(shape.in_layout))
                one_shape(s, &shape, 14000 + 2 * i);
        }
    }
}
