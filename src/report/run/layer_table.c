#include "report/run/layer_table.h"

#include "base/atomic_file.h"
#include "report/facts/files.h"
#include "report/text/number.h"
#include "report/text/table.h"

#include <math.h>

static void add_lines(text_buffer *file, const layer_row *rows, size_t count) {
    column_table_names(file, &layer_columns);
    for (size_t index = 0; index < count; index++)
        layer_add_row(file, index + 1, &rows[index]);
}

int layer_table_write(const char *folder, const layer_row *rows, size_t count, ls_error *error) {
    char path[4200];
    text_buffer file = {0};
    format_plain(path, sizeof path, "%s/" LAYERS_FILE, folder);
    add_lines(&file, rows, count);
    int status = text_buffer_check(&file, error);
    if (status == LS_OK)
        status = atomic_file_write(path, file.bytes, file.length, error);
    text_free(&file);
    return status;
}

/* A cell, "-" where the value is not known. */
static void cell(table *out, double value, int decimals) {
    table_cell(out, "%s", number(value, decimals).text);
}

static void add_row(table *out, const layer_row *row, double whole) {
    double seconds = row->seconds;
    table_cell(out, "%s", row->layer);
    table_cell(out, "%s", layer_phase_name(row->phase));
    cell(out, seconds * 1e6, 1);
    table_cell(out, "%s", percent(whole > 0 ? seconds / whole : NAN, 1).text);
    cell(out, row->flop / 1e6, 1);
    cell(out, row->bytes / 1e6, 2);
    cell(out, row->floor_seconds * 1e6, 1);
    cell(out, row->floor_seconds > 0 ? seconds / row->floor_seconds : NAN, 2);
}

/* The sum of what is known; the floor of the whole step leaves out what has none. */
static layer_row sum_of(const layer_row *rows, size_t count) {
    layer_row sum = {.phase = LAYER_PHASES};
    for (size_t index = 0; index < count; index++) {
        sum.seconds += rows[index].seconds;
        if (isnan(rows[index].flop))
            continue;
        sum.flop += rows[index].flop;
        sum.bytes += rows[index].bytes;
        sum.floor_seconds += rows[index].floor_seconds;
    }
    return sum;
}

static void add_sum(table *out, const layer_row *rows, size_t count, const layer_rates *rates) {
    layer_row sum = sum_of(rows, count);
    table_cell(out, "sum");
    table_cell(out, "%s", "");
    cell(out, sum.seconds * 1e6, 1);
    table_cell(out, "%s", percent(sum.seconds / rates->step_seconds, 1).text);
    cell(out, sum.flop / 1e6, 1);
    cell(out, sum.bytes / 1e6, 2);
    cell(out, sum.floor_seconds * 1e6, 1);
    cell(out, sum.floor_seconds > 0 ? sum.seconds / sum.floor_seconds : NAN, 2);
}

void layer_table_text(text_buffer *out, const layer_row *rows, size_t count,
                      const layer_rates *rates) {
    static const table_column columns[] = {{"layer", true},     {"phase", true},      {"us", false},
                                           {"of step", false},  {"MFLOP", false},     {"MB", false},
                                           {"floor us", false}, {"over floor", false}};
    table lines = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    for (size_t index = 0; index < count; index++)
        add_row(&lines, &rows[index], rates->step_seconds);
    add_sum(&lines, rows, count, rates);
    text_add(out, "\n");
    table_print(&lines, TABLE_TEXT, "", out);
    text_add(out,
             "rank 0, medians of %d profiled step%s of %s us each; floor: the larger of FLOP at "
             "%s GFLOP/s (a large matrix product) and bytes at %s GB/s (a large copy), both "
             "measured here; a convolution's FLOP are the direct algorithm's, and Winograd's takes "
             "fewer\n",
             rates->steps, rates->steps == 1 ? "" : "s", number(rates->step_seconds * 1e6, 1).text,
             number(rates->flop_per_second / 1e9, 1).text,
             number(rates->bytes_per_second / 1e9, 2).text);
    out->failed |= lines.failed;
    table_free(&lines);
}
