/* one-cycle: up from a fraction of the rate to it, then down to next to nothing, both along a
 * cosine (Smith and Topin, "Super-Convergence", 2018; torch.optim.lr_scheduler.OneCycleLR with two
 * phases, its momentum left as it is). */
#include "train/optim/schedule.h"

#include <math.h>
#include <stddef.h>

typedef struct one_cycle_settings {
    double rise, first_divisor, last_divisor;
} one_cycle_settings;

static const option options[] = {
    {"one-cycle-rise", OPTION_REAL, offsetof(one_cycle_settings, rise), "X", "0.3", NULL, 0, 1,
     "Rise during this share of the steps.", false},
    {"one-cycle-first-divisor", OPTION_REAL, offsetof(one_cycle_settings, first_divisor), "X", "25",
     NULL, 1, 1e9, "Begin at the rate divided by this.", false},
    {"one-cycle-last-divisor", OPTION_REAL, offsetof(one_cycle_settings, last_divisor), "X",
     "10000", NULL, 1, 1e12, "End at the first rate divided by this.", false},
    {0}};

static double along_cosine(double from, double to, double way) {
    return to + (from - to) / 2 * (1 + cos(M_PI * way));
}

static double rate(const void *own, const schedule_span *span, int64_t step) {
    const one_cycle_settings *settings = own;
    double first = span->peak / settings->first_divisor, last = first / settings->last_divisor;
    double top = settings->rise * (double)span->steps - 1, end = (double)span->steps - 1;
    double at = (double)step;
    if (at <= top)
        return along_cosine(first, span->peak, top > 0 ? at / top : 1);
    return along_cosine(span->peak, last, end > top ? (at - top) / (end - top) : 1);
}

static void describe(const void *own, text_buffer *out) {
    const one_cycle_settings *settings = own;
    text_add(out, "one-cycle, up for %g of the steps from 1/%g, down to 1/%g", settings->rise,
             settings->first_divisor, settings->first_divisor * settings->last_divisor);
}

const schedule_rule schedule_one_cycle = {.name = "one-cycle",
                                          .options = options,
                                          .heading = "Schedule one-cycle",
                                          .warms_up = true,
                                          .rate = rate,
                                          .describe = describe};
