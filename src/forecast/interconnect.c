#include "forecast/interconnect.h"

#include <math.h>

int network_fit(measured_link *self, ls_error *error) {
    for (int kind = 0; kind < LINK_KINDS; kind++) {
        link_table *table = &self->kinds[kind];
        size_t bytes[LINK_MOST_POINTS];
        double seconds[LINK_MOST_POINTS];
        for (int index = 0; index < table->count; index++) {
            bytes[index] = table->points[index].bytes;
            seconds[index] = table->points[index].seconds;
        }
        if (kind > 0 && table->count == 0)
            table->fit = self->kinds[LINK_SUM_F32].fit;
        else
            LS_TRY(link_fit(link_kind_call((link_kind)kind), self->ranks, bytes, seconds,
                            table->count, &table->fit, error));
    }
    return LS_OK;
}

/* ---- between measured sizes */

/* The measured sizes around `bytes`, and how far from the lower to the upper it lies. */
typedef struct place {
    const link_point *low, *high;
    double share;
} place;

static place find_place(const link_table *table, double bytes) {
    int high = 0;
    while (high < table->count - 1 && (double)table->points[high].bytes < bytes)
        high++;
    const link_point *upper = &table->points[high], *lower = &table->points[high ? high - 1 : 0];
    if (lower == upper || bytes >= (double)upper->bytes || bytes <= (double)lower->bytes)
        return (place){upper, upper, 0};
    return (place){lower, upper,
                   log(bytes / (double)lower->bytes) /
                       log((double)upper->bytes / (double)lower->bytes)};
}

static double blend(const place *at, double low, double high) {
    return low + at->share * (high - low);
}

/* A link's cost at one size, alone or right behind another, and the overlap there. */
typedef struct link_here {
    link_cost cost;
    link_overlap overlap;
} link_here;

/* What was measured over what the fit says. */
static double residual(const measured_link *link, link_kind kind, const link_point *point,
                       bool following) {
    double fit = link_seconds(&link->kinds[kind].fit, link_kind_call(kind), link->ranks,
                              (double)point->bytes);
    double seconds = following ? point->following_seconds : point->seconds;
    return fit > 0 ? seconds / fit : 1;
}

static link_here link_at(const measured_link *link, link_kind kind, double bytes, bool following) {
    link_here out = {.cost = link->kinds[kind].fit, .overlap = {.progress = 1}};
    if (link->kinds[kind].count == 0)
        kind = LINK_SUM_F32;
    const link_table *table = &link->kinds[kind];
    if (table->count == 0)
        return out;
    place at = find_place(table, bytes);
    double factor = blend(&at, residual(link, kind, at.low, following),
                          residual(link, kind, at.high, following));
    out.cost.latency_seconds *= factor;
    out.cost.bytes_per_second /= factor;
    out.overlap.progress = blend(&at, at.low->overlap.progress, at.high->overlap.progress);
    out.overlap.slowdown = blend(&at, at.low->overlap.slowdown, at.high->overlap.slowdown);
    return out;
}

/* One after the other: each takes its own seconds of computing to pass. */
static link_overlap join(link_overlap a, double a_seconds, link_overlap b, double b_seconds) {
    if (!(a_seconds > 0))
        return b;
    if (!(b_seconds > 0))
        return a;
    if (a.progress <= 0 || b.progress <= 0) /* it stands still there, for as long as there is */
        return a.progress <= 0 ? a : b;
    double a_computing = a_seconds / a.progress, b_computing = b_seconds / b.progress;
    double computing = a_computing + b_computing;
    return (link_overlap){.progress = (a_seconds + b_seconds) / computing,
                          .slowdown =
                              (a.slowdown * a_computing + b.slowdown * b_computing) / computing};
}

/* Both links at this size. */
typedef struct links_here {
    link_here inside, between;
    link_network network;
} links_here;

static links_here links_at(const forecast_network *self, link_kind kind, double bytes,
                           bool following) {
    links_here out = {.between = link_at(&self->between, kind, bytes, following)};
    out.inside =
        self->ranks_per_node > 1 ? link_at(&self->inside, kind, bytes, following) : out.between;
    out.network = (link_network){.inside = out.inside.cost,
                                 .between = out.between.cost,
                                 .ranks_per_node = self->ranks_per_node,
                                 .two_level = self->two_level};
    return out;
}

collective_cost network_cost(const forecast_network *self, link_kind kind, int ranks,
                             double bytes) {
    link_call call = link_kind_call(kind);
    links_here alone = links_at(self, kind, bytes, false),
               behind = links_at(self, kind, bytes, true);
    collective_cost out = {.seconds = link_network_seconds(&alone.network, call, ranks, bytes),
                           .following_seconds =
                               link_network_seconds(&behind.network, call, ranks, bytes),
                           .overlap = alone.between.overlap};
    out.following_overlap = out.overlap;
    if (self->ranks_per_node == 1)
        return out;
    if (ranks <= self->ranks_per_node) {
        out.overlap = out.following_overlap = alone.inside.overlap;
    } else if (self->two_level && call == LINK_ALLREDUCE) {
        /* Behind another, the node's part was done while that one was between the nodes. */
        out.following_seconds -=
            link_seconds(&behind.inside.cost, call, self->ranks_per_node, bytes);
        double in_node = link_seconds(&alone.inside.cost, call, self->ranks_per_node, bytes);
        out.overlap =
            join(alone.inside.overlap, in_node, alone.between.overlap, out.seconds - in_node);
    }
    return out;
}
