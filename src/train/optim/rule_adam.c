/* adam: Kingma and Ba's rule (device/update.h), the decay added to the gradient. Its options serve
 * adamw too. */
#include "train/optim/adam_family.h"

#include <stddef.h>

static const option options[] = {
    {"beta1", OPTION_REAL, offsetof(adam_settings, beta1), "X", "0.9", NULL, 0, 0.9999999,
     "Keep this share of the mean gradient at each step.", false},
    {"beta2", OPTION_REAL, offsetof(adam_settings, beta2), "X", "0.999", NULL, 0, 0.9999999,
     "Keep this share of the mean squared gradient at each step.", false},
    {"epsilon", OPTION_REAL, offsetof(adam_settings, epsilon), "X", "1e-08", NULL, 1e-30, 1,
     "Add this to the root of the mean squared gradient.", false},
    {0}};

const char *const *adam_family_moments(const void *own) {
    static const char *const names[] = {"exp_avg", "exp_avg_sq", NULL};
    (void)own;
    return names;
}

bool adam_family_pairs(const struct ops *ops) {
    return ops->adam_pair != NULL;
}

int adam_family_update(const adam_settings *settings, bool decoupled, const rule_update *u,
                       ls_error *error) {
    const ops *ops = u->device->is->ops;
    adam_constants constants = {.beta1 = (float)settings->beta1,
                                .beta2 = (float)settings->beta2,
                                .epsilon = (float)settings->epsilon,
                                .decoupled = decoupled};
    if (u->pair.added || u->pair.copied)
        return ops->adam_pair(u->device, u->stream, &constants, &u->arguments, &u->pair, u->ranges,
                              u->range_count, error);
    return ops->adam(u->device, u->stream, &constants, &u->arguments, u->ranges, u->range_count,
                     error);
}

static int update(const void *own, const rule_update *update, ls_error *error) {
    return adam_family_update(own, false, update, error);
}

const optimizer_rule rule_adam = {
    .name = "adam",
    .options = options,
    .heading = "Optimizer adam or adamw",
    .moments = adam_family_moments,
    .update = update,
    .pairs = adam_family_pairs,
};
