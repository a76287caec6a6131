#include "report/read/run_list.h"

#include "report/read/allow.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A run against itself would be a speedup of 1 that nobody measured; a copy of its folder too. */
static bool is_same(const finished_run *a, const finished_run *b) {
    if (a->device == b->device && a->inode == b->inode)
        return true;
    const csv_table *x = &a->summary, *y = &b->summary;
    if (x->columns != y->columns)
        return false;
    for (size_t cell = 0; cell < 2 * x->columns; cell++)
        if (strcmp(x->cells[cell], y->cells[cell]) != 0)
            return false;
    return true;
}

static int read_one(run_list *out, const char *folder, ls_error *error) {
    finished_run *run = &out->items[out->count];
    LS_TRY(finished_run_read(run, folder, error));
    for (size_t index = 0; index < out->count; index++)
        if (is_same(&out->items[index], run)) {
            finished_run_free(run);
            return ls_fail(error, LS_BAD_INPUT,
                           "%s and %s are the same run, or one is a copy: give it once",
                           out->items[index].folder, folder);
        }
    out->count++;
    return LS_OK;
}

int run_list_read(run_list *out, char *const *folders, size_t count, complaints *complaints,
                  ls_error *error) {
    *out = (run_list){.items = calloc(count, sizeof *out->items)};
    if (!out->items)
        return ls_fail(error, LS_FAILED, "report: no memory for %zu runs", count);
    for (size_t index = 0; index < count; index++)
        if (read_one(out, folders[index], error) != LS_OK)
            LS_TRY(complaints_add(complaints, error));
    return LS_OK;
}

int run_list_leave_suspended(run_list *self, const char *allow, complaints *complaints,
                             ls_error *error) {
    size_t kept = 0;
    if (allow_holds(allow, "suspended"))
        return LS_OK;
    for (size_t index = 0; index < self->count; index++) {
        finished_run *run = &self->items[index];
        double seconds = finished_run_number(run, "suspended_seconds");
        if (!(seconds > 0)) {
            self->items[kept++] = *run;
            continue;
        }
        ls_fail(
            error, LS_BAD_INPUT,
            "%s: it did not run for %.1f s of its training time (%.1f s), its job was suspended or "
            "stopped: train it again (or --allow suspended: it will stand under the table)",
            run->folder, seconds, finished_run_number(run, "training_seconds"));
        LS_TRY(complaints_add(complaints, error));
        finished_run_free(run);
    }
    self->count = kept;
    return LS_OK;
}

void run_list_free(run_list *self) {
    for (size_t index = 0; index < self->count; index++)
        finished_run_free(&self->items[index]);
    free(self->items);
    *self = (run_list){0};
}
