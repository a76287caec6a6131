#include "comm/groups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOST = 256 };

/* 0: no number, or one that is none of ranks. */
static int ranks_of(const char *within) {
    char *end;
    long ranks = strtol(within, &end, 10);
    return *end == '\0' && end != within && ranks > 0 && ranks <= 1 << 20 ? (int)ranks : 0;
}

int comm_groups_check(const char *within, ls_error *error) {
    if (strcmp(within, "world") == 0 || strcmp(within, "node") == 0 || ranks_of(within) > 0)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "--shard-within: expected node, world or a number of ranks, found '%s'", within);
}

int comm_groups_size(const char *within, int size, int ranks_per_node) {
    int ranks = strcmp(within, "world") == 0  ? size
                : strcmp(within, "node") == 0 ? ranks_per_node
                                              : ranks_of(within);
    ranks = ranks > size ? size : ranks;
    return ranks > 0 && size % ranks == 0 ? ranks : 0;
}

static const char *host_of(const char *hosts, int rank) {
    return hosts + (size_t)rank * HOST;
}

/* The lowest rank of the same host is the first of the group. */
static void group_by_host(const char *hosts, int size, comm_groups *out) {
    for (int rank = 0; rank < size; rank++) {
        int first = 0;
        while (strcmp(host_of(hosts, first), host_of(hosts, rank)) != 0)
            first++;
        out->of[rank] = first < rank ? out->of[first] : out->count++;
    }
}

static void group_by_number(int size, int each, comm_groups *out) {
    for (int rank = 0; rank < size; rank++)
        out->of[rank] = rank / each;
    out->count = (size + each - 1) / each;
}

static int ranks_in(const comm_groups *self, int size, int group) {
    int count = 0;
    for (int rank = 0; rank < size; rank++)
        count += self->of[rank] == group;
    return count;
}

static int check_alike(const comm_groups *self, const char *within, int size, ls_error *error) {
    bool nodes = strcmp(within, "node") == 0;
    for (int group = 1; group < self->count; group++) {
        int ranks = ranks_in(self, size, group);
        if (ranks != self->size)
            return ls_fail(error, LS_BAD_LAUNCH,
                           "--shard-within %s: %s have %d and %d ranks, and a part would have no "
                           "counterpart (start as many ranks %s, or --shard-within world)",
                           within, nodes ? "nodes" : "groups", self->size, ranks,
                           nodes ? "a node" : "a group");
    }
    return LS_OK;
}

int comm_groups_find(comm *control, const char *within, const char *host, comm_groups *out,
                     ls_error *error) {
    int size = control->size;
    char mine[HOST] = "", *hosts = calloc((size_t)size, HOST);
    *out = (comm_groups){.of = calloc((size_t)size, sizeof *out->of)};
    snprintf(mine, sizeof mine, "%s", host);
    int status = hosts && out->of ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK)
        status = comm_allgather_bytes(control, mine, hosts, HOST, error);
    if (status == LS_OK && strcmp(within, "node") == 0)
        group_by_host(hosts, size, out);
    else if (status == LS_OK)
        group_by_number(size, ranks_of(within) > 0 ? ranks_of(within) : size, out);
    free(hosts);
    LS_TRY(status);
    out->mine = out->of[control->rank];
    out->size = ranks_in(out, size, 0);
    for (int rank = 0; rank < control->rank; rank++)
        out->place += out->of[rank] == out->mine;
    return check_alike(out, within, size, error);
}

void comm_groups_free(comm_groups *self) {
    free(self->of);
    *self = (comm_groups){0};
}
