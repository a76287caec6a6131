/* Max pooling with window = stride and no padding; rows and columns that no whole window covers
 * take no part (their gradient is zero). `saved` holds one byte an output, in the output's layout:
 * the winner's position in its window, row by row. */
#include "device/kinds/maxpool2d.h"
#include "device/ref/ref.h"

#include <string.h>

const op_kind op_maxpool2d = {"maxpool2d"};

typedef struct ref_maxpool2d_plan {
    plan base;
    maxpool2d_shape shape;
} ref_maxpool2d_plan;

static const maxpool2d_shape *shape_of(const plan *self) {
    return &((const ref_maxpool2d_plan *)self)->shape;
}

static ref_shape input_of(const maxpool2d_shape *shape) {
    return (ref_shape){shape->n, shape->height, shape->width, shape->channels};
}

static ref_shape output_of(const maxpool2d_shape *shape) {
    return (ref_shape){shape->n, shape->height / shape->window, shape->width / shape->window,
                       shape->channels};
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const maxpool2d_shape *shape = wanted;
    LS_TRY(ref_check_type("maxpool2d", shape->type, error));
    /* 16 x 16 = 256 positions is what a byte can tell apart. */
    if (shape->window < 1 || shape->window > 16 || shape->window > shape->height ||
        shape->window > shape->width)
        return ls_fail(error, LS_FAILED,
                       "device ref: maxpool2d: expected a window of 1 to 16 inside %d x %d, found "
                       "%d",
                       shape->height, shape->width, shape->window);
    ((ref_maxpool2d_plan *)self)->shape = *shape;
    self->saved_bytes = ref_elements(shape->out_layout, output_of(shape));
    text_add(&self->description, "ref");
    return LS_OK;
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

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const maxpool2d_shape *shape = shape_of(self);
    const void *x = a->x[0];
    ref_shape output = output_of(shape);
    uint8_t *positions = a->saved;
    for (int n = 0; n < output.n; n++)
        for (int oh = 0; oh < output.height; oh++)
            for (int ow = 0; ow < output.width; ow++)
                for (int c = 0; c < output.channels; c++) {
                    size_t index = ref_index_of(shape->out_layout, output, n, oh, ow, c);
                    int position = winner_of(shape, x, n, oh, ow, c);
                    ref_store(shape->type, a->y, index,
                              ref_load(shape->type, x, input_index(shape, position, n, oh, ow, c)));
                    if (positions)
                        positions[index] = (uint8_t)position;
                }
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const maxpool2d_shape *shape = shape_of(self);
    void *dx = a->dx[0];
    ref_shape output = output_of(shape);
    const uint8_t *positions = a->saved;
    memset(dx, 0, ref_elements(shape->in_layout, input_of(shape)) * dtype_bytes(shape->type));
    for (int n = 0; n < output.n; n++)
        for (int oh = 0; oh < output.height; oh++)
            for (int ow = 0; ow < output.width; ow++)
                for (int c = 0; c < output.channels; c++) {
                    size_t index = ref_index_of(shape->out_layout, output, n, oh, ow, c);
                    /* The winner is y, so y tells whether the ReLU before let it through. */
                    if (shape->relu_input && !(ref_load(shape->type, a->y, index) > 0))
                        continue;
                    ref_store(shape->type, dx, input_index(shape, positions[index], n, oh, ow, c),
                              ref_load(shape->type, a->dy, index));
                }
    return LS_OK;
}

const op ref_maxpool2d = {
    .kind = &op_maxpool2d,
    .plan_bytes = sizeof(ref_maxpool2d_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
