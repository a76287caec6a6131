/* Layer normalisation as its definition has it: a row's mean, then the variance around it. `saved`
 * holds two doubles a row: the mean and the inverse standard deviation. */
#include "device/kinds/layernorm.h"
#include "device/ref/ref.h"

#include <math.h>

const op_kind op_layernorm = {"layernorm"};

typedef struct ref_layernorm_plan {
    plan base;
    layernorm_shape shape;
} ref_layernorm_plan;

typedef struct row_state {
    double mean, inverse;
} row_state;

static const layernorm_shape *shape_of(const plan *self) {
    return &((const ref_layernorm_plan *)self)->shape;
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const layernorm_shape *shape = wanted;
    LS_TRY(ref_check_type("layernorm", shape->type, error));
    ((ref_layernorm_plan *)self)->shape = *shape;
    self->again = AGAIN_CHEAP;
    self->saved_bytes = (size_t)shape->rows * sizeof(row_state);
    text_add(&self->description, "ref");
    return LS_OK;
}

static row_state state_of(const layernorm_shape *shape, const void *x, size_t row) {
    size_t channels = (size_t)shape->channels;
    double sum = 0, squares = 0;
    for (size_t c = 0; c < channels; c++)
        sum += ref_load(shape->type, x, row * channels + c);
    double mean = sum / (double)channels;
    for (size_t c = 0; c < channels; c++) {
        double away = ref_load(shape->type, x, row * channels + c) - mean;
        squares += away * away;
    }
    return (row_state){mean, 1 / sqrt(squares / (double)channels + shape->epsilon)};
}

static double normalised(const layernorm_shape *shape, const op_arguments *a, const row_state *of,
                         size_t index) {
    return (ref_load(shape->type, a->x[0], index) - of->mean) * of->inverse;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const layernorm_shape *shape = shape_of(self);
    size_t channels = (size_t)shape->channels;
    for (size_t row = 0; row < (size_t)shape->rows; row++) {
        row_state of = state_of(shape, a->x[0], row);
        for (size_t c = 0; c < channels; c++) {
            size_t index = row * channels + c;
            ref_store(shape->type, a->y, index,
                      normalised(shape, a, &of, index) * (double)a->parameters[0][c] +
                          (double)a->parameters[1][c]);
        }
        if (a->training)
            ((row_state *)a->saved)[row] = of;
    }
    return LS_OK;
}

static int backward_parameters(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const layernorm_shape *shape = shape_of(self);
    size_t channels = (size_t)shape->channels;
    for (size_t c = 0; c < channels; c++) {
        double sum = 0, product = 0;
        for (size_t row = 0; row < (size_t)shape->rows; row++) {
            size_t index = row * channels + c;
            double dy = ref_load(shape->type, a->dy, index);
            sum += dy;
            product += dy * normalised(shape, a, &((const row_state *)a->saved)[row], index);
        }
        a->gradients[0][c] = (float)product;
        a->gradients[1][c] = (float)sum;
    }
    return LS_OK;
}

/* With g = dy * gamma: dx = (g - the mean of g - normalised x * the mean of g * normalised x) /
 * std.
 */
static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const layernorm_shape *shape = shape_of(self);
    size_t channels = (size_t)shape->channels;
    for (size_t row = 0; row < (size_t)shape->rows; row++) {
        const row_state *of = &((const row_state *)a->saved)[row];
        double sum = 0, product = 0;
        for (size_t c = 0; c < channels; c++) {
            size_t index = row * channels + c;
            double g = ref_load(shape->type, a->dy, index) * (double)a->parameters[0][c];
            sum += g;
            product += g * normalised(shape, a, of, index);
        }
        for (size_t c = 0; c < channels; c++) {
            size_t index = row * channels + c;
            double g = ref_load(shape->type, a->dy, index) * (double)a->parameters[0][c];
            double away = g - sum / (double)channels -
                          normalised(shape, a, of, index) * product / (double)channels;
            ref_store(shape->type, a->dx[0], index, away * of->inverse);
        }
    }
    return LS_OK;
}

const op ref_layernorm = {
    .kind = &op_layernorm,
    .plan_bytes = sizeof(ref_layernorm_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
