/* The state of a run of steps moves on. */
#include "device/cpu/cpu.h"

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
