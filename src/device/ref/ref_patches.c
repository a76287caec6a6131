/* Patches of an image: each value moved to its place. */
#include "device/kinds/patches.h"
#include "device/ref/ref.h"

#include <string.h>

const op_kind op_patches = {"patches"};

typedef struct ref_patches_plan {
    plan base;
    patches_shape shape;
} ref_patches_plan;

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const patches_shape *shape = wanted;
    LS_TRY(ref_check_type("patches", shape->type, error));
    ((ref_patches_plan *)self)->shape = *shape;
    text_add(&self->description, "ref");
    return LS_OK;
}

/* Where value [n, h, w, c] of the image lies among the patches. */
static size_t in_patches(const patches_shape *s, int n, int h, int w, int c) {
    size_t side = (size_t)s->side, across = (size_t)(s->width / s->side);
    size_t patch = (size_t)(h / s->side) * across + (size_t)(w / s->side);
    size_t within = ((size_t)(h % s->side) * side + (size_t)(w % s->side)) * (size_t)s->channels;
    return ((size_t)n * patches_count(s) + patch) * side * side * (size_t)s->channels + within +
           (size_t)c;
}

static void move_pixel(const patches_shape *s, bool back, size_t image, size_t patch,
                       const void *from, void *to) {
    size_t bytes = dtype_bytes(s->type), target = back ? image : patch;
    memcpy((char *)to + target * bytes, (const char *)from + (back ? patch : image) * bytes, bytes);
}

/* image -> patches, or back. */
static void move_patches(const patches_shape *s, bool back, const void *from, void *to) {
    ref_shape tensor = {s->n, s->height, s->width, s->channels};
    for (int n = 0; n < s->n; n++)
        for (int h = 0; h < s->height; h++)
            for (int w = 0; w < s->width; w++)
                for (int c = 0; c < s->channels; c++)
                    move_pixel(s, back, ref_index_of(s->in_layout, tensor, n, h, w, c),
                               in_patches(s, n, h, w, c), from, to);
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    move_patches(&((ref_patches_plan *)self)->shape, false, a->x[0], a->y);
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    move_patches(&((ref_patches_plan *)self)->shape, true, a->dy, a->dx[0]);
    return LS_OK;
}

const op ref_patches = {
    .kind = &op_patches,
    .plan_bytes = sizeof(ref_patches_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
