#include "forecast/simulation.h"

/* ---- time passes */

static void pop(simulation *self) {
    self->done++;
    if (self->done == self->started)
        return;
    self->left_seconds = self->collectives[self->done].following_seconds;
    self->overlap = self->collectives[self->done].following_overlap;
}

void simulation_compute(simulation *self, double seconds) {
    while (seconds > 0 && self->done < self->started) {
        link_overlap overlap = self->overlap;
        double needed = overlap.progress > 0 ? self->left_seconds / overlap.progress : seconds + 1;
        double passed = needed < seconds ? needed : seconds;
        self->wall += passed * (1 + overlap.slowdown);
        seconds -= passed;
        self->left_seconds -= passed * overlap.progress;
        if (needed <= passed)
            pop(self);
    }
    self->wall += seconds;
}

void simulation_wait(simulation *self, int until) {
    while (self->done < until) {
        self->wall += self->left_seconds;
        pop(self);
    }
}

void simulation_start(simulation *self, link_kind kind, double share, double bytes,
                      int64_t elements) {
    collective_cost *cost = &self->collectives[self->started];
    *cost = network_cost(self->in->network, kind, self->in->ranks, bytes);
    cost->seconds *= share;
    cost->following_seconds *= share;
    self->elements[self->started] = elements;
    if (self->done == self->started) {
        self->left_seconds = self->collectives[self->started].seconds;
        self->overlap = self->collectives[self->started].overlap;
    }
    self->started++;
}
