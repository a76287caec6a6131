#include "report/gpu_csv.h"

#include "base/atomic_file.h"
#include "report/csv.h"
#include "report/gpu_text.h"
#include "report/summary.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void put_bytes(csv_row *row, const char *column, double bytes) {
    if (isnan(bytes))
        csv_put_text(row, column, "");
    else
        csv_put_integer(row, column, llround(bytes));
}

static void put_throttles(csv_row *row, const usage_sample *sample) {
    text_buffer reasons = {0};
    if (sample->throttle_known)
        throttle_text(&reasons, sample->throttle_reasons);
    csv_put_text(row, "clocks_held_back_by", reasons.bytes ? reasons.bytes : "");
    row->values.failed |= reasons.failed;
    text_free(&reasons);
}

static void sample_row(csv_row *row, int rank, const usage_sample *sample) {
    csv_put_number(row, "seconds", sample->seconds);
    csv_put_integer(row, "rank", rank);
    csv_put_integer(row, "training", sample->training);
    csv_put_number(row, "gpu_utilisation_percent", 100 * sample->gpu_utilisation);
    put_bytes(row, "gpu_memory_bytes", sample->gpu_memory_bytes);
    csv_put_number(row, "power_watts", sample->power_watts);
    csv_put_number(row, "sm_clock_mhz", sample->sm_clock_hertz / 1e6);
    csv_put_number(row, "memory_clock_mhz", sample->memory_clock_hertz / 1e6);
    csv_put_number(row, "temperature_celsius", sample->temperature_celsius);
    put_throttles(row, sample);
    csv_put_number(row, "host_cpu_percent", 100 * sample->host_cpu_utilisation);
    csv_put_number(row, "own_cpu_cores", sample->own_cpu_cores);
}

/* The names of the columns, or one row. */
static int write_row(FILE *file, int rank, const usage_sample *sample, bool names,
                     ls_error *error) {
    csv_row row = {0};
    sample_row(&row, rank, sample);
    const text_buffer *line = names ? &row.names : &row.values;
    int status = text_buffer_check(line, error);
    if (status == LS_OK && fprintf(file, "%s\n", line->bytes) < 0)
        status = ls_fail_errno(error, LS_FAILED, "%s: cannot write", GPU_FILE);
    csv_row_free(&row);
    return status;
}

static int write_rows(FILE *file, const usage_sample *samples, int ranks, size_t capacity,
                      ls_error *error) {
    static const usage_sample none;
    LS_TRY(write_row(file, 0, &none, true, error));
    for (int rank = 0; rank < ranks; rank++) {
        const usage_sample *own = samples + (size_t)rank * capacity;
        for (size_t index = 0; index < capacity && !isnan(own[index].seconds); index++)
            LS_TRY(write_row(file, rank, &own[index], false, error));
    }
    return LS_OK;
}

int gpu_csv_write(const char *folder, const usage_sample *samples, int ranks, size_t capacity,
                  ls_error *error) {
    char path[4096];
    atomic_file file;
    if (strlen(folder) + sizeof "/" GPU_FILE > sizeof path)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is too long", folder);
    snprintf(path, sizeof path, "%s/" GPU_FILE, folder);
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
