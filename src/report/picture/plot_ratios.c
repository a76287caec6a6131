#include "report/picture/plot_kinds.h"

#include "report/picture/plot_pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void add_title(text_buffer *out, const comparison *table) {
    if (table->scaling == SCALING_STRONG)
        text_add(out, "Strong scaling: the global batch is %s in every run",
                 configuration_text(table->baseline, "global_batch"));
    else if (table->scaling == SCALING_WEAK)
        text_add(out, "Weak scaling in the batch: %s images a rank, fewer steps with more ranks",
                 configuration_text(table->baseline, "batch_per_rank"));
    else
        text_add(out, "Speedup with unlike batches: neither strong nor weak scaling");
}

/* How many pairs stand behind the intervals. */
static void add_subtitle(text_buffer *out, const comparison *table) {
    size_t fewest = table->rows[0].speedup.pairs, most = fewest;
    for (size_t row = 1; row < table->count; row++) {
        size_t pairs = table->rows[row].speedup.pairs;
        fewest = pairs < fewest ? pairs : fewest;
        most = pairs > most ? pairs : most;
    }
    text_add(out, "the baseline's training time over the configuration's; ");
    if (most <= 1)
        text_add(out, "one run each, so without intervals");
    else if (fewest == most)
        text_add(out, "bars are 95%% intervals of %zu pairs of runs", most);
    else
        text_add(out, "bars are 95%% intervals of %zu to %zu pairs of runs", fewest, most);
}

/* What stands in the brackets of "2 nodes, 2 ranks (DDP)"; the rest is places. Owned by the caller;
 * NULL without memory. */
static char *series_name(const configuration *self) {
    const char *open = strrchr(self->name, '(');
    size_t length = open ? strcspn(open + 1, ")") : 0;
    return length > 0 ? strndup(open + 1, length) : strdup(configuration_text(self, "mode"));
}

static int whole(double value) {
    return value >= 1 && value <= 1e9 ? (int)value : 1;
}

static int fill(plot_speedup *points, const comparison *table, ls_error *error) {
    for (size_t row = 0; row < table->count; row++) {
        const compared *from = &table->rows[row];
        points[row] =
            (plot_speedup){.series = series_name(from->self),
                           .ranks = whole(finished_run_number(from->self->runs[0], "ranks")),
                           .ratio = from->speedup.ratio.centre,
                           .low = from->speedup.ratio.low,
                           .high = from->speedup.ratio.high};
        if (!points[row].series)
            return ls_fail(error, LS_FAILED, "no memory for a picture");
    }
    return LS_OK;
}

static int draw(picture *out, const comparison *table, const plot_speedup *points,
                ls_error *error) {
    text_buffer subtitle = {0};
    add_title(&out->title, table);
    add_subtitle(&subtitle, table);
    int status = text_buffer_check(&out->title, error);
    if (status == LS_OK)
        status = text_buffer_check(&subtitle, error);
    plot_speedups all = {.title = out->title.bytes,
                         .subtitle = subtitle.bytes,
                         .baseline = table->baseline->name,
                         .baseline_ranks =
                             whole(finished_run_number(table->baseline->runs[0], "ranks")),
                         .points = points,
                         .count = table->count};
    for (int format = 0; status == LS_OK && format < PLOT_FORMATS; format++)
        plot_speedups_script(&out->scripts[format], format, &all);
    text_free(&subtitle);
    return status;
}

static int add_one(picture_list *out, const comparison *table, size_t number, ls_error *error) {
    char name[32];
    format_plain(name, sizeof name, number == 1 ? "speedup-%s" : "speedup-%s-%zu",
                 scaling_name(table->scaling), number);
    picture *added = pictures_add(out, name, error);
    plot_speedup *points = calloc(table->count, sizeof *points);
    int status = added ? LS_OK : LS_FAILED;
    if (status == LS_OK && !points)
        status = ls_fail(error, LS_FAILED, "no memory for a picture");
    if (status == LS_OK)
        status = fill(points, table, error);
    if (status == LS_OK)
        status = draw(added, table, points, error);
    for (size_t row = 0; points && row < table->count; row++)
        free((char *)(uintptr_t)points[row].series);
    free(points);
    return status;
}

int add_speedup_pictures(picture_list *out, const comparison_list *tables, ls_error *error) {
    size_t numbers[SCALING_UNLIKE + 1] = {0};
    for (size_t index = 0; index < tables->count; index++) {
        const comparison *table = &tables->items[index];
        if (table->count > 0)
            LS_TRY(add_one(out, table, ++numbers[table->scaling], error));
    }
    return LS_OK;
}
