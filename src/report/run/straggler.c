#include "report/run/straggler.h"

#include "report/facts/pace.h"
#include "report/facts/throttle.h"
#include "report/run/gpu_text.h"
#include "report/text/number.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of the ranks that are not steadily slow; NAN where none was measured. */
static double usual_clock(const rank_epoch *ranks, int count) {
    double *clocks = malloc((size_t)count * sizeof *clocks), median = NAN;
    int known = 0;
    for (int rank = 0; clocks && rank < count; rank++)
        if (!is_straggler(&ranks[rank].pace) && ranks[rank].clocks.sm_clock_hertz > 0)
            clocks[known++] = ranks[rank].clocks.sm_clock_hertz;
    if (known > 0) {
        qsort(clocks, (size_t)known, sizeof *clocks, by_value);
        median = (clocks[(known - 1) / 2] + clocks[known / 2]) / 2;
    }
    free(clocks);
    return median;
}

static void add_clocks(text_buffer *out, const rank_epoch *ranks, int count, int rank) {
    const gpu_clocks *own = &ranks[rank].clocks;
    if (own->sm_clock_hertz > 0)
        text_add(out, "; SM clock %s MHz, of the others %s MHz",
                 number(own->sm_clock_hertz / 1e6, 0).text,
                 number(usual_clock(ranks, count) / 1e6, 0).text);
    if (!own->throttle_known)
        return;
    text_add(out, "; clocks held back by: ");
    throttle_text(out, own->throttle_reasons);
}

static void add_one(text_buffer *out, const rank_facts *facts, const rank_epoch *ranks, int count,
                    int rank) {
    const rank_pace *pace = &ranks[rank].pace;
    text_add(out, "rank %d on host %s (%s", rank, facts[rank].host, facts[rank].device);
    if (facts[rank].gpu_uuid[0])
        text_add(out, ", GPU ...%s", uuid_tail(facts[rank].gpu_uuid));
    text_add(out, ") is steadily slow: busy %s longer than the other ranks' median, longer in %s",
             percent(rank_excess(pace), 1).text,
             percent((double)pace->longer_steps / (double)pace->steps, 1).text);
    text_add(out, " of %" PRId64 " timed steps", pace->steps);
    add_clocks(out, ranks, count, rank);
}

void straggler_text(text_buffer *out, const char *before, const rank_facts *facts,
                    const rank_epoch *ranks, int count, double seconds) {
    double cost = straggler_cost_seconds(ranks, count);
    if (isnan(cost))
        return;
    for (int rank = 0; rank < count; rank++) {
        if (!is_straggler(&ranks[rank].pace))
            continue;
        text_add(out, "%s", before);
        add_one(out, facts, ranks, count, rank);
        text_add(out, "; waiting for it costs %s of the training time\n",
                 percent(cost / seconds, 1).text);
    }
}
