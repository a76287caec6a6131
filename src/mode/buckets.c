#include "mode/buckets.h"

#include <math.h>

enum { LATENCY_SHARE = 10, MOST_PIECES = 8 };

/* The power of two nearest to `elements`, so that what is measured a little differently from run
 * to run cuts the same buckets; from 1 to `most`. */
static size_t rounded(double elements, size_t most) {
    double power = elements > 1 ? exp2(round(log2(elements))) : 1;
    return power < (double)most ? (size_t)power : most;
}

bucket_rule bucket_rule_for(size_t parameters, size_t element_bytes, double latency_seconds,
                            double bytes_per_second) {
    double worth =
        latency_seconds > 0 ? latency_seconds * bytes_per_second / (double)element_bytes : 0;
    double least = (double)parameters / MOST_PIECES;
    return (bucket_rule){
        .most = rounded(fmax(LATENCY_SHARE * worth, least), parameters),
        .worth = rounded(worth, parameters),
    };
}

typedef struct cutter {
    bucket *out;
    int count;
    size_t first, end; /* of the open bucket; equal: it is empty */
} cutter;

static void close_bucket(cutter *self) {
    if (self->first == self->end)
        return;
    if (self->out)
        self->out[self->count] = (bucket){.first = self->first, .count = self->end - self->first};
    self->count++;
    self->end = self->first;
}

/* Takes the block [first, self->first) in, in pieces where it is long. */
static void take(cutter *self, size_t first, size_t most) {
    while (self->end - first > most) {
        self->first = self->end - most;
        close_bucket(self);
    }
    self->first = first;
}

int buckets_cut(const graph *graph, const bool *left_out, bucket_rule rule, bucket *out) {
    cutter self = {.out = out, .first = graph->parameter_count, .end = graph->parameter_count};
    for (int unit = graph->unit_count - 1; unit >= 0; unit--) {
        size_t first = graph->units[unit].first;
        if (left_out && left_out[unit]) {
            close_bucket(&self);
            self.first = self.end = first;
            continue;
        }
        take(&self, first, rule.most);
        if (self.end - self.first >= rule.worth)
            close_bucket(&self);
    }
    close_bucket(&self);
    return self.count;
}
