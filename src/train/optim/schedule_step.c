/* step: the rate falls by a factor every so many epochs (torch.optim.lr_scheduler.StepLR). */
#include "train/optim/schedule.h"

#include <math.h>
#include <stddef.h>

typedef struct step_settings {
    int64_t epochs;
    double gamma;
} step_settings;

static const option options[] = {
    {"step-epochs", OPTION_INTEGER, offsetof(step_settings, epochs), "N", "30", NULL, 1, 100000,
     "Lower the rate every N epochs.", false},
    {"step-gamma", OPTION_REAL, offsetof(step_settings, gamma), "X", "0.1", NULL, 1e-6, 1,
     "Multiply the rate by this each time.", false},
    {0}};

static double rate(const void *own, const schedule_span *span, int64_t step) {
    const step_settings *settings = own;
    int64_t epoch = step / span->steps_an_epoch;
    return span->peak * pow(settings->gamma, (double)(epoch / settings->epochs));
}

static void describe(const void *own, text_buffer *out) {
    const step_settings *settings = own;
    text_add(out, "step, times %g every %lld epochs", settings->gamma, (long long)settings->epochs);
}

const schedule_rule schedule_step = {.name = "step",
                                     .options = options,
                                     .heading = "Schedule step",
                                     .rate = rate,
                                     .describe = describe};
