#include "input/thread_search.h"

#include <math.h>

static const double waits_share = 0.02, gain = 1.02, loss = 0.98, spare = 1.25;

void thread_search_start(thread_search *self, int first, int most) {
    *self = (thread_search){.threads = first < most ? first : most, .least = 1, .most = most};
    self->settled = most <= 1;
}

static bool waits(const thread_window *seen) {
    return seen->waited_seconds > waits_share * seen->seconds;
}

/* Threads whose work this was, had it been done while the steps did theirs. */
static int needed(const thread_window *seen) {
    double steps = seen->seconds - (waits(seen) ? seen->waited_seconds : 0);
    double threads = spare * seen->busy_seconds / fmax(steps, 1e-3 * seen->seconds);
    return (int)ceil(fmin(threads, 1e6));
}

static int within(const thread_search *self, int threads) {
    int most = threads < self->most ? threads : self->most;
    return most > self->least ? most : self->least;
}

/* The number that was tried is no better than the kept one: the next lies between them, if any. */
static void turn_back(thread_search *self) {
    if (self->threads > self->kept) {
        self->most = self->threads - 1;
        self->threads = self->kept;
        self->settled = true;
        return;
    }
    self->least = self->threads + 1;
    self->threads = (self->least + self->kept) / 2;
    self->settled = self->threads >= self->kept;
    if (self->settled)
        self->threads = self->kept;
}

/* From the kept number on: more where steps waited for it, fewer where threads did. */
static void try_another(thread_search *self, const thread_window *seen) {
    int wanted = needed(seen);
    if (waits(seen)) {
        self->least = self->kept;
        wanted = wanted > self->kept ? wanted : self->kept + 1;
        wanted = wanted < 2 * self->kept ? wanted : 2 * self->kept; /* what limits may be a disk */
    } else {
        self->most = self->kept;
    }
    self->threads = within(self, wanted);
    self->settled = self->threads == self->kept;
}

void thread_search_next(thread_search *self, const thread_window *seen) {
    double rate = (double)seen->batches / seen->seconds;
    if (self->settled)
        return;
    self->windows++;
    bool more = self->threads > self->kept;
    bool worse =
        more ? rate < gain * self->kept_rate : waits(seen) || rate < loss * self->kept_rate;
    if (self->kept > 0 && worse) {
        turn_back(self);
        return;
    }
    self->kept = self->threads;
    self->kept_rate = rate;
    try_another(self, seen);
}
