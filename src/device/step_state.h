/* What a device keeps in its own memory from step to step, read and written by ops (device/ops.h).
 * C and C++: kernels include it. */
#ifndef LOCKSTEP_DEVICE_STEP_STATE_H
#define LOCKSTEP_DEVICE_STEP_STATE_H

#include <stdint.h>

/* Accumulated on the device over an epoch; read when it is asked for. */
typedef struct loss_totals {
    double loss_sum; /* sum over samples of the cross-entropy, in nats */
    int64_t correct; /* argmax equals the label (the lowest index wins a tie) */
    int64_t samples;
    /* Of evaluation, where no gradient is written: samples whose label has one of the five largest
     * logits (of equal ones the lower class comes first). */
    int64_t among_five;
    int64_t lost_step; /* step of the run (1, 2, ...) at which loss_sum came to be no finite number;
                          0: it is one, or its steps have no step_state */
} loss_totals;

/* What changes from step to step, in device memory, so that a recorded step can be replayed. One
 * for training and one for evaluation; ops read it, and `advance` moves it on. */
typedef struct step_state {
    int64_t step;       /* updates made (skipped ones left out): this update is number step + 1 */
    int64_t cursor;     /* position of the next batch in batch_arguments.order */
    int64_t epoch;      /* 1, 2, ...: augmentation draws anew */
    int64_t skipped;    /* updates left out because a gradient was not finite */
    int32_t good_steps; /* updates since loss_scale changed */
    int32_t overflow;   /* not 0: a gradient of this step is not finite; no update is made */
    float loss_scale;   /* the loss's gradient is multiplied by it; 1 where nothing is scaled */
    /* What ops.clip_norm left; 0 where it is never called. */
    float clip;               /* at most 1: this step's gradients are multiplied by it */
    double gradient_norm;     /* of this step, before clipping, without the loss scale */
    double gradient_norm_sum; /* of all steps whose gradients were finite */
} step_state;

/* A word in pinned host memory that a kernel of the step writes on its way, for a watcher on the
 * host. */
typedef struct progress_word {
    uint32_t *at; /* NULL: none is written */
    uint32_t value;
} progress_word;

/* Steps of the run before this one, skipped ones too: a schedule ends with the run. (Kernels have
 * it written out.) */
static inline int64_t step_state_number(const step_state *state) {
    return state->step + state->skipped;
}

/* Fewer logits than this come before the label's where it is counted by among_five. */
enum { LOSS_PLACES = 5 };

/* What the loss does after it has added. NULL: steps without numbers. */
static inline void loss_totals_look(loss_totals *totals, const step_state *state) {
    double difference = totals->loss_sum - totals->loss_sum;
    if (difference != 0 && totals->lost_step == 0 && state)
        totals->lost_step = step_state_number(state) + 1;
}

/* Dynamic loss scaling (Micikevicius et al., "Mixed Precision Training", ICLR 2018, section 3.2;
 * the constants are those of PyTorch's GradScaler). */
enum { LOSS_SCALE_INITIAL = 65536, LOSS_SCALE_GROWTH_STEPS = 2000 };

#endif
