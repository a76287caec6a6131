/* Global average pooling. */
#include "device/kinds/avgpool2d.h"
#include "device/ref/ref.h"

const op_kind op_avgpool2d = {"avgpool2d"};

typedef struct ref_avgpool2d_plan {
    plan base;
    avgpool2d_shape shape;
} ref_avgpool2d_plan;

static const avgpool2d_shape *shape_of(const plan *self) {
    return &((const ref_avgpool2d_plan *)self)->shape;
}

static ref_shape input_of(const avgpool2d_shape *shape) {
    return (ref_shape){shape->n, shape->height, shape->width, shape->channels};
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const avgpool2d_shape *shape = wanted;
    LS_TRY(ref_check_type("avgpool2d", shape->type, error));
    ((ref_avgpool2d_plan *)self)->shape = *shape;
    text_add(&self->description, "ref");
    return LS_OK;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const avgpool2d_shape *shape = shape_of(self);
    ref_shape input = input_of(shape);
    for (int n = 0; n < input.n; n++)
        for (int c = 0; c < input.channels; c++) {
            double sum = 0;
            for (int h = 0; h < input.height; h++)
                for (int w = 0; w < input.width; w++)
                    sum += ref_load(shape->type, a->x[0],
                                    ref_index_of(shape->in_layout, input, n, h, w, c));
            ref_store(shape->type, a->y, (size_t)n * (size_t)input.channels + (size_t)c,
                      sum / ((double)input.height * input.width));
        }
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const avgpool2d_shape *shape = shape_of(self);
    ref_shape input = input_of(shape);
    for (int n = 0; n < input.n; n++)
        for (int h = 0; h < input.height; h++)
            for (int w = 0; w < input.width; w++)
                for (int c = 0; c < input.channels; c++)
                    ref_store(shape->type, a->dx[0],
                              ref_index_of(shape->in_layout, input, n, h, w, c),
                              ref_load(shape->type, a->dy,
                                       (size_t)n * (size_t)input.channels + (size_t)c) /
                                  ((double)input.height * input.width));
    return LS_OK;
}

const op ref_avgpool2d = {
    .kind = &op_avgpool2d,
    .plan_bytes = sizeof(ref_avgpool2d_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
