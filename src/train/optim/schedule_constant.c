/* constant: --learning-rate at every step. */
#include "train/optim/schedule.h"

static double rate(const void *own, const schedule_span *span, int64_t step) {
    (void)own, (void)step;
    return span->peak;
}

const schedule_rule schedule_constant = {.name = "constant", .stays = true, .rate = rate};
