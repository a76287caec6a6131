#include "report/picture/plot_kinds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A configuration's name without what makes one of two batches: the series. With its precision,
 * where there are several and the name has none. Owned by the caller. */
static char *series_of(const mode_row *row, bool precisions) {
    text_buffer name = {0};
    precisions = precisions && row->self && !strstr(row->self->name, "precision ");
    if (row->published)
        text_add(&name, "published: %s, %s", row->published->configuration,
                 row->hardware[0] ? row->hardware : "hardware not told");
    else
        text_add(&name, "%s%s%s", row->self->name, precisions ? ", " : "",
                 precisions ? configuration_text(row->self, "precision") : "");
    if (name.failed)
        text_free(&name);
    return name.bytes;
}

static bool several_precisions(const modes *modes) {
    const char *first = NULL;
    for (size_t index = 0; index < modes->count; index++) {
        const configuration *self = modes->rows[index].self;
        if (self && first && strcmp(configuration_text(self, "precision"), first) != 0)
            return true;
        if (self)
            first = configuration_text(self, "precision");
    }
    return false;
}

static double batch_of(const mode_row *row) {
    return row->self ? finished_run_number(row->self->runs[0], "batch_per_rank")
                     : row->published->batch_per_rank;
}

/* Series as their first rows stand in the table: in each picture the same colours. */
static int by_place(const void *a, const void *b) {
    const plot_throughput *x = a, *y = b;
    if (x->published != y->published)
        return x->published ? 1 : -1;
    if (x->place != y->place)
        return x->place > y->place ? 1 : -1;
    return (x->batch > y->batch) - (x->batch < y->batch);
}

static size_t place_of(const plot_throughput *points, size_t count, const char *series) {
    for (size_t index = 0; index < count; index++)
        if (strcmp(points[index].series, series) == 0)
            return points[index].place;
    return count;
}

static int fill(plot_throughput *points, size_t *count, const modes *modes, ls_error *error) {
    bool precisions = several_precisions(modes);
    for (size_t index = 0; index < modes->count; index++) {
        const mode_row *row = &modes->rows[index];
        if (isnan(row->images_per_second) || isnan(batch_of(row)))
            continue;
        char *name = series_of(row, precisions);
        if (!name)
            return ls_fail(error, LS_FAILED, "no memory for a picture");
        size_t place = place_of(points, *count, name);
        points[(*count)++] = (plot_throughput){.series = name,
                                               .place = place,
                                               .batch = batch_of(row),
                                               .images_per_second = row->images_per_second,
                                               .published = row->published != NULL};
    }
    qsort(points, *count, sizeof *points, by_place);
    return LS_OK;
}

static int draw(picture_list *out, const plot_throughput *points, size_t count, ls_error *error) {
    plot_throughputs all = {.title = "Throughput over the batch",
                            .subtitle =
                                "images a second of all ranks; medians of the repeats; hollow: "
                                "published by others, not measured here",
                            .points = points,
                            .count = count};
    if (!points[count - 1].published)
        all.subtitle = "images a second of all ranks; medians of the repeats";
    picture *added = pictures_add(out, "throughput", error);
    if (!added)
        return LS_FAILED;
    text_add(&added->title, "%s", all.title);
    for (int format = 0; format < PLOT_FORMATS; format++)
        plot_throughputs_script(&added->scripts[format], format, &all);
    return text_buffer_check(&added->title, error);
}

int add_throughput_picture(picture_list *out, const modes *modes, ls_error *error) {
    plot_throughput *points = calloc(modes->count + 1, sizeof *points);
    size_t count = 0;
    int status = points ? LS_OK : ls_fail(error, LS_FAILED, "no memory for a picture");
    if (status == LS_OK)
        status = fill(points, &count, modes, error);
    if (status == LS_OK && count > 1)
        status = draw(out, points, count, error);
    for (size_t index = 0; index < count; index++)
        free((char *)(uintptr_t)points[index].series);
    free(points);
    return status;
}
