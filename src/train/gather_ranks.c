/* What every rank says of its place and its device, before anything is made there. */
#include "train/gather_ranks.h"
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>

/* Cut to the room there is. */
#define COPY(to, from) snprintf(to, sizeof(to), "%.*s", (int)sizeof(to) - 1, from)

int trainer_gather_ranks(trainer *self, ls_error *error) {
    rank_facts mine = {.rank = self->me->rank,
                       .numa_node = self->engine.binding.numa_node,
                       .threads = self->engine.binding.threads,
                       .gpu_numa_node = self->engine.device->facts.numa_node};
    COPY(mine.gpu_uuid, self->engine.device->facts.uuid);
    COPY(mine.driver, self->engine.device->facts.driver);
    COPY(mine.host, self->me->host);
    COPY(mine.device, self->engine.device->facts.name);
    COPY(mine.cores, self->engine.binding.map);
    self->ranks.facts = calloc((size_t)self->me->size, sizeof *self->ranks.facts);
    if (!self->ranks.facts)
        return ls_fail(error, LS_FAILED, "out of memory");
    return comm_allgather_bytes(self->control, &mine, self->ranks.facts, sizeof mine, error);
}
