// The end of a step: the contract of ops.advance, for one thread behind all that reads the state.
#ifndef LOCKSTEP_CUDA_KERNELS_ADVANCE_CUH
#define LOCKSTEP_CUDA_KERNELS_ADVANCE_CUH

#include "cuda/kernels/kernels.h"
#include "cuda/kernels/launch.cuh"

__device__ static inline void advance_state(step_state *state, int64_t images, bool updated,
                                            bool scaling) {
    state->cursor += images;
    if (updated && state->overflow) {
        state->skipped += 1;
        state->good_steps = 0;
        state->loss_scale *= 0.5f;
    } else if (updated) {
        state->step += 1;
        if (scaling && ++state->good_steps == LOSS_SCALE_GROWTH_STEPS) {
            state->good_steps = 0;
            state->loss_scale *= 2.0f;
        }
    }
    state->overflow = 0;
}

// For a watcher on the host, whose memory `shown` is.
__device__ static inline void show_state(const step_state *state, step_state *shown) {
    *shown = *state;
    __threadfence_system();
}

#endif
