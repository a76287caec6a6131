/* Max pooling with window = stride and no padding; rows and columns that no whole window covers
 * take no part (their gradient is zero). `saved` holds one byte an output, in the output's layout:
 * the winner's position in its window, row by row. */
#include "device/ref/ref.h"

#include <string.h>

static ref_shape input_of(const maxpool2d_shape *shape) {
    return (ref_shape){shape->n, shape->height, shape->width, shape->channels};
}

static ref_shape output_of(const maxpool2d_shape *shape) {
    return (ref_shape){shape->n, shape->height / shape->window, shape->width / shape->window,
                       shape->channels};
}

int ref_maxpool2d_prepare(device *self, const maxpool2d_shape *shape, plan **out, ls_error *error) {
    (void)self;
    LS_TRY(ref_check_type("maxpool2d", shape->type, error));
    /* 16 x 16 = 256 positions is what a byte can tell apart. */
    if (shape->window < 1 || shape->window > 16 || shape->window > shape->height ||
        shape->window > shape->width)
        return ls_fail(error, LS_FAILED,
                       "device ref: maxpool2d: expected a window of 1 to 16 inside %d x %d, found "
                       "%d",
                       shape->height, shape->width, shape->window);
    return ref_plan_new(&(ref_plan){.op = REF_MAXPOOL2D, .maxpool2d = *shape}, out, error);
}

size_t ref_maxpool2d_saved_bytes(const maxpool2d_shape *shape) {
    return ref_elements(shape->out_layout, output_of(shape));
}

/* The first winner's position in the window of output (oh, ow). */
static int winner_of(const maxpool2d_shape *shape, const void *x, int n, int oh, int ow, int c) {
    int window = shape->window, best = 0;
    double best_value = 0;
    for (int position = 0; position < window * window; position++) {
        int h = oh * window + position / window, w = ow * window + position % window;
        double value =
            ref_load(shape->type, x, ref_index_of(shape->in_layout, input_of(shape), n, h, w, c));
        if (position == 0 || value > best_value) {
            best = position;
            best_value = value;
        }
    }
    return best;
}

/* Where the input element at `position` of the window of output (oh, ow) lies. */
static size_t input_index(const maxpool2d_shape *shape, int position, int n, int oh, int ow,
                          int c) {
    int h = oh * shape->window + position / shape->window;
    int w = ow * shape->window + position % shape->window;
    return ref_index_of(shape->in_layout, input_of(shape), n, h, w, c);
}

int ref_maxpool2d_forward(plan *plan, device_stream *stream, const void *x, void *y, void *saved,
                          ls_error *error) {
    (void)stream, (void)error;
    const maxpool2d_shape *shape = &ref_plan_of(plan)->maxpool2d;
    ref_shape output = output_of(shape);
    uint8_t *positions = saved;
    for (int n = 0; n < output.n; n++)
        for (int oh = 0; oh < output.height; oh++)
            for (int ow = 0; ow < output.width; ow++)
                for (int c = 0; c < output.channels; c++) {
                    size_t index = ref_index_of(shape->out_layout, output, n, oh, ow, c);
                    int position = winner_of(shape, x, n, oh, ow, c);
                    ref_store(shape->type, y, index,
                              ref_load(shape->type, x, input_index(shape, position, n, oh, ow, c)));
                    if (positions)
                        positions[index] = (uint8_t)position;
                }
    return LS_OK;
}

int ref_maxpool2d_backward(plan *plan, device_stream *stream, const void *dy, const void *y,
                           const void *saved, void *dx, ls_error *error) {
    (void)stream, (void)error;
    const maxpool2d_shape *shape = &ref_plan_of(plan)->maxpool2d;
    ref_shape output = output_of(shape);
    const uint8_t *positions = saved;
    memset(dx, 0, ref_elements(shape->in_layout, input_of(shape)) * dtype_bytes(shape->type));
    for (int n = 0; n < output.n; n++)
        for (int oh = 0; oh < output.height; oh++)
            for (int ow = 0; ow < output.width; ow++)
                for (int c = 0; c < output.channels; c++) {
                    size_t index = ref_index_of(shape->out_layout, output, n, oh, ow, c);
                    /* The winner is y, so y tells whether the ReLU before let it through. */
                    if (shape->relu_input && !(ref_load(shape->type, y, index) > 0))
                        continue;
                    ref_store(shape->type, dx, input_index(shape, positions[index], n, oh, ow, c),
                              ref_load(shape->type, dy, index));
                }
    return LS_OK;
}
