/* Mixing a batch's samples with each other: mixup (Zhang et al., "mixup: Beyond Empirical Risk
 * Minimization", ICLR 2018) and CutMix (Yun et al., ICCV 2019), as timm's Mixup does in its mode
 * "batch" with prob 1 and switch_prob 0.5: one draw a step for the whole batch.
 *
 * Where both are asked for, a step does one of them, each as often as the other. The weight is
 * drawn from Beta(alpha, alpha). mixup: each sample becomes weight * itself + (1 - weight) * its
 * partner. CutMix: a box whose sides are sqrt(1 - weight) of the image's (in whole pixels, rounded
 * down), around a pixel from anywhere, cut off at the borders, comes from the partner; the weight
 * is then what is left of the image's own area. The target is weight of the sample's label and 1 -
 * weight of its partner's, both smoothed.
 *
 * Partners: timm's of position p in a batch of B is B - 1 - p, of the rank's own batch. Here p is
 * the position in the step's batch over all ranks, and its partner is p ^ 1, or itself where that
 * is not in the batch: both come from a shuffled order, and any share of the batch needs at most
 * two samples more, so that no rank, lane or micro-batch waits for another. The partner is mixed in
 * as it is augmented itself.
 *
 * The draw is a pure function of (seed, step): with b(i) = random_block(seed, RANDOM_MIXING, step,
 * i), of b(0) value 0 chooses (cut where it is less than 2^31), 1 and 2 are the row and the column
 * of the box's middle; the weight takes b(1), b(2), ... until one is accepted. */
#ifndef LOCKSTEP_DEVICE_MIXING_H
#define LOCKSTEP_DEVICE_MIXING_H

#include "device/op.h"
#include "device/step_state.h"

typedef struct mixing {
    uint64_t seed;
    double mixup, cutmix; /* alphas; 0: not done */
} mixing;

static inline bool mixing_is_on(const mixing *self) {
    return self->mixup > 0 || self->cutmix > 0;
}

/* Of a step. */
typedef struct mixing_draw {
    bool cut;
    double weight;                /* of a sample's own label */
    int top, bottom, left, right; /* the box [top, bottom) x [left, right), where cut */
} mixing_draw;

mixing_draw mixing_draw_of(const mixing *self, int64_t step, int height, int width);

/* A part of a step's batch: samples that stand side by side in it. */
typedef struct mix_arguments {
    mixing how;
    const step_state *state; /* device memory: of the step */
    int64_t first;           /* the part's first position in the step's batch over all ranks */
    int64_t global_count;    /* samples of that batch */
    int count, height, width, channels;
    tensor_layout layout;
    dtype type;
    void *images;          /* [count, h, w, c] in `layout`, mixed where they lie */
    const int32_t *labels; /* [count] */
    /* The partners of the first and of the last sample, where they are not in the part. */
    const void *before, *after;
    int32_t before_label, after_label;
    int32_t *other_labels; /* [count], written: the partners' */
    float *weights;        /* [count], written: of a sample's own label */
} mix_arguments;

/* Elements of a sample in a layout, with what is added to make whole planes or vectors. */
static inline size_t mixing_sample_elements(tensor_layout layout, int height, int width,
                                            int channels) {
    int lanes = layout_plane_channels(layout);
    int lying = lanes ? (channels + lanes - 1) / lanes * lanes : layout_channels(layout, channels);
    return (size_t)height * (size_t)width * (size_t)lying;
}

/* Whether sample `first`, or the last one, has its partner outside of the part. */
static inline bool mixes_with_before(int64_t first) {
    return first % 2 != 0;
}
static inline bool mixes_with_after(int64_t first, int64_t count, int64_t global_count) {
    return (first + count) % 2 != 0 && first + count < global_count;
}

#endif
