/* Global average pooling against sums in double, forward and backward. */
#include "device/kinds/avgpool2d.h"
#include "op_trial.h"

#include <stdlib.h>

static void one_shape(subject *s, const avgpool2d_shape *shape, uint64_t stream) {
    dims input = {shape->n, shape->height, shape->width, shape->channels};
    size_t count = dims_count(input), channels = (size_t)shape->channels;
    size_t pixels = (size_t)shape->height * (size_t)shape->width, outputs = count / pixels;
    float *x = random_values(s, count, stream, -1, 1);
    float *dy = random_values(s, outputs, stream + 1, -1, 1);
    float *y = floats(outputs), *dx = floats(count);
    for (size_t o = 0; o < outputs; o++) {
        double sum = 0;
        for (size_t p = 0; p < pixels; p++) {
            size_t at = (o / channels * pixels + p) * channels + o % channels;
            sum += (double)x[at];
            dx[at] = (float)((double)dy[o] / (double)pixels);
        }
        y[o] = (float)(sum / (double)pixels);
    }
    op_results got = op_try(s, &(op_trial){.kind = &op_avgpool2d,
                                           .shape = shape,
                                           .x = {trial_image(shape->in_layout, input, x)},
                                           .dy = trial_flat(outputs, dy)});
    expect_close_stored(s, "y", got.y, y, outputs, sum_tolerance(pixels) / (double)pixels);
    expect_close_stored(s, "dx", got.dx[0], dx, count, 0x1p-23 / (double)pixels);
    free(x), free(dy), free(y), free(dx);
    op_results_free(&got);
    case_done(s, "avgpool2d [%d,%d,%d,%d] %s", shape->n, shape->height, shape->width,
              shape->channels, layout_name(shape->in_layout));
}

void test_avgpool2d(subject *s, subject *ref) {
    static const int shapes[][4] = {{3, 7, 7, 512}, {1, 2, 2, 64}, {33, 1, 1, 512}, {5, 15, 15, 48},
                                    {2, 9, 4, 5},   {7, 7, 7, 70}, {2, 56, 56, 16}};
    bool any = s->device->facts.host_addressable;
    (void)ref;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *d = shapes[i];
        avgpool2d_shape shape = {.n = d[0],
                                 .height = d[1],
                                 .width = d[2],
                                 .channels = d[3],
                                 .in_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, d[3]),
                                 .type = s->type};
        one_shape(s, &shape, 9900 + 2 * i);
        for (int layout = 0; any && d[3] % 16 == 0 && layout < LAYOUT_COUNT; layout++) {
            shape.in_layout = (tensor_layout)layout;
            one_shape(s, &shape, 9900 + 2 * i);
        }
    }
}
