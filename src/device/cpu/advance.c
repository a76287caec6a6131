/* The state of a run of steps: its gradients' norm, and moving it on. */
#include "device/cpu/cpu.h"

#include <math.h>

int cpu_advance(device *self, device_stream *stream, step_state *state, int64_t images,
                bool updated, bool scaling, ls_error *error) {
    (void)self, (void)stream, (void)error;
    state->cursor += images;
    if (updated && state->overflow) {
        state->skipped++;
        state->loss_scale /= 2;
        state->good_steps = 0;
    } else if (updated) {
        state->step++;
        if (scaling && ++state->good_steps == LOSS_SCALE_GROWTH_STEPS) {
            state->loss_scale *= 2;
            state->good_steps = 0;
        }
    }
    state->overflow = 0;
    return LS_OK;
}

int cpu_clip_norm(device *self, device_stream *stream, const double *sums, size_t count,
                  double most, step_state *state, ls_error *error) {
    (void)self, (void)stream, (void)error;
    double squares = 0;
    for (size_t grain = 0; grain < count; grain++)
        squares += sums[grain];
    double norm = sqrt(squares) / (double)state->loss_scale;
    state->gradient_norm = norm;
    state->clip = 1;
    if (state->overflow)
        return LS_OK;
    state->gradient_norm_sum += norm;
    if (most > 0 && !(most / (norm + 1e-6) > 1))
        state->clip = (float)(most / (norm + 1e-6));
    return LS_OK;
}
