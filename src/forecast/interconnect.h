/* The network of a forecast: one link between nodes, one inside a node, each measured
 * (network.csv), given, or a preset; and what a collective costs on it. */
#ifndef LOCKSTEP_FORECAST_INTERCONNECT_H
#define LOCKSTEP_FORECAST_INTERCONNECT_H

#include "base/dtype.h"
#include "base/text_buffer.h"
#include "comm/link/link.h"

#include <stdbool.h>

enum { LINK_KINDS = 3, LINK_MOST_POINTS = 32 };

/* What is measured apart: all-reduce in fp32 and in bf16, all-gather (which only moves bytes). */
typedef enum { LINK_SUM_F32, LINK_SUM_BF16, LINK_GATHER } link_kind;

static inline link_call link_kind_call(link_kind kind) {
    return kind == LINK_GATHER ? LINK_ALLGATHER : LINK_ALLREDUCE;
}
static inline dtype link_kind_type(link_kind kind) {
    return kind == LINK_SUM_BF16 ? DTYPE_BF16 : DTYPE_F32;
}

typedef struct link_point {
    size_t bytes;
    double seconds;           /* alone */
    double following_seconds; /* right behind another */
    link_overlap overlap;
} link_point;

typedef struct link_table {
    link_point points[LINK_MOST_POINTS]; /* sizes ascending */
    int count;
    link_cost fit;
} link_table;

/* One link: measured at `ranks` ranks, or nominal (no points, and all kinds cost the same). */
typedef struct measured_link {
    char name[512]; /* for people: the preset's, the file's */
    bool nominal;
    int ranks, nodes;
    link_table kinds[LINK_KINDS];
    /* Rounding fp32 gradients to bf16 and widening them again, by fp32 bytes; 0: not measured. */
    double cast_seconds_per_byte;
} measured_link;

typedef struct forecast_network {
    measured_link inside, between; /* inside: only where ranks_per_node > 1 */
    int ranks_per_node;
    bool two_level;
} forecast_network;

/* What a collective takes alone or right behind another, and how it gets on beside computing. */
typedef struct collective_cost {
    double seconds, following_seconds;
    link_overlap overlap, following_overlap;
} collective_cost;

/* Of `bytes` (comm/link/link.h says whose) over `ranks` ranks. A fit's latency and bandwidth, times
 * what the measurement at that size was over the fit, between sizes on a line over log(bytes). */
collective_cost network_cost(const forecast_network *self, link_kind kind, int ranks, double bytes);

/* Nominal links: name, GB/s of one direction (what its maker or its standard states), latency in us
 * of one message through a collective library in round numbers, where the bandwidth is from. */
#define NETWORK_PRESETS(X)                                                                         \
    X("nvlink4", 450, 3, "NVIDIA H100: 18 links of 25 GB/s")                                       \
    X("pcie4-x16", 31.5, 5, "PCI Express 4.0: 16 lanes of 16 GT/s, 128b/130b")                     \
    X("pcie5-x16", 63, 5, "PCI Express 5.0: 16 lanes of 32 GT/s, 128b/130b")                       \
    X("hdr-infiniband", 25, 5, "InfiniBand HDR 4x: 200 Gbit/s")                                    \
    X("ndr-infiniband", 50, 5, "InfiniBand NDR 4x: 400 Gbit/s")                                    \
    X("100gbe", 12.5, 15, "IEEE 802.3: 100 Gbit/s")                                                \
    X("25gbe", 3.125, 20, "IEEE 802.3: 25 Gbit/s")                                                 \
    X("10gbe", 1.25, 30, "IEEE 802.3: 10 Gbit/s")                                                  \
    X("1gbe", 0.125, 50, "IEEE 802.3: 1 Gbit/s")

/* LS_BAD_INPUT, with the names there are, for another; `option` stands in the text. */
int network_preset(const char *option, const char *name, measured_link *out, ls_error *error);
/* A link whose every collective has this latency and bandwidth. */
void network_nominal(const char *name, double latency_seconds, double bytes_per_second,
                     measured_link *out);

/* network.csv: columns call, type, ranks, nodes, hosts, comm, device, bytes, seconds,
 * following_seconds, progress, slowdown; a row a size. A row of call "cast" has the seconds of
 * both casts of `bytes`. LS_BAD_INPUT for what cannot be. */
int network_read(const char *path, measured_link *out, ls_error *error);
/* The same file from what was measured. */
typedef struct network_origin {
    const char *hosts, *comm, *device;
} network_origin;
void network_write(const measured_link *link, const network_origin *origin, text_buffer *out);
/* The same for people, with what was fitted. */
void network_text(const measured_link *link, const network_origin *origin, text_buffer *out);

/* Latency and bandwidth of every kind from its points; a kind without points takes fp32's.
 * LS_BAD_INPUT where two sizes are not there. */
int network_fit(measured_link *self, ls_error *error);

#endif
