#include "report/compare/configuration.h"

#include "report/compare/sameness.h"
#include "report/facts/facts.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The field writes its abbreviations in capitals: a mode's name of at most four letters is one. */
static void add_mode(text_buffer *out, const char *mode) {
    bool short_name = strlen(mode) <= 4;
    for (; *mode; mode++)
        text_add(out, "%c", short_name ? toupper((unsigned char)*mode) : *mode);
}

static void add_name(text_buffer *out, const finished_run *run) {
    double nodes = finished_run_number(run, "nodes"), ranks = finished_run_number(run, "ranks");
    const char *devices = finished_run_text(run, "rank_devices");
    text_add(out, "%.0f node%s, %.0f ", nodes, nodes == 1 ? "" : "s", ranks);
    if (strcmp(finished_run_text(run, "device"), "cuda") == 0 && devices[0])
        text_add(out, "x %.*s", (int)strcspn(devices, ";"), devices);
    else
        text_add(out, "rank%s", ranks == 1 ? "" : "s");
    text_add(out, " (");
    add_mode(out, finished_run_text(run, "mode"));
    text_add(out, ")");
}

/* A bucket's size is a setting where it was given; "auto" measures it anew in each run. */
static const char *given_bucket(const finished_run *run) {
    return strcmp(finished_run_text(run, "bucket_choice"), "given") == 0
               ? finished_run_text(run, "largest_bucket_bytes")
               : "";
}

static void add_key(text_buffer *out, const finished_run *run) {
    for (size_t index = 0; index < summary_columns.count; index++)
        if (summary_columns.columns[index].compared == COMPARED_PART)
            text_add(out, "%s\x1f", finished_run_text(run, summary_columns.columns[index].name));
    text_add(out, "%s\x1f", given_bucket(run));
    sameness_add_key(out, run);
}

static int by_start(const void *a, const void *b) {
    const finished_run *x = *(const finished_run *const *)a, *y = *(const finished_run *const *)b;
    if (x->started_seconds != y->started_seconds)
        return x->started_seconds < y->started_seconds ? -1 : 1;
    return strverscmp(x->folder, y->folder);
}

static configuration *find(const configuration_list *list, const char *key) {
    for (size_t index = 0; index < list->count; index++)
        if (strcmp(list->items[index].key, key) == 0)
            return &list->items[index];
    return NULL;
}

static int add_run(configuration_list *list, const finished_run *run, size_t most,
                   ls_error *error) {
    text_buffer key = {0}, name = {0};
    add_key(&key, run);
    LS_TRY(text_buffer_check(&key, error));
    configuration *self = find(list, key.bytes);
    if (self) {
        text_free(&key);
        self->runs[self->count++] = run;
        return LS_OK;
    }
    add_name(&name, run);
    self = &list->items[list->count++];
    *self = (configuration){
        .key = key.bytes, .name = name.bytes, .runs = calloc(most, sizeof *self->runs), .count = 1};
    if (name.failed || !self->runs)
        return ls_fail(error, LS_FAILED, "report: no memory for the runs");
    self->runs[0] = run;
    return LS_OK;
}

double configuration_median(const configuration *self, const char *column) {
    double *values = calloc(self->count, sizeof *values);
    size_t count = 0;
    for (size_t index = 0; values && index < self->count; index++) {
        double value = finished_run_number(self->runs[index], column);
        if (!isnan(value))
            values[count++] = value;
    }
    double middle = median(values, count);
    free(values);
    return middle;
}

static void summarise(configuration *self) {
    qsort(self->runs, self->count, sizeof *self->runs, by_start);
    self->median_seconds = configuration_median(self, "training_seconds");
    self->median_images_per_second = configuration_median(self, "images_per_second");
    self->shortest = INFINITY;
    for (size_t index = 0; index < self->count; index++) {
        double seconds = finished_run_number(self->runs[index], "training_seconds");
        self->shortest = fmin(self->shortest, seconds);
        self->longest = fmax(self->longest, seconds);
    }
}

const char *configuration_text(const configuration *self, const char *column) {
    return finished_run_text(self->runs[0], column);
}

bool configuration_is_single(const configuration *self) {
    return strcmp(configuration_text(self, "mode"), "single") == 0;
}

/* They would stand in one table under one name. */
static bool are_namesakes(const configuration *a, const configuration *b) {
    return strcmp(a->name, b->name) == 0 &&
           strcmp(configuration_text(a, "global_batch"), configuration_text(b, "global_batch")) ==
               0 &&
           strcmp(configuration_text(a, "batch_per_rank"),
                  configuration_text(b, "batch_per_rank")) == 0;
}

/* "; factor_comm on": what of self's another with its name does not have. */
static void add_own_traits(text_buffer *out, const configuration *self,
                           const configuration *other) {
    for (size_t index = 0; index < summary_columns.count; index++) {
        const column *part = &summary_columns.columns[index];
        const char *value = configuration_text(self, part->name);
        if (part->compared == COMPARED_PART &&
            strcmp(value, configuration_text(other, part->name)) != 0)
            text_add(out, "; %s %s", part->name, value[0] ? value : "-");
    }
    const char *bucket = given_bucket(self->runs[0]);
    if (strcmp(bucket, given_bucket(other->runs[0])) != 0)
        text_add(out, "; buckets of %s bytes", bucket[0] ? bucket : "any");
    sameness_add_traits(out, self->runs[0], other->runs[0]);
}

/* Compares old names throughout: new ones go into `names`. */
static void tell_apart(const configuration_list *list, text_buffer *names) {
    for (size_t a = 0; a < list->count; a++) {
        size_t b = 0;
        while (b < list->count && (b == a || !are_namesakes(&list->items[a], &list->items[b])))
            b++;
        if (b == list->count)
            continue;
        text_add(&names[a], "%.*s", (int)strlen(list->items[a].name) - 1, list->items[a].name);
        add_own_traits(&names[a], &list->items[a], &list->items[b]);
        text_add(&names[a], ")");
    }
    for (size_t index = 0; index < list->count; index++) {
        if (names[index].failed || !names[index].bytes) {
            text_free(&names[index]);
            continue;
        }
        free(list->items[index].name);
        list->items[index].name = names[index].bytes;
    }
}

static int group(configuration_list *out, const finished_run *runs, size_t count, ls_error *error) {
    for (size_t index = 0; index < count; index++)
        LS_TRY(add_run(out, &runs[index], count, error));
    for (size_t index = 0; index < out->count; index++)
        summarise(&out->items[index]);
    text_buffer *names = calloc(out->count, sizeof *names);
    if (!names)
        return ls_fail(error, LS_FAILED, "report: no memory for the runs");
    tell_apart(out, names);
    free(names);
    return LS_OK;
}

int configurations_make(configuration_list *out, const finished_run *runs, size_t count,
                        ls_error *error) {
    *out = (configuration_list){.items = calloc(count ? count : 1, sizeof *out->items)};
    if (!out->items)
        return ls_fail(error, LS_FAILED, "report: no memory for the runs");
    int status = group(out, runs, count, error);
    if (status != LS_OK)
        configurations_free(out);
    return status;
}

void configurations_free(configuration_list *self) {
    for (size_t index = 0; index < self->count; index++) {
        free(self->items[index].name);
        free(self->items[index].key);
        free(self->items[index].runs);
    }
    free(self->items);
    *self = (configuration_list){0};
}

void configuration_add_runs(text_buffer *out, const configuration *self) {
    text_add(out, "%s", self->runs[0]->folder);
    if (self->count > 1)
        text_add(out, " (and %zu repeat%s)", self->count - 1, self->count == 2 ? "" : "s");
}

void configuration_add_seeds(text_buffer *out, const configuration *self) {
    text_buffer list = {0};
    for (size_t index = 0; index < self->count; index++)
        text_add(&list, "%s%s", index ? ";" : "", finished_run_text(self->runs[index], "seed"));
    if (list.bytes)
        sameness_add_set(out, list.bytes);
    out->failed |= list.failed;
    text_free(&list);
}

double configuration_spread(const configuration *self) {
    return (self->longest - self->shortest) / self->median_seconds;
}

/* [2][count]: room for two columns of numbers. */
static double *two_columns(size_t count, double **second) {
    double *room = calloc(2 * (count ? count : 1), sizeof *room);
    *second = room ? room + count : NULL;
    return room;
}

measured_speedup configuration_speedup(const configuration *baseline, const configuration *self) {
    measured_speedup out = {.pairs = baseline->count < self->count ? baseline->count : self->count,
                            .ratio = {NAN, NAN, NAN}};
    double *theirs, *own = two_columns(out.pairs, &theirs);
    for (size_t pair = 0; own && pair < out.pairs; pair++) {
        own[pair] = finished_run_number(self->runs[pair], "training_seconds");
        theirs[pair] = finished_run_number(baseline->runs[pair], "training_seconds");
    }
    if (own)
        out.ratio = interval_of_ratio(theirs, own, out.pairs);
    free(own);
    return out;
}

interval configuration_drift(const configuration *self) {
    double *logs, *hours = two_columns(self->count, &logs);
    for (size_t index = 0; hours && index < self->count; index++) {
        hours[index] = (self->runs[index]->started_seconds - self->runs[0]->started_seconds) / 3600;
        logs[index] = log(finished_run_number(self->runs[index], "training_seconds"));
    }
    interval out = {NAN, NAN, NAN};
    if (hours)
        out = interval_of_slope(hours, logs, self->count);
    free(hours);
    return out;
}
