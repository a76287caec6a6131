/* The ring's cost model, forwards and backwards. */
#include "comm/link/link.h"

#include <math.h>

/* seconds = hops * latency + share * bytes / bandwidth. */
static double hops(link_call call, int ranks) {
    return (call == LINK_ALLREDUCE ? 2.0 : 1.0) * (ranks - 1);
}

static double share(link_call call, int ranks) {
    return hops(call, ranks) / ranks;
}

double link_seconds(const link_cost *hop, link_call call, int ranks, double bytes) {
    if (ranks < 2)
        return 0;
    return hops(call, ranks) * hop->latency_seconds +
           share(call, ranks) * bytes / hop->bytes_per_second;
}

/* Minimises the sum of ((a x + b y - t) / t)^2, with x the hops and y the bytes of a hop. */
typedef struct normal_equations {
    double xx, xy, yy, x, y;
} normal_equations;

int link_fit(link_call call, int ranks, const size_t *bytes, const double *seconds, int count,
             link_cost *out, ls_error *error) {
    normal_equations sums = {0};
    if (ranks < 2)
        return ls_fail(error, LS_BAD_INPUT, "a network's fit: expected 2 ranks or more, found %d",
                       ranks);
    for (int index = 0; index < count; index++) {
        if (!(seconds[index] > 0))
            return ls_fail(error, LS_BAD_INPUT, "a network's fit: expected times above 0, found %g",
                           seconds[index]);
        double x = hops(call, ranks) / seconds[index];
        double y = share(call, ranks) * (double)bytes[index] / seconds[index];
        sums = (normal_equations){sums.xx + x * x, sums.xy + x * y, sums.yy + y * y, sums.x + x,
                                  sums.y + y};
    }
    double determinant = sums.xx * sums.yy - sums.xy * sums.xy;
    if (!(determinant > 1e-12 * sums.xx * sums.yy))
        return ls_fail(error, LS_BAD_INPUT,
                       "a network's fit: expected times at two sizes or more that differ");
    double latency = (sums.x * sums.yy - sums.y * sums.xy) / determinant;
    double per_byte = (sums.y * sums.xx - sums.x * sums.xy) / determinant;
    if (latency < 0) {
        latency = 0;
        per_byte = sums.y / sums.yy;
    } else if (per_byte < 0) {
        latency = sums.x / sums.xx;
        per_byte = 0;
    }
    *out = (link_cost){.latency_seconds = latency,
                       .bytes_per_second = per_byte > 0 ? 1 / per_byte : INFINITY};
    return LS_OK;
}

double link_network_seconds(const link_network *self, link_call call, int ranks, double bytes) {
    int inside = ranks < self->ranks_per_node ? ranks : self->ranks_per_node;
    int nodes = (ranks + inside - 1) / inside;
    if (nodes == 1)
        return link_seconds(&self->inside, call, inside, bytes);
    if (inside == 1)
        return link_seconds(&self->between, call, nodes, bytes);
    if (self->two_level && call == LINK_ALLREDUCE)
        return link_seconds(&self->inside, call, inside, bytes) +
               link_seconds(&self->between, call, nodes, bytes);
    link_cost slowest = {
        .latency_seconds = fmax(self->inside.latency_seconds, self->between.latency_seconds),
        .bytes_per_second = fmin(self->inside.bytes_per_second, self->between.bytes_per_second)};
    return link_seconds(&slowest, call, ranks, bytes);
}
