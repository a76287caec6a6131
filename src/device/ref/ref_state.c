/* The state of a run of steps: the verdict on its gradients, moving it on, the gradients' norm. */
#include "device/ref/ref.h"

#include <math.h>

int ref_check_finite(device *self, device_stream *stream, const float *values, size_t count,
                     step_state *state, ls_error *error) {
    (void)self, (void)stream, (void)error;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            state->overflow = 1;
    return LS_OK;
}

int ref_advance(device *self, device_stream *stream, step_state *state, int64_t images,
                bool updated, bool scaling, ls_error *error) {
    (void)self, (void)stream, (void)error;
    state->cursor += images;
    if (updated && state->overflow) {
        state->skipped += 1;
        state->loss_scale /= 2;
        state->good_steps = 0;
    } else if (updated) {
        state->step += 1;
        if (scaling && ++state->good_steps == LOSS_SCALE_GROWTH_STEPS) {
            state->loss_scale *= 2;
            state->good_steps = 0;
        }
    }
    state->overflow = 0;
    return LS_OK;
}

int ref_sums_of_squares(device *self, device_stream *stream, const float *values, size_t count,
                        double *out, ls_error *error) {
    (void)self, (void)stream, (void)error;
    for (size_t i = 0; i < count; i++) {
        double *sum = &out[i / SQUARES_GRAIN];
        double square = (double)values[i] * (double)values[i];
        *sum = i % SQUARES_GRAIN == 0 ? square : *sum + square;
    }
    return LS_OK;
}

int ref_clip_norm(device *self, device_stream *stream, const double *sums, size_t count,
                  double most, step_state *state, ls_error *error) {
    (void)self, (void)stream, (void)error;
    double squares = 0;
    for (size_t grain = 0; grain < count; grain++)
        squares += sums[grain];
    state->gradient_norm = sqrt(squares) / (double)state->loss_scale;
    state->clip = 1;
    if (state->overflow)
        return LS_OK;
    state->gradient_norm_sum += state->gradient_norm;
    double clip = most / (state->gradient_norm + 1e-6);
    if (most > 0 && !(clip > 1))
        state->clip = (float)clip;
    return LS_OK;
}
