#include "report/run/step_log.h"

#include "base/atomic_file.h"
#include "report/facts/files.h"
#include "report/facts/step_columns.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct step_log {
    atomic_file file;
    FILE *stream; /* empty until the end; NULL on ranks that write nothing */
    logged_steps steps;
    int64_t capacity;
};

static int grow(step_log *self, int64_t wanted, ls_error *error) {
    int64_t capacity = self->capacity ? self->capacity : 1024;
    while (capacity < wanted)
        capacity *= 2;
    if (capacity == self->capacity)
        return LS_OK;
    int64_t *epochs = realloc(self->steps.epochs, (size_t)capacity * sizeof *epochs);
    if (epochs)
        self->steps.epochs = epochs;
    double *losses = realloc(self->steps.losses, (size_t)capacity * sizeof *losses);
    if (losses)
        self->steps.losses = losses;
    if (!epochs || !losses)
        return ls_fail(error, LS_FAILED, "out of memory for " STEPS_FILE);
    self->capacity = capacity;
    return LS_OK;
}

int step_log_open(const char *folder, int write, const logged_steps *past, step_log **out,
                  ls_error *error) {
    step_log *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    *out = self;
    if (!write)
        return LS_OK;
    char path[4096];
    snprintf(path, sizeof path, "%s/" STEPS_FILE, folder);
    LS_TRY(atomic_file_begin(&self->file, path, error));
    self->stream = fopen(self->file.temporary, "we"); /* a place that takes none is known now */
    if (!self->stream)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot write", path);
    for (int64_t index = 0; past && index < past->count; index++)
        LS_TRY(step_log_add(self, index + 1, (int)past->epochs[index], past->losses[index], error));
    return LS_OK;
}

int step_log_add(step_log *self, int64_t step, int epoch, double loss, ls_error *error) {
    if (!self->stream)
        return LS_OK;
    if (step != self->steps.count + 1)
        return ls_fail(error, LS_FAILED, STEPS_FILE ": step %" PRId64 " after step %" PRId64, step,
                       self->steps.count);
    LS_TRY(grow(self, step, error));
    self->steps.epochs[step - 1] = epoch;
    self->steps.losses[step - 1] = loss;
    self->steps.count = step;
    return LS_OK;
}

const logged_steps *step_log_steps(const step_log *self) {
    return &self->steps;
}

static int write_rows(step_log *self, ls_error *error) {
    text_buffer names = {0};
    column_table_names(&names, &step_columns);
    int status = text_buffer_check(&names, error);
    bool failed = status == LS_OK && fputs(names.bytes, self->stream) < 0;
    for (int64_t index = 0; !failed && index < self->steps.count; index++)
        failed = fprintf(self->stream, "%" PRId64 ",%" PRId64 ",%.9g\n", index + 1,
                         self->steps.epochs[index], self->steps.losses[index]) < 0;
    text_free(&names);
    return failed ? ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->file.path) : status;
}

int step_log_finish(step_log *self, ls_error *error) {
    if (!self->stream)
        return LS_OK;
    LS_TRY(write_rows(self, error));
    int failed = fclose(self->stream);
    self->stream = NULL;
    if (failed)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->file.path);
    return atomic_file_commit(&self->file, error);
}

void step_log_close(step_log *self) {
    if (!self)
        return;
    if (self->stream)
        fclose(self->stream);
    atomic_file_discard(&self->file);
    free(self->steps.epochs);
    free(self->steps.losses);
    free(self);
}
