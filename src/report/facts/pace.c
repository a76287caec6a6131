#include "report/facts/pace.h"

#include <math.h>

static const double steady_share = 0.8, slow_share = 0.5;
enum { FEWEST_STEPS = 20 };

bool is_straggler(const rank_pace *pace) {
    double steps = (double)pace->steps;
    return pace->steps >= FEWEST_STEPS && (double)pace->longer_steps >= steady_share * steps &&
           (double)pace->slow_steps >= slow_share * steps;
}

double rank_excess(const rank_pace *pace) {
    return pace->own_seconds / pace->others_seconds - 1;
}

double straggler_cost_seconds(const rank_epoch *ranks, int count) {
    double least = INFINITY;
    bool any = false;
    for (int rank = 0; rank < count; rank++)
        if (is_straggler(&ranks[rank].pace))
            any = true;
        else
            least = fmin(least, ranks[rank].phases.waiting);
    return any && isfinite(least) ? least : NAN;
}
