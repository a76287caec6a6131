/* Adam and SGD over ranges of the flat arrays, each element in double and rounded when stored.
 * This device packs no weights, so a range's `packing` asks for nothing. */
#include "device/ref/ref.h"

#include <math.h>

/* The sum that an all-reduce would have left there: of two in fp32. */
static double gradient_at(const float *gradients, const float *added, size_t i) {
    return added ? (double)(gradients[i] + added[i]) : (double)gradients[i];
}

static void adam_range(const adam_arguments *a, const parameter_range *range) {
    double beta1 = (double)a->beta1, beta2 = (double)a->beta2;
    double number = (double)(a->state->step + 1), loss_scale = (double)a->state->loss_scale;
    double correction1 = 1 - pow(beta1, number), correction2 = 1 - pow(beta2, number);
    for (size_t i = range->first; i < range->first + range->count; i++) {
        double weight = (double)a->parameters[i];
        double gradient = gradient_at(a->gradients, a->added, i) / loss_scale +
                          (double)range->weight_decay * weight;
        double first = beta1 * (double)a->first_moment[i] + (1 - beta1) * gradient;
        double second = beta2 * (double)a->second_moment[i] + (1 - beta2) * gradient * gradient;
        double scale = sqrt(second) / sqrt(correction2) + (double)a->epsilon;
        weight -= (double)range->learning_rate / correction1 * first / scale;
        a->first_moment[i] = (float)first;
        a->second_moment[i] = (float)second;
        a->parameters[i] = (float)weight;
        if (a->copied)
            a->copied[i] = a->parameters[i];
    }
}

int ref_adam(device *self, device_stream *stream, const adam_arguments *arguments,
             const parameter_range *ranges, int range_count, ls_error *error) {
    (void)self, (void)stream, (void)error;
    for (int r = 0; !arguments->state->overflow && r < range_count; r++)
        adam_range(arguments, &ranges[r]);
    return LS_OK;
}

static void sgd_range(const sgd_arguments *a, const parameter_range *range) {
    for (size_t i = range->first; i < range->first + range->count; i++) {
        double weight = (double)a->parameters[i];
        double update = gradient_at(a->gradients, a->added, i) / (double)a->state->loss_scale +
                        (double)range->weight_decay * weight;
        if (a->velocity) {
            if (a->state->step > 0)
                update += (double)a->momentum * (double)a->velocity[i];
            a->velocity[i] = (float)update;
        }
        a->parameters[i] = (float)(weight - (double)range->learning_rate * update);
        if (a->copied)
            a->copied[i] = a->parameters[i];
    }
}

int ref_sgd(device *self, device_stream *stream, const sgd_arguments *arguments,
            const parameter_range *ranges, int range_count, ls_error *error) {
    (void)self, (void)stream, (void)error;
    for (int r = 0; !arguments->state->overflow && r < range_count; r++)
        sgd_range(arguments, &ranges[r]);
    return LS_OK;
}
