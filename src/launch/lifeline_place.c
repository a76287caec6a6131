/* Places in a run: which of two ranks is further, and what a line says about where one was. */
#include "base/signals.h"
#include "launch/lifeline_state.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

int place_phase_order(const place *where) {
    static const char *const order[] = {"", "set-up", "warm-up", "training", "evaluation"};
    for (int index = 0; index < (int)(sizeof order / sizeof order[0]); index++)
        if (strcmp(where->phase, order[index]) == 0)
            return index;
    return OTHER_PHASE;
}

int place_compare(const place *a, const place *b) {
    bool a_before = place_phase_order(a) <= WARM_UP, b_before = place_phase_order(b) <= WARM_UP;
    if (a_before != b_before)
        return a_before ? -1 : 1;
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    if (place_phase_order(a) != place_phase_order(b))
        return place_phase_order(a) < place_phase_order(b) ? -1 : 1;
    return (a->step > b->step) - (a->step < b->step);
}

void lifeline_describe_place(const place *where, char *out, size_t capacity) {
    bool has_steps = where->epoch > 0; /* set-up and warm-up have none */
    if (!where->phase[0])
        out[0] = '\0';
    else if (!has_steps)
        snprintf(out, capacity, " in %s", where->phase);
    else
        snprintf(out, capacity, " in %s, epoch %lld, step %lld", where->phase,
                 (long long)where->epoch, (long long)where->step);
}

int lifeline_describe_signal(int signal_number, const place *where, char *out, size_t capacity) {
    char at[96];
    lifeline_describe_place(where, at, sizeof at);
    snprintf(out, capacity, "interrupted by %s%s", signals_name(signal_number), at);
    return signals_exit_code(signal_number);
}
