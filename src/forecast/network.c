#include "forecast/network.h"

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

/* What was measured over what the fit says. */
static double residual(const measured_link *link, link_kind kind, const link_point *point) {
    double fit = link_seconds(&link->kinds[kind].fit, link_kind_call(kind), link->ranks,
                              (double)point->bytes);
    return fit > 0 ? point->seconds / fit : 1;
}

/* A link's cost at one size, and the overlap there. */
typedef struct link_here {
    link_cost cost;
    link_overlap overlap;
} link_here;

static link_here link_at(const measured_link *link, link_kind kind, double bytes) {
    link_here out = {.cost = link->kinds[kind].fit, .overlap = {.progress = 1}};
    if (link->kinds[kind].count == 0)
        kind = LINK_SUM_F32;
    const link_table *table = &link->kinds[kind];
    if (table->count == 0)
        return out;
    place at = find_place(table, bytes);
    double factor = blend(&at, residual(link, kind, at.low), residual(link, kind, at.high));
    out.cost.latency_seconds *= factor;
    out.cost.bytes_per_second /= factor;
    out.overlap.progress = blend(&at, at.low->overlap.progress, at.high->overlap.progress);
    out.overlap.host_cost = blend(&at, at.low->overlap.host_cost, at.high->overlap.host_cost);
    return out;
}

/* One after the other: the times of the parts add up, and so does what the host spends. */
static link_overlap join(link_overlap a, double a_seconds, link_overlap b, double b_seconds) {
    double seconds = a_seconds + b_seconds;
    if (!(seconds > 0))
        return b;
    bool stands = (a_seconds > 0 && a.progress <= 0) || (b_seconds > 0 && b.progress <= 0);
    double computing =
        (a_seconds > 0 ? a_seconds / a.progress : 0) + (b_seconds > 0 ? b_seconds / b.progress : 0);
    return (link_overlap){.progress = stands ? 0 : seconds / computing,
                          .host_cost =
                              (a.host_cost * a_seconds + b.host_cost * b_seconds) / seconds};
}

collective_cost network_cost(const forecast_network *self, link_kind kind, int ranks,
                             double bytes) {
    link_call call = link_kind_call(kind);
    link_here between = link_at(&self->between, kind, bytes);
    link_here inside = self->ranks_per_node > 1 ? link_at(&self->inside, kind, bytes) : between;
    link_network links = {.inside = inside.cost,
                          .between = between.cost,
                          .ranks_per_node = self->ranks_per_node,
                          .two_level = self->two_level};
    collective_cost out = {.seconds = link_network_seconds(&links, call, ranks, bytes)};
    if (self->ranks_per_node == 1 || ranks <= self->ranks_per_node) {
        out.overlap = self->ranks_per_node == 1 ? between.overlap : inside.overlap;
        return out;
    }
    double in_node = link_seconds(&inside.cost, call, self->ranks_per_node, bytes);
    out.overlap = self->two_level
                      ? join(inside.overlap, in_node, between.overlap, out.seconds - in_node)
                      : between.overlap;
    return out;
}
