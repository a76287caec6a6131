/* sgd: a step along the gradient, with momentum and Nesterov's look ahead where asked
 * (device/update.h). */
#include "train/optim/rule.h"

#include <stddef.h>

typedef struct sgd_settings {
    double momentum;
    bool nesterov;
} sgd_settings;

static const option options[] = {
    {"momentum", OPTION_REAL, offsetof(sgd_settings, momentum), "X", "0", NULL, 0, 0.999999,
     "Keep this share of the last step's velocity.", false},
    {"nesterov", OPTION_FLAG, offsetof(sgd_settings, nesterov), NULL, NULL, NULL, 0, 0,
     "Step from where the velocity leads (with --momentum).", false},
    {0}};

static int check(const void *own, ls_error *error) {
    const sgd_settings *settings = own;
    if (settings->nesterov && settings->momentum == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--nesterov looks ahead by the momentum: found it without --momentum (give "
                       "--momentum 0.9)");
    return LS_OK;
}

static const char *const *moments(const void *own) {
    static const char *const names[] = {"momentum_buffer", NULL};
    bool has = ((const sgd_settings *)own)->momentum != 0;
    return has ? names : names + 1;
}

static bool pairs(const struct ops *ops) {
    return ops->sgd_pair != NULL;
}

static int update(const void *own, const rule_update *u, ls_error *error) {
    const sgd_settings *settings = own;
    const ops *ops = u->device->is->ops;
    sgd_constants constants = {.momentum = (float)settings->momentum,
                               .nesterov = settings->nesterov};
    if (u->pair.added || u->pair.copied)
        return ops->sgd_pair(u->device, u->stream, &constants, &u->arguments, &u->pair, u->ranges,
                             u->range_count, error);
    return ops->sgd(u->device, u->stream, &constants, &u->arguments, u->ranges, u->range_count,
                    error);
}

static double momentum(const void *own) {
    return ((const sgd_settings *)own)->momentum;
}

const optimizer_rule rule_sgd = {
    .name = "sgd",
    .options = options,
    .heading = "Optimizer sgd",
    .check = check,
    .moments = moments,
    .update = update,
    .pairs = pairs,
    .momentum = momentum,
};
