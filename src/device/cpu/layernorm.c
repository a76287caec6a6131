/* Layer normalisation: how its rows (layernorm.h) are shared out. Backward passes over x and dy
 * once, for both the input's gradient and the parameters', whose sums are added up afterwards: of
 * tiles of rows that are the shape's alone, in their order and in double, so that the bits are the
 * same on any number of threads. */
#include "device/cpu/layernorm.h"

#include "device/cpu/cpu.h"

typedef struct layernorm_plan {
    plan base;
    layernorm_shape shape;
    size_t tile; /* rows */
    int tiles;
} layernorm_plan;

enum { LEAST_TILE = 32, MOST_TILES = 256 };

static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    layernorm_plan *self = (layernorm_plan *)base;
    const layernorm_shape *shape = wanted;
    size_t rows = (size_t)shape->rows, fits = (rows + MOST_TILES - 1) / MOST_TILES;
    LS_TRY(cpu_check_type("layernorm", shape->type, error));
    self->shape = *shape;
    self->tile = fits < LEAST_TILE ? LEAST_TILE : fits;
    self->tiles = (int)((rows + self->tile - 1) / self->tile);
    base->again = AGAIN_CHEAP;
    base->saved_bytes = 2 * rows * sizeof(float);
    plan_need_workspace(base, 2 * (size_t)self->tiles * (size_t)shape->channels * sizeof(float));
    text_add(&base->description, "loop");
    return LS_OK;
}

static layernorm_job job_of(const layernorm_plan *self, const op_arguments *a) {
    float *saved = a->saved;
    return (layernorm_job){.shape = self->shape,
                           .x = a->x[0],
                           .dy = a->dy,
                           .y = a->y,
                           .dx = a->dx[0],
                           .gamma = a->parameters[0],
                           .beta = a->parameters[1],
                           .mean = saved,
                           .inverse = saved + self->shape.rows};
}

static size_t tile_end(const layernorm_plan *self, int tile) {
    size_t end = ((size_t)tile + 1) * self->tile, rows = (size_t)self->shape.rows;
    return end < rows ? end : rows;
}

static int forward(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    const layernorm_plan *self = (const layernorm_plan *)base;
    layernorm_job job = job_of(self, a);
#pragma omp parallel for schedule(static)
    for (int tile = 0; tile < self->tiles; tile++)
        cpu_layernorm_forward(&job, (size_t)tile * self->tile, tile_end(self, tile));
    return LS_OK;
}

static void add_up(const layernorm_plan *self, const op_arguments *a, size_t channel) {
    size_t channels = (size_t)self->shape.channels;
    for (int which = 0; which < 2; which++) {
        const float *partial = (const float *)a->workspace + (size_t)which * channels + channel;
        double sum = 0;
        for (int tile = 0; tile < self->tiles; tile++)
            sum += (double)partial[2 * (size_t)tile * channels];
        a->gradients[which][channel] = (float)sum;
    }
}

static int backward_parameters(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    const layernorm_plan *self = (const layernorm_plan *)base;
    layernorm_job job = job_of(self, a);
    size_t channels = (size_t)self->shape.channels;
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int tile = 0; tile < self->tiles; tile++)
            cpu_layernorm_backward(&job, (size_t)tile * self->tile, tile_end(self, tile),
                                   (float *)a->workspace + 2 * (size_t)tile * channels);
#pragma omp for schedule(static)
        for (size_t channel = 0; channel < channels; channel++)
            add_up(self, a, channel);
    }
    return LS_OK;
}

/* backward_parameters has written it. */
static int backward_inputs(plan *base, const op_arguments *a, ls_error *error) {
    (void)base, (void)a, (void)error;
    return LS_OK;
}

const op cpu_layernorm = {
    .kind = &op_layernorm,
    .plan_bytes = sizeof(layernorm_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
