#include "report/run/gpu_csv.h"

#include "base/atomic_file.h"
#include "report/facts/files.h"
#include "report/facts/rank_columns.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The names of the columns, or one row. */
static int write_line(FILE *file, const text_buffer *line, ls_error *error) {
    LS_TRY(text_buffer_check(line, error));
    if (fputs(line->bytes, file) < 0)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot write", sample_columns.file);
    return LS_OK;
}

static int write_sample(FILE *file, int rank, const usage_sample *sample, ls_error *error) {
    text_buffer line = {0};
    sample_add_row(&line, rank, sample);
    int status = write_line(file, &line, error);
    text_free(&line);
    return status;
}

static int write_rows(FILE *file, const usage_sample *samples, int ranks, size_t capacity,
                      ls_error *error) {
    text_buffer names = {0};
    column_table_names(&names, &sample_columns);
    int status = write_line(file, &names, error);
    text_free(&names);
    for (int rank = 0; rank < ranks && status == LS_OK; rank++) {
        const usage_sample *own = samples + (size_t)rank * capacity;
        for (size_t index = 0; index < capacity && !isnan(own[index].seconds); index++)
            LS_TRY(write_sample(file, rank, &own[index], error));
    }
    return status;
}

int gpu_csv_write(const char *folder, const char *name, const usage_sample *samples, int ranks,
                  size_t capacity, ls_error *error) {
    char path[4096];
    atomic_file file;
    if (strlen(folder) + strlen(name) + 2 > sizeof path)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is too long", folder);
    format_plain(path, sizeof path, "%s/%s", folder, name);
    LS_TRY(atomic_file_begin(&file, path, error));
    FILE *stream = fopen(file.temporary, "we");
    int status = stream ? write_rows(stream, samples, ranks, capacity, error)
                        : ls_fail_errno(error, LS_FAILED, "%s: cannot write", path);
    if (stream && fclose(stream) != 0 && status == LS_OK)
        status = ls_fail_errno(error, LS_FAILED, "%s: cannot write", path);
    if (status == LS_OK)
        return atomic_file_commit(&file, error);
    atomic_file_discard(&file);
    return status;
}
