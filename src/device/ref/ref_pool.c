/* Max pooling; rows and columns that no window covers take no part (their gradient is zero).
 * `saved` holds one byte an output, in the output's layout: the winner's position in its window,
 * row by row. */
#include "device/kinds/maxpool2d.h"
#include "device/ref/ref.h"

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
    return (ref_shape){shape->n, maxpool2d_output(shape, shape->height),
                       maxpool2d_output(shape, shape->width), shape->channels};
}

/* 16 x 16 = 256 positions is what a byte can tell apart. */
int maxpool2d_check(const plan *plan, const maxpool2d_shape *shape, ls_error *error) {
    int most_height = shape->height + 2 * shape->padding;
    int most_width = shape->width + 2 * shape->padding;
    if (shape->stride < 0 || shape->padding < 0 || shape->padding > shape->window / 2)
        return ls_fail(
            error, LS_FAILED,
            "device %s: maxpool2d: expected a stride from 1 on and a padding of 0 to half "
            "the window of %d, found %d and %d",
            plan->device->is->name, shape->window, maxpool2d_stride(shape), shape->padding);
    if (shape->window < 1 || shape->window > 16 || shape->window > most_height ||
        shape->window > most_width)
        return ls_fail(
            error, LS_FAILED,
            "device %s: maxpool2d: expected a window of 1 to 16 inside %d x %d, found %d",
            plan->device->is->name, most_height, most_width, shape->window);
    return LS_OK;
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const maxpool2d_shape *shape = wanted;
    LS_TRY(ref_check_type("maxpool2d", shape->type, error));
    LS_TRY(maxpool2d_check(self, shape, error));
    ((ref_maxpool2d_plan *)self)->shape = *shape;
    self->saved_bytes = ref_elements(shape->out_layout, output_of(shape));
    text_add(&self->description, "ref");
    return LS_OK;
}

/* The input element at `position` of the window of output (oh, ow); false: it is padding. */
static bool input_at(const maxpool2d_shape *shape, int position, int n, int oh, int ow, int c,
                     size_t *index) {
    int h = oh * maxpool2d_stride(shape) + position / shape->window - shape->padding;
    int w = ow * maxpool2d_stride(shape) + position % shape->window - shape->padding;
    if (h < 0 || h >= shape->height || w < 0 || w >= shape->width)
        return false;
    *index = ref_index_of(shape->in_layout, input_of(shape), n, h, w, c);
    return true;
}

/* The first winner's position in the window of output (oh, ow), and where it lies. */
static int winner_of(const maxpool2d_shape *shape, const void *x, int n, int oh, int ow, int c,
                     size_t *winner) {
    int best = -1;
    double best_value = 0;
    for (int position = 0; position < shape->window * shape->window; position++) {
        size_t index;
        if (!input_at(shape, position, n, oh, ow, c, &index))
            continue;
        double value = ref_load(shape->type, x, index);
        if (best < 0 || value > best_value) {
            best = position;
            best_value = value;
            *winner = index;
        }
    }
    return best;
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
                    size_t winner = 0;
                    int position = winner_of(shape, x, n, oh, ow, c, &winner);
                    ref_store(shape->type, a->y, index, ref_load(shape->type, x, winner));
                    if (positions)
                        positions[index] = (uint8_t)position;
                }
    return LS_OK;
}

/* The windows along one side that hold a row or column: *first to the one before the result. */
static int windows_with(const maxpool2d_shape *shape, int at, int outputs, int *first) {
    int stride = maxpool2d_stride(shape), place = at + shape->padding;
    int before = place - shape->window; /* the last row or column of those that end before it */
    *first = before < 0 ? 0 : before / stride + 1;
    return place / stride < outputs ? place / stride + 1 : outputs;
}

/* The sum of what the windows that (h, w) won hand down. */
static double backward_sum(const maxpool2d_shape *shape, const op_arguments *a, int n, int h, int w,
                           int c) {
    const uint8_t *positions = a->saved;
    ref_shape output = output_of(shape);
    int stride = maxpool2d_stride(shape), down, right;
    int end_down = windows_with(shape, h, output.height, &down);
    double sum = 0;
    for (; down < end_down; down++) {
        int row = h + shape->padding - down * stride;
        int end_right = windows_with(shape, w, output.width, &right);
        for (; right < end_right; right++) {
            int position = row * shape->window + w + shape->padding - right * stride;
            size_t index = ref_index_of(shape->out_layout, output, n, down, right, c);
            /* The winner is y, so y tells whether the ReLU before let it through. */
            bool passes = !shape->relu_input || ref_load(shape->type, a->y, index) > 0;
            if (passes && positions[index] == position)
                sum += ref_load(shape->type, a->dy, index);
        }
    }
    return sum;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const maxpool2d_shape *shape = shape_of(self);
    ref_shape input = input_of(shape);
    for (int n = 0; n < input.n; n++)
        for (int h = 0; h < input.height; h++)
            for (int w = 0; w < input.width; w++)
                for (int c = 0; c < input.channels; c++)
                    ref_store(shape->type, a->dx[0],
                              ref_index_of(shape->in_layout, input, n, h, w, c),
                              backward_sum(shape, a, n, h, w, c));
    return LS_OK;
}

const op ref_maxpool2d = {
    .kind = &op_maxpool2d,
    .plan_bytes = sizeof(ref_maxpool2d_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
