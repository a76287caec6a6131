#include "report/step_log.h"

#include "base/atomic_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct step_log {
    atomic_file file;
    FILE *stream; /* NULL on ranks that write nothing */
};

int step_log_open(const char *folder, int write, step_log **out, ls_error *error) {
    char path[4096];
    step_log *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    *out = self;
    if (!write)
        return LS_OK;
    snprintf(path, sizeof path, "%s/steps.csv", folder);
    LS_TRY(atomic_file_begin(&self->file, path, error));
    self->stream = fopen(self->file.temporary, "w");
    if (!self->stream)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot write", path);
    fprintf(self->stream, "step,epoch,loss\n");
    return LS_OK;
}

int step_log_add(step_log *self, int64_t step, int epoch, double loss, ls_error *error) {
    if (self->stream && fprintf(self->stream, "%" PRId64 ",%d,%.9g\n", step, epoch, loss) < 0)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->file.path);
    return LS_OK;
}

int step_log_finish(step_log *self, ls_error *error) {
    if (!self->stream)
        return LS_OK;
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
    free(self);
}
