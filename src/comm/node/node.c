/* Who shares a node, and the memory that they share. */
#include "comm/node/node_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOST = 256 };

static const char *host_of(const char *hosts, int rank) {
    return hosts + (size_t)rank * HOST;
}

static bool same(const char *hosts, int one, int other) {
    return strcmp(host_of(hosts, one), host_of(hosts, other)) == 0;
}

/* Ranks of `rank`'s node below `below`. */
static int count_before(const char *hosts, int rank, int below) {
    int count = 0;
    for (int other = 0; other < below; other++)
        count += same(hosts, other, rank);
    return count;
}

static void find_group(node *self, const char *hosts) {
    node_group *group = &self->group;
    int size = group->over->size, rank = group->over->rank;
    for (int other = 0; other < size; other++) {
        if (!same(hosts, other, rank))
            continue;
        if (other == rank)
            group->mine = group->count;
        group->members[group->count++] = other;
    }
}

static void find_column(node *self, const char *hosts) {
    int size = self->group.over->size, rank = self->group.over->rank;
    self->alike = true;
    for (int first = 0; first < size; first++) {
        int there = count_before(hosts, first, size);
        if (count_before(hosts, first, first) != 0)
            continue; /* its node was seen already */
        self->most = there > self->most ? there : self->most;
        self->alike = self->alike && there == self->group.count;
        if (same(hosts, first, rank))
            self->my_node = self->node_count;
        self->column[self->node_count++] = first;
    }
    for (int node = 0; node < self->node_count && self->alike; node++)
        for (int other = self->column[node]; other < size; other++)
            if (same(hosts, other, self->column[node]) &&
                count_before(hosts, other, other) == self->group.mine) {
                self->column[node] = other;
                break;
            }
}

static void find_subtrees(node *self) {
    const node_group *group = &self->group;
    int count = group->count;
    self->subtrees = self->alike && (count & (count - 1)) == 0;
    for (int node = 0; node < self->node_count; node++)
        self->subtrees = self->subtrees && self->column[node] == node * count + group->mine;
}

static int find(node *self, const char *host, char *hosts, ls_error *error) {
    char mine[HOST] = "";
    snprintf(mine, sizeof mine, "%s", host ? host : "");
    LS_TRY(comm_allgather_bytes(self->group.over, mine, hosts, sizeof mine, error));
    find_group(self, hosts);
    find_column(self, hosts);
    find_subtrees(self);
    return LS_OK;
}

int node_open(comm *over, const char *host, node **out, ls_error *error) {
    size_t size = (size_t)over->size;
    node *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->group = (node_group){.over = over, .members = calloc(size, sizeof(int))};
    self->column = calloc(size, sizeof *self->column);
    self->scratch = aligned_alloc(NODE_LINE, NODE_SCRATCH);
    char *hosts = calloc(size, HOST);
    int status = LS_OK;
    if (!self->group.members || !self->column || !self->scratch || !hosts)
        status = ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK)
        status = find(self, host, hosts, error);
    free(hosts);
    if (status != LS_OK) {
        node_close(self);
        return status;
    }
    *out = self;
    return LS_OK;
}

void node_close(node *self) {
    if (!self)
        return;
    for (int index = 0; index < self->block_count; index++)
        node_block_release(&self->group, &self->blocks[index]);
    node_block_release(&self->group, &self->board);
    free(self->blocks);
    free(self->group.members);
    free(self->column);
    free(self->scratch);
    free(self);
}

/* `create`: what makes the block. */
static int add_block(node *self, size_t bytes,
                     int (*create)(const node_group *group, size_t bytes, node_block *out,
                                   char why[NODE_WHY], ls_error *error),
                     void **out, char why[NODE_WHY], ls_error *error) {
    if (!self->board.parts)
        LS_TRY(node_block_create(&self->group, sizeof(node_board), &self->board, why, error));
    if (!self->board.parts)
        return LS_OK;
    node_block *more = realloc(self->blocks, (size_t)(self->block_count + 1) * sizeof *more);
    if (!more)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->blocks = more;
    node_block *made = &more[self->block_count];
    LS_TRY(create(&self->group, bytes, made, why, error));
    if (!made->parts)
        return LS_OK;
    self->block_count++;
    *out = made->parts[self->group.mine];
    return LS_OK;
}

int node_allocate(node *self, size_t bytes, void **out, char why[NODE_WHY], ls_error *error) {
    *out = NULL;
    why[0] = 0;
    if (self->most == 1)
        return LS_OK;
    if (!self->alike) {
        snprintf(why, NODE_WHY, "the nodes have unlike numbers of ranks");
        return LS_OK;
    }
    return add_block(self, bytes, node_block_create, out, why, error);
}

int node_allocate_common(node *self, size_t bytes, void **out, ls_error *error) {
    char why[NODE_WHY] = "";
    *out = NULL;
    if (self->most == 1 || self->node_count > 1)
        return LS_OK;
    return add_block(self, bytes, node_block_create_common, out, why, error);
}

bool node_release(node *self, void *memory) {
    for (int index = 0; index < self->block_count; index++) {
        node_block *block = &self->blocks[index];
        if (!block->parts || block->parts[self->group.mine] != memory)
            continue;
        node_block_release(&self->group, block);
        return true;
    }
    return false;
}
