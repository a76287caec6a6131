/* A collective inside a node, from its beginning to its end. */
#include "comm/node/node_parts.h"
#include "comm/reduce.h"
#include "comm/tree.h"

#include <string.h>

static node_board *board_of(const node *self, int member) {
    return (node_board *)(void *)self->board.parts[member];
}

static size_t total_bytes(const node *self, const node_plan *plan) {
    size_t count = plan->count;
    for (int rank = 0; plan->counts && rank < self->group.over->size; rank++)
        count += (size_t)plan->counts[rank];
    if (plan->rows > 1 && count > 0)
        count += (size_t)(plan->rows - 1) * plan->stride;
    return count * dtype_bytes(plan->type);
}

/* -1: none of ours. bytes > 0. */
static int find_block(const node *self, const char *buffer, size_t bytes) {
    for (int index = 0; index < self->block_count; index++) {
        const node_block *block = &self->blocks[index];
        if (!block->parts || buffer < block->parts[self->group.mine])
            continue;
        size_t offset = (size_t)(buffer - block->parts[self->group.mine]);
        if (offset < block->bytes && bytes <= block->bytes - offset)
            return index;
    }
    return -1;
}

const void *node_peer(const node *self, const void *memory, int rank) {
    int block = self->node_count == 1 ? find_block(self, memory, 1) : -1;
    if (block < 0)
        return NULL;
    size_t offset = (size_t)((const char *)memory - self->blocks[block].parts[self->group.mine]);
    char *part = self->blocks[block].parts[rank];
    return part ? part + offset : NULL;
}

bool node_takes(const node *self, const void *buffer, const node_plan *plan) {
    size_t bytes = total_bytes(self, plan);
    bool fits = self->node_count == 1 || (!plan->offers && plan->reduces && !plan->counts);
    if (plan->rows > 0)
        fits = self->node_count == 1 || self->subtrees;
    return self->board.parts && fits && bytes > 0 && find_block(self, buffer, bytes) >= 0;
}

/* Where part `index` of equal ones starts, in elements: on a cache line. */
static int64_t border(const node_call *call, int index, int parts) {
    size_t element = dtype_bytes(call->plan.type), count = call->plan.count;
    if (index == 0 || index == parts)
        return index == 0 ? 0 : (int64_t)count;
    size_t at = call->offset + count * (size_t)index / (size_t)parts * element;
    size_t line = at / NODE_LINE * NODE_LINE;
    return line > call->offset ? (int64_t)((line - call->offset) / element) : 0;
}

static void find_part(const node *self, node_call *call) {
    int mine = self->group.mine;
    const int64_t *counts = call->plan.counts;
    call->first = 0;
    if (!counts) {
        call->first = border(call, mine, self->group.count);
        call->end = border(call, mine + 1, self->group.count);
        return;
    }
    for (int rank = 0; rank < self->group.over->rank; rank++)
        call->first += counts[rank];
    call->end = call->first + counts[self->group.over->rank];
    call->plan.counts = NULL; /* the caller's */
}

void node_begin(node *self, node_call *call, void *buffer, const node_plan *plan, ring *ring,
                int tag) {
    node_board *mine = board_of(self, self->group.mine);
    int block = find_block(self, buffer, total_bytes(self, plan));
    size_t offset = (size_t)((char *)buffer - self->blocks[block].parts[self->group.mine]);
    *call = (node_call){.number = self->begun++,
                        .block = block,
                        .offset = offset,
                        .plan = *plan,
                        .ring = ring,
                        .tag = tag};
    find_part(self, call);
    mine->places[call->number % NODE_CALLS].block = (uint64_t)block;
    mine->places[call->number % NODE_CALLS].offset = offset;
    atomic_store_explicit(&mine->ready, call->number + 1, memory_order_release);
}

/* ---- the own part */

static char *part_of(const node *self, const node_call *call, int member, int64_t at) {
    return self->blocks[call->block].parts[member] + call->offset +
           (size_t)at * dtype_bytes(call->plan.type);
}

/* `from` -> the same place in the receivers' buffers, but where it lies already. */
static void hand_out(const node *self, const node_call *call, int receiver, const char *from,
                     int64_t at, size_t bytes) {
    for (int member = 0; member < self->group.count; member++) {
        char *to = part_of(self, call, member, at);
        if ((receiver == NODE_ALL || receiver == member) && to != from)
            memcpy(to, from, bytes);
    }
}

/* The leaves are the rows of the node's ranks. Of 2 or 4 the sum can stand in the own buffer. */
static const char *tree_piece(const node *self, const node_call *call, int64_t at, size_t count) {
    const node_plan *plan = &call->plan;
    int leaf_count = self->group.count * plan->rows;
    const void *leaves[leaf_count];
    size_t stride = plan->stride * dtype_bytes(plan->type);
    for (int leaf = 0; leaf < leaf_count; leaf++)
        leaves[leaf] =
            part_of(self, call, leaf / plan->rows, at) + (size_t)(leaf % plan->rows) * stride;
    bool few = leaf_count == 2 || leaf_count == 4;
    char *sum = few ? part_of(self, call, self->group.mine, at) : self->scratch;
    tree_sum_piece(sum, leaves, leaf_count, count, plan->type);
    return sum;
}

/* The order of summation. Between two ranks the sum can stand in the own buffer at once; between
 * more it takes scratch. Returns where it stands. */
static const char *reduce_piece(const node *self, const node_call *call, int64_t at, size_t count) {
    const node_plan *plan = &call->plan;
    if (plan->rows > 0)
        return tree_piece(self, call, at, count);
    bool pair = self->group.count == 2;
    char *sum = pair ? part_of(self, call, self->group.mine, at) : self->scratch;
    reduce_two(sum, part_of(self, call, 0, at), part_of(self, call, 1, at), count, plan->type,
               plan->how);
    for (int member = 2; member < self->group.count; member++)
        reduce_into(sum, part_of(self, call, member, at), count, plan->type, plan->how);
    return sum;
}

static void reduce_part(const node *self, const node_call *call) {
    size_t element = dtype_bytes(call->plan.type);
    int64_t step = NODE_SCRATCH / (int64_t)element;
    bool keeps = self->node_count > 1 || call->plan.receiver == NODE_NONE;
    int receiver = keeps ? self->group.mine : call->plan.receiver;
    for (int64_t at = call->first; at < call->end; at += step) {
        size_t count = (size_t)(call->end - at < step ? call->end - at : step);
        const char *sum = reduce_piece(self, call, at, count);
        hand_out(self, call, receiver, sum, at, count * element);
    }
}

/* The own buffer's part to all. */
static void share_part(const node *self, const node_call *call) {
    const char *from = part_of(self, call, self->group.mine, call->first);
    size_t bytes = (size_t)(call->end - call->first) * dtype_bytes(call->plan.type);
    if (bytes > 0)
        hand_out(self, call, NODE_ALL, from, call->first, bytes);
}

static void begin_between_nodes(const node *self, node_call *call) {
    ring *ring = call->ring;
    int64_t count = call->end - call->first;
    if (call->plan.rows > 0) {
        pairwise_begin(call->pairwise, self->my_node, self->node_count, self->column, call->tag,
                       part_of(self, call, self->group.mine, call->first), (size_t)count,
                       call->plan.type);
        return;
    }
    ring_stand(ring, self->my_node, self->node_count, self->column);
    for (int node = 0; node < self->node_count; node++)
        ring->first[node + 1] = count * (node + 1) / self->node_count;
    ring_begin(ring, call->tag, part_of(self, call, self->group.mine, call->first), call->plan.type,
               call->plan.how, true, true);
}

/* ---- how far it is */

typedef enum { READY, DONE } counter;

static bool all_past(const node *self, const node_call *call, counter which) {
    for (int member = 0; member < self->group.count; member++) {
        const node_board *board = board_of(self, member);
        const _Atomic uint64_t *there = which == READY ? &board->ready : &board->done;
        if (atomic_load_explicit(there, memory_order_acquire) <= call->number)
            return false;
    }
    return true;
}

static int check_places(const node *self, const node_call *call, ls_error *error) {
    for (int member = 0; member < self->group.count; member++) {
        const node_board *board = board_of(self, member);
        size_t place = call->number % NODE_CALLS;
        if (board->places[place].block != (uint64_t)call->block ||
            board->places[place].offset != call->offset)
            return ls_fail(
                error, LS_FAILED,
                "comm mpi: the ranks' buffers differ: byte %zu of shared memory %d here, "
                "byte %llu of %llu on rank %d",
                call->offset, call->block, (unsigned long long)board->places[place].offset,
                (unsigned long long)board->places[place].block, self->group.members[member]);
    }
    return LS_OK;
}

static int gather(node *self, node_call *call, ls_error *error) {
    if (!all_past(self, call, READY))
        return LS_OK;
    LS_TRY(check_places(self, call, error));
    if (call->plan.offers) {
        call->phase = NODE_TELLS;
        return LS_OK;
    }
    if (call->plan.reduces)
        reduce_part(self, call);
    else
        share_part(self, call);
    call->phase = NODE_TELLS;
    if (self->node_count > 1) {
        begin_between_nodes(self, call);
        call->phase = NODE_CROSSES;
    }
    return LS_OK;
}

static int cross(node *self, node_call *call, ls_error *error) {
    bool done = false;
    if (call->plan.rows > 0)
        LS_TRY(pairwise_advance(call->pairwise, &done, error));
    else
        LS_TRY(ring_advance(call->ring, &done, error));
    if (!done)
        return LS_OK;
    share_part(self, call);
    call->phase = NODE_TELLS;
    return LS_OK;
}

/* In the order of the calls: one counter says it of all. */
static void tell(node *self, node_call *call) {
    _Atomic uint64_t *done = &board_of(self, self->group.mine)->done;
    if (atomic_load_explicit(done, memory_order_relaxed) != call->number)
        return;
    atomic_store_explicit(done, call->number + 1, memory_order_release);
    call->phase = NODE_LEAVES;
}

int node_advance(node *self, node_call *call, bool *done, ls_error *error) {
    *done = false;
    if (call->phase == NODE_GATHERS)
        LS_TRY(gather(self, call, error));
    if (call->phase == NODE_CROSSES)
        LS_TRY(cross(self, call, error));
    if (call->phase == NODE_TELLS)
        tell(self, call);
    if (call->phase == NODE_LEAVES) /* what was offered is read after the call */
        *done = call->plan.offers || all_past(self, call, DONE);
    return LS_OK;
}
