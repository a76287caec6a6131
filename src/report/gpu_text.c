#include "report/gpu_text.h"

#include <string.h>

bool has_gpus(const run_facts *facts) {
    for (int rank = 0; rank < facts->ranks && facts->rank_list; rank++)
        if (facts->rank_list[rank].gpu_uuid[0])
            return true;
    return false;
}

const char *uuid_tail(const char *uuid) {
    enum { TAIL = 8 };
    size_t length = strlen(uuid);
    return length > TAIL ? uuid + length - TAIL : uuid;
}

/* nvmlClocksEventReasons, from NVML's reference. Bits 0 (idle), 1 (application clocks), 4 (sync
 * boost) and 8 (display clocks) limit nothing that the user did not ask for. */
static const struct {
    uint64_t bit;
    const char *name;
} throttles[] = {
    {0x04, "power cap"},          {0x08, "hardware slowdown"}, {0x20, "thermal (software)"},
    {0x40, "thermal (hardware)"}, {0x80, "power brake"},
};

void throttle_text(text_buffer *out, uint64_t reasons) {
    int named = 0;
    for (size_t index = 0; index < sizeof throttles / sizeof throttles[0]; index++)
        if (reasons & throttles[index].bit)
            text_add(out, "%s%s", named++ ? ", " : "", throttles[index].name);
    if (!named)
        text_add(out, "none");
}

/* One of the names, up to the next comma; 0: none of them. */
static uint64_t throttle_bit(const char *name, size_t length) {
    for (size_t index = 0; index < sizeof throttles / sizeof throttles[0]; index++)
        if (strlen(throttles[index].name) == length &&
            strncmp(throttles[index].name, name, length) == 0)
            return throttles[index].bit;
    return 0;
}

bool throttle_parse(const char *text, uint64_t *out) {
    *out = 0;
    if (!text[0] || strcmp(text, "none") == 0)
        return true;
    for (bool last = false; !last;) {
        size_t length = strcspn(text, ",");
        uint64_t bit = throttle_bit(text, length);
        if (bit == 0)
            return false;
        *out |= bit;
        last = text[length] == '\0';
        text += length + (last ? 0 : 1);
        text += !last && *text == ' ';
    }
    return true;
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
