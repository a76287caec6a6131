/* What a library refused, and what computes instead: every rank's lines, for the log of the run. */
#include "train/fallbacks.h"
#include "train/trainer.h"

#include <stddef.h>
#include <stdlib.h>

typedef struct rank_remarks {
    device_remarks fallbacks, refusals;
    int told_fallbacks, told_refusals; /* of them, before */
    char plan_id[17];
} rank_remarks;

static bool is_elsewhere(const rank_remarks *all, int rank, const char *line, size_t remarks) {
    for (int other = 0; other < rank; other++) {
        const device_remarks *of = (const void *)((const char *)&all[other] + remarks);
        for (int index = 0; index < of->count; index++)
            if (strcmp(of->lines[index], line) == 0)
                return true;
    }
    return false;
}

/* Those of one kind (its place in rank_remarks) that are new; what a lower rank says too stands
 * there once. */
static int note_remarks(trainer *self, const char *kind, const rank_remarks *all, size_t remarks,
                        size_t told, ls_error *error) {
    for (int rank = 0; rank < self->me->size; rank++) {
        const device_remarks *of = (const void *)((const char *)&all[rank] + remarks);
        int from = *(const int *)(const void *)((const char *)&all[rank] + told);
        for (int index = from; index < of->count; index++)
            if (!is_elsewhere(all, rank, of->lines[index], remarks))
                LS_TRY(run_note(self->run, error, "%s  rank %d: %s", kind, rank, of->lines[index]));
        if (of->more && from < DEVICE_REMARKS)
            LS_TRY(run_note(self->run, error, "%s  rank %d: and %d more", kind, rank, of->more));
    }
    return LS_OK;
}

/* Ranks share out the lanes of a strict run, so all must compute in the same way for it to have the
 * bits of another number of ranks. Within the run they agree all the same. */
static int compare_plans(trainer *self, const rank_remarks *all, ls_error *error) {
    for (int rank = 1; rank < self->me->size && !self->told.plans_differ; rank++)
        self->told.plans_differ =
            self->settings->mode.strict && strcmp(all[rank].plan_id, all[0].plan_id) != 0;
    if (!self->told.plans_differ || self->me->rank != 0)
        return LS_OK;
    return run_note(self->run, error,
                    "warning  --strict: the ranks compute by different plans: the bits are not "
                    "those of another number of ranks");
}

int trainer_tell_fallbacks(trainer *self, ls_error *error) {
    const device *device = self->engine.device;
    if (!device->is->choices_export) /* it asks no library that chooses */
        return LS_OK;
    double news = device->fallbacks.count > self->told.fallbacks ||
                  (self->settings->verbose && device->refusals.count > self->told.refusals);
    LS_TRY(comm_allreduce_double(self->control, &news, 1, REDUCTION_MAX, error));
    if (news == 0)
        return LS_OK;
    rank_remarks mine = {.fallbacks = device->fallbacks,
                         .refusals = device->refusals,
                         .told_fallbacks = self->told.fallbacks,
                         .told_refusals = self->told.refusals};
    mode_plan_id(self->learner.mode, mine.plan_id);
    rank_remarks *all = malloc((size_t)self->me->size * sizeof *all);
    if (!all)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status = comm_allgather_bytes(self->control, &mine, all, sizeof mine, error);
    if (status == LS_OK && self->me->rank == 0)
        status = note_remarks(self, "warning", all, offsetof(rank_remarks, fallbacks),
                              offsetof(rank_remarks, told_fallbacks), error);
    if (status == LS_OK && self->me->rank == 0 && self->settings->verbose)
        status = note_remarks(self, "refused", all, offsetof(rank_remarks, refusals),
                              offsetof(rank_remarks, told_refusals), error);
    if (status == LS_OK && !self->told.plans_differ)
        status = compare_plans(self, all, error);
    self->told.fallbacks = device->fallbacks.count;
    self->told.refusals = device->refusals.count;
    free(all);
    return status;
}
