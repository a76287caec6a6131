#include "report/run/gpu_text.h"

#include "report/facts/gpu_sums.h"

#include <string.h>

const char *uuid_tail(const char *uuid) {
    enum { TAIL = 8 };
    size_t length = strlen(uuid);
    return length > TAIL ? uuid + length - TAIL : uuid;
}

static bool is_driver_named(const run_facts *facts, int rank) {
    for (int other = 0; other < rank; other++)
        if (strcmp(facts->rank_list[other].driver, facts->rank_list[rank].driver) == 0)
            return true;
    return false;
}

void add_drivers(text_buffer *out, const run_facts *facts) {
    if (!has_gpus(facts))
        return;
    text_add(out, "%-15s", "GPU driver");
    for (int rank = 0; rank < facts->ranks; rank++) {
        const char *driver = facts->rank_list[rank].driver;
        if (is_driver_named(facts, rank))
            continue;
        if (rank)
            text_add(out, "; on rank %d ", rank);
        text_add(out, "%s", driver[0] ? driver : "-");
    }
    text_add(out, "\n");
}

static bool is_far(const rank_facts *rank) {
    return rank->gpu_uuid[0] && rank->gpu_numa_node >= 0 && rank->numa_node >= 0 &&
           rank->gpu_numa_node != rank->numa_node;
}

void add_far_ranks(text_buffer *out, const run_facts *facts) {
    enum { MOST = 16 };
    int far = 0;
    for (int rank = 0; rank < facts->ranks && facts->rank_list; rank++) {
        if (!is_far(&facts->rank_list[rank]))
            continue;
        if (far < MOST)
            text_add(out, "%s%d", far ? ", " : "cores on another NUMA node than the GPU: rank ",
                     facts->rank_list[rank].rank);
        far++;
    }
    if (far > MOST)
        text_add(out, " and %d more", far - MOST);
    if (far)
        text_add(out, "\n");
}
