/* Updates over ranges of the flat arrays, each element in double and rounded when stored. This
 * device packs no weights, so a range's `packing` asks for nothing. */
#include "device/ref/ref.h"

#include <math.h>

/* What a rule sees of element i: of two arrays the sum that an all-reduce would have left there, in
 * fp32. */
static double gradient_at(const update_arguments *a, const update_pair *pair, size_t i) {
    double g =
        pair && pair->added ? (double)(a->gradients[i] + pair->added[i]) : (double)a->gradients[i];
    double limit = (double)a->clip_value;
    g /= (double)a->state->loss_scale;
    if (a->clips)
        g *= (double)a->state->clip;
    if (limit > 0 && g > limit)
        return limit;
    return limit > 0 && g < -limit ? -limit : g;
}

static double rate_of(const update_arguments *a, const parameter_range *range) {
    int64_t step = step_state_number(a->state);
    float rate = a->rates[step < a->rate_count ? step : a->rate_count - 1];
    return (double)(rate * range->rate_scale);
}

static void store(const update_arguments *a, const update_pair *pair, size_t i, double weight) {
    a->parameters[i] = (float)weight;
    if (pair && pair->copied)
        pair->copied[i] = a->parameters[i];
}

static void adam_range(const adam_constants *c, const update_arguments *a, const update_pair *pair,
                       const parameter_range *range) {
    double beta1 = (double)c->beta1, beta2 = (double)c->beta2;
    double number = (double)(a->state->step + 1);
    double correction1 = 1 - pow(beta1, number), correction2 = 1 - pow(beta2, number);
    double rate = rate_of(a, range), decay = (double)range->weight_decay;
    for (size_t i = range->first; i < range->first + range->count; i++) {
        double weight = (double)a->parameters[i], gradient = gradient_at(a, pair, i);
        if (c->decoupled)
            weight *= 1 - rate * decay;
        else
            gradient += decay * weight;
        double first = beta1 * (double)a->moments[0][i] + (1 - beta1) * gradient;
        double second = beta2 * (double)a->moments[1][i] + (1 - beta2) * gradient * gradient;
        double scale = sqrt(second) / sqrt(correction2) + (double)c->epsilon;
        a->moments[0][i] = (float)first;
        a->moments[1][i] = (float)second;
        store(a, pair, i, weight - rate / correction1 * first / scale);
    }
}

int ref_adam_pair(device *self, device_stream *stream, const adam_constants *constants,
                  const update_arguments *arguments, const update_pair *pair,
                  const parameter_range *ranges, int range_count, ls_error *error) {
    (void)self, (void)stream, (void)error;
    for (int r = 0; !arguments->state->overflow && r < range_count; r++)
        adam_range(constants, arguments, pair, &ranges[r]);
    return LS_OK;
}

int ref_adam(device *self, device_stream *stream, const adam_constants *constants,
             const update_arguments *arguments, const parameter_range *ranges, int range_count,
             ls_error *error) {
    return ref_adam_pair(self, stream, constants, arguments, NULL, ranges, range_count, error);
}

static void sgd_range(const sgd_constants *c, const update_arguments *a, const update_pair *pair,
                      const parameter_range *range) {
    double momentum = (double)c->momentum, rate = rate_of(a, range);
    float *velocity = a->moments[0];
    for (size_t i = range->first; i < range->first + range->count; i++) {
        double weight = (double)a->parameters[i];
        double gradient = gradient_at(a, pair, i) + (double)range->weight_decay * weight;
        double change = gradient;
        if (velocity) {
            if (a->state->step > 0)
                change += momentum * (double)velocity[i];
            velocity[i] = (float)change;
        }
        if (velocity && c->nesterov)
            change = gradient + momentum * change;
        store(a, pair, i, weight - rate * change);
    }
}

int ref_sgd_pair(device *self, device_stream *stream, const sgd_constants *constants,
                 const update_arguments *arguments, const update_pair *pair,
                 const parameter_range *ranges, int range_count, ls_error *error) {
    (void)self, (void)stream, (void)error;
    for (int r = 0; !arguments->state->overflow && r < range_count; r++)
        sgd_range(constants, arguments, pair, &ranges[r]);
    return LS_OK;
}

int ref_sgd(device *self, device_stream *stream, const sgd_constants *constants,
            const update_arguments *arguments, const parameter_range *ranges, int range_count,
            ls_error *error) {
    return ref_sgd_pair(self, stream, constants, arguments, NULL, ranges, range_count, error);
}

int ref_average(device *self, device_stream *stream, const float *values, float *average,
                size_t count, double decay, const step_state *state, ls_error *error) {
    (void)self, (void)stream, (void)error;
    for (size_t i = 0; !state->overflow && i < count; i++) {
        double before = (double)average[i], value = (double)values[i];
        average[i] = (float)(state->step == 0 ? value : before + (1 - decay) * (value - before));
    }
    return LS_OK;
}
