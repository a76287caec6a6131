/* cosine: half a cosine from the rate down to the least over the whole run, by step (Loshchilov and
 * Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, equation 5, without
 * restarts; torch.optim.lr_scheduler.CosineAnnealingLR). */
#include "train/optim/schedule.h"

#include <math.h>
#include <stddef.h>

typedef struct cosine_settings {
    double least;
} cosine_settings;

static const option options[] = {{"least-learning-rate", OPTION_REAL,
                                  offsetof(cosine_settings, least), "X", "0", NULL, 0, 1e6,
                                  "End at this rate.", false},
                                 {0}};

static double rate(const void *own, const schedule_span *span, int64_t step) {
    const cosine_settings *settings = own;
    double way = (double)step / (double)span->steps;
    return settings->least + (span->peak - settings->least) * (1 + cos(M_PI * way)) / 2;
}

static void describe(const void *own, text_buffer *out) {
    text_add(out, "cosine to %g", ((const cosine_settings *)own)->least);
}

const schedule_rule schedule_cosine = {.name = "cosine",
                                       .options = options,
                                       .heading = "Schedule cosine",
                                       .rate = rate,
                                       .describe = describe};
