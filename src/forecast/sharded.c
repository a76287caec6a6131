/* Steps of the sharded modes (src/mode/zero.c, src/mode/fsdp.c): what they gather, and when. */
#include "forecast/simulation.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- zero1, zero2 */

void sharded_finish(simulation *self, double update_seconds) {
    const step_case *in = self->in;
    double own = update_seconds / in->ranks / (double)in->step->parameters;
    int reduced = self->started;
    for (int index = 0; index < reduced; index++) {
        if (self->elements[index] == 0)
            continue;
        simulation_wait(self, index + 1);
        simulation_compute(self, own * (double)self->elements[index]);
        if (in->choice == CHOICE_ZERO)
            simulation_start(self, LINK_GATHER, 1, 4 * (double)self->elements[index], 0);
    }
    simulation_wait(self, self->started);
}

/* ---- fsdp */

/* "blocks.3" of "blocks.3.attn.qkv": up to the first part that is a number, which models give to
 * what they repeat; else all of it. */
static size_t block_length(const char *layer) {
    for (const char *part = layer; part; part = strchr(part, '.')) {
        part += *part == '.';
        size_t length = strcspn(part, ".");
        if (length > 0 && strspn(part, "0123456789") == length)
            return (size_t)(part - layer) + length;
    }
    return strlen(layer);
}

static bool same_block(const char *a, const char *b) {
    size_t length = block_length(a);
    return length == block_length(b) && strncmp(a, b, length) == 0;
}

/* The rows of gradients, from the array's end to its beginning, become blocks; neighbours are
 * joined up to the largest, as unit_groups.h joins them. */
static void join(simulation *self, const sharded_group *blocks, int count) {
    int64_t largest = 0;
    for (int block = 0; block < count; block++)
        largest = blocks[block].count > largest ? blocks[block].count : largest;
    for (int block = count - 1; block >= 0; block--) { /* ascending */
        sharded_group *last = self->group_count > 0 ? &self->groups[self->group_count - 1] : NULL;
        if (last && last->count + blocks[block].count <= largest)
            last->count += blocks[block].count;
        else
            self->groups[self->group_count++] = blocks[block];
    }
}

static int list_blocks(const step_model *step, sharded_group *out) {
    const char *before = NULL;
    int count = 0;
    for (size_t index = 0; index < step->row_count; index++) {
        const step_row *row = &step->rows[index];
        if (row->gradient_count == 0)
            continue;
        if (before && same_block(before, row->layer)) {
            out[count - 1].first = row->gradient_first;
            out[count - 1].count += row->gradient_count;
        } else {
            out[count++] = (sharded_group){row->gradient_first, row->gradient_count, -1};
        }
        before = row->layer;
    }
    return count;
}

/* Of a layer: that of its gradient. */
static int group_of_layer(const simulation *self, const char *layer) {
    const step_model *step = self->in->step;
    for (size_t index = 0; index < step->row_count; index++) {
        const step_row *row = &step->rows[index];
        if (row->gradient_count == 0 || strcmp(row->layer, layer) != 0)
            continue;
        for (int group = 0; group < self->group_count; group++)
            if (row->gradient_first < self->groups[group].first + self->groups[group].count)
                return group;
    }
    return -1;
}

int sharded_groups(simulation *self, ls_error *error) {
    size_t rows = self->in->step->row_count;
    sharded_group *blocks = calloc(rows + 1, sizeof *blocks);
    self->groups = calloc(rows + 1, sizeof *self->groups);
    self->group_of = calloc(rows + 1, sizeof *self->group_of);
    bool complete = blocks && self->groups && self->group_of;
    if (complete) {
        join(self, blocks, list_blocks(self->in->step, blocks));
        for (size_t row = 0; row < rows; row++)
            self->group_of[row] = group_of_layer(self, self->in->step->rows[row].layer);
    }
    free(blocks);
    return complete ? LS_OK : ls_fail(error, LS_FAILED, "no memory to forecast a step with");
}

void sharded_groups_free(simulation *self) {
    free(self->groups);
    free(self->group_of);
}

static void gather(simulation *self, int group) {
    if (group < 0 || group >= self->group_count || self->groups[group].arrives >= 0)
        return;
    self->groups[group].arrives = self->started;
    simulation_start(self, LINK_GATHER, 1, 4 * (double)self->groups[group].count, 0);
}

/* As many slots as one group in use and those ahead of it need (mode/gathered.h): what lies further
 * back has gone. */
void sharded_come_to(simulation *self, size_t row) {
    enum { AHEAD = 1 };
    const step_row *at = &self->in->step->rows[row];
    int group = self->group_of[row];
    int way = at->phase == LAYER_FORWARD ? 1 : -1;
    if (group < 0 || at->phase == LAYER_OPTIMIZER || at->phase == LAYER_OTHER)
        return;
    for (int other = 0; other < self->group_count; other++)
        if ((other - group) * way < 0 || (other - group) * way > AHEAD)
            self->groups[other].arrives =
                way * (other - group) == -1 ? self->groups[other].arrives : -1;
    for (int distance = 0; distance <= AHEAD; distance++)
        gather(self, group + way * distance);
    simulation_wait(self, self->groups[group].arrives + 1);
}
