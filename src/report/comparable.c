#include "report/comparable.h"

#include "report/text_buffer.h"

#include <stdlib.h>
#include <string.h>

typedef enum {
    SAME_VALUE,
    SAME_SET,         /* a value a rank, with semicolons between: the same ones, however often */
    SAME_SET_ON_HOST, /* as SAME_SET, where the host's threads do the computing */
    SAME_VERSIONS     /* "Name version, Name version": what both name has one version */
} sameness;

/* What makes two runs the same work on the same kind of machine. */
static const struct {
    const char *column;
    const char *name; /* for the line that says what differs */
    sameness rule;
} rules[] = {
    {"lockstep_version", "lockstep's version", SAME_VALUE},
    {"libraries", "list of libraries", SAME_VERSIONS},
    {"model", "model", SAME_VALUE},
    {"parameters", "number of parameters", SAME_VALUE},
    {"precision", "precision", SAME_VALUE},
    {"grad_comm", "type of exchanged gradients", SAME_VALUE},
    {"device", "device", SAME_VALUE},
    {"device_library", "device library", SAME_VALUE},
    {"rank_devices", "set of devices", SAME_SET},
    {"rank_gpu_drivers", "set of GPU drivers", SAME_SET},
    {"graph_requested", "use of a CUDA graph", SAME_VALUE},
    {"rank_threads", "number of threads a rank", SAME_SET_ON_HOST},
    {"oversubscribed", "oversubscription", SAME_VALUE},
    {"dataset_id", "data set id", SAME_VALUE},
    {"train_images_per_epoch", "number of images an epoch", SAME_VALUE},
    {"test_images", "number of test images", SAME_VALUE},
    {"epochs", "number of epochs", SAME_VALUE},
    {"images", "number of images trained on", SAME_VALUE},
    {"seed", "seed", SAME_VALUE},
    {"optimizer", "optimizer", SAME_VALUE},
    {"learning_rate", "learning rate", SAME_VALUE},
    {"momentum", "momentum", SAME_VALUE},
    {"weight_decay", "weight decay", SAME_VALUE},
    {"profile_steps", "number of profiled steps", SAME_VALUE},
};

static bool is_on_host(const finished_run *run) {
    return strcmp(finished_run_text(run, "device"), "cuda") != 0;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum { LARGEST_SET = 4096 };

/* "b;a;b" as "a;b". Ranks beyond LARGEST_SET stay unsorted: never merged, so never called equal
 * by mistake. */
static void add_set(text_buffer *out, const char *list) {
    char *copy = strdup(list);
    char **values = copy ? calloc(LARGEST_SET, sizeof *values) : NULL;
    out->failed |= !values;
    size_t count = 0;
    char *rest = copy;
    while (values && rest && count < LARGEST_SET - 1)
        values[count++] = strsep(&rest, ";");
    if (values)
        qsort(values, count, sizeof *values, by_text);
    for (size_t index = 0; values && index < count; index++)
        if (index == 0 || strcmp(values[index], values[index - 1]) != 0)
            text_add(out, "%s%s", index ? ";" : "", values[index]);
    if (rest)
        text_add(out, ";%s", rest);
    free(values);
    free(copy);
}

/* What a rule compares, where that is one text. */
static void add_value(text_buffer *out, const finished_run *run, size_t rule) {
    const char *value = finished_run_text(run, rules[rule].column);
    bool set = rules[rule].rule == SAME_SET || rules[rule].rule == SAME_SET_ON_HOST;
    if (rules[rule].rule == SAME_SET_ON_HOST && !is_on_host(run))
        text_add(out, "%s", "");
    else if (set)
        add_set(out, value);
    else
        text_add(out, "%s", value);
}

/* The part of "Name 1.2, Other 3.4" that begins at `list` and ends before the comma. */
static size_t entry_length(const char *list) {
    const char *comma = strstr(list, ", ");
    return comma ? (size_t)(comma - list) : strlen(list);
}

/* The length of an entry's name: all but its last word. */
static size_t name_length(const char *entry, size_t length) {
    while (length > 0 && entry[length - 1] != ' ')
        length--;
    return length;
}

/* A run that was started alone has no MPI to name: only libraries that both used can differ. */
static bool same_versions(const char *a, const char *b) {
    for (; *a; a += entry_length(a), a += *a ? 2 : 0) {
        size_t length_a = entry_length(a), name = name_length(a, length_a);
        for (const char *at = b; *at; at += entry_length(at), at += *at ? 2 : 0) {
            size_t length_b = entry_length(at);
            bool same_name =
                name > 0 && name_length(at, length_b) == name && memcmp(a, at, name) == 0;
            if (same_name && (length_a != length_b || memcmp(a, at, length_a) != 0))
                return false;
        }
    }
    return true;
}

static bool agree(size_t rule, const char *a, const char *b) {
    return rules[rule].rule == SAME_VERSIONS ? same_versions(a, b) : strcmp(a, b) == 0;
}

static void add_difference(text_buffer *out, const char *name, const char *a,
                           const finished_run *run_a, const char *b, const finished_run *run_b) {
    text_add(out, "%s%s is %s in %s but %s in %s", out->length ? "; " : "", name,
             a[0] ? a : "not given", run_a->folder, b[0] ? b : "not given", run_b->folder);
}

static void add_rule_difference(text_buffer *out, size_t rule, const finished_run *baseline,
                                const finished_run *run) {
    text_buffer a = {0}, b = {0};
    add_value(&a, baseline, rule);
    add_value(&b, run, rule);
    out->failed |= a.failed || b.failed;
    if (!out->failed && !agree(rule, a.bytes, b.bytes))
        add_difference(out, rules[rule].name, a.bytes, baseline, b.bytes, run);
    text_free(&a);
    text_free(&b);
}

/* A run against itself would be a speedup of 1 that nobody measured; a copy of its folder too. */
static int check_distinct(const finished_run *runs, size_t count, ls_error *error) {
    for (size_t b = 0; b < count; b++)
        for (size_t a = 0; a < b; a++) {
            const csv_table *x = &runs[a].summary, *y = &runs[b].summary;
            bool same = runs[a].device == runs[b].device && runs[a].inode == runs[b].inode;
            bool copy = x->columns == y->columns;
            for (size_t cell = 0; copy && cell < 2 * x->columns; cell++)
                copy = strcmp(x->cells[cell], y->cells[cell]) == 0;
            if (same || copy)
                return ls_fail(error, LS_BAD_INPUT, "%s and %s are the same run: give it once",
                               runs[a].folder, runs[b].folder);
        }
    return LS_OK;
}

/* With several, the first one serves to name what else differs. */
static int find_baseline(const finished_run *runs, size_t count, size_t *baseline,
                         text_buffer *differences, ls_error *error) {
    size_t found = 0;
    for (size_t index = 0; index < count; index++) {
        if (strcmp(finished_run_text(&runs[index], "mode"), "single") != 0)
            continue;
        if (found++ == 0)
            *baseline = index;
        else
            text_add(differences,
                     "%s%s and %s both have mode single, where one baseline is "
                     "expected",
                     differences->length ? "; " : "", runs[*baseline].folder, runs[index].folder);
    }
    if (found == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "no baseline: expected one run with mode single, found mode %s in %s%s",
                       finished_run_text(&runs[0], "mode"), runs[0].folder,
                       count > 1 ? " and no single among the others" : "");
    if (finished_run_number(&runs[*baseline], "ranks") != 1)
        return ls_fail(error, LS_BAD_INPUT, "%s: mode single with %s ranks: expected 1",
                       runs[*baseline].folder, finished_run_text(&runs[*baseline], "ranks"));
    return LS_OK;
}

/* The first run that differs from the baseline in `column`; the baseline where none does. */
static size_t first_other(const finished_run *runs, size_t count, size_t baseline,
                          const char *column) {
    const char *value = finished_run_text(&runs[baseline], column);
    for (size_t index = 0; index < count; index++)
        if (strcmp(finished_run_text(&runs[index], column), value) != 0)
            return index;
    return baseline;
}

/* One global batch is strong scaling. Else one batch per rank is weak scaling, and the global
 * batch follows from it; with neither, two things change at once and no table fits. */
static scaling_kind find_scaling(const finished_run *runs, size_t count, size_t baseline,
                                 text_buffer *differences) {
    static const char *const columns[] = {"global_batch", "batch_per_rank"};
    static const char *const names[] = {"global batch", "batch per rank"};
    size_t other[2];
    for (int index = 0; index < 2; index++)
        other[index] = first_other(runs, count, baseline, columns[index]);
    if (other[0] == baseline)
        return count > 1 ? SCALING_STRONG : SCALING_NONE;
    if (other[1] == baseline)
        return SCALING_WEAK;
    for (int index = 0; index < 2; index++)
        add_difference(differences, names[index],
                       finished_run_text(&runs[baseline], columns[index]), &runs[baseline],
                       finished_run_text(&runs[other[index]], columns[index]), &runs[other[index]]);
    text_add(differences, " (a table has one global batch or one batch per rank)");
    return SCALING_NONE;
}

static int find_differences(const finished_run *runs, size_t count, size_t *baseline,
                            scaling_kind *scaling, text_buffer *differences, ls_error *error) {
    LS_TRY(find_baseline(runs, count, baseline, differences, error));
    for (size_t rule = 0; rule < sizeof rules / sizeof rules[0]; rule++)
        for (size_t index = 0; index < count; index++)
            if (index != *baseline)
                add_rule_difference(differences, rule, &runs[*baseline], &runs[index]);
    *scaling = find_scaling(runs, count, *baseline, differences);
    LS_TRY(text_buffer_check(differences, error));
    if (differences->length > 0)
        return ls_fail(error, LS_BAD_INPUT, "the runs cannot be compared: %s", differences->bytes);
    return LS_OK;
}

int comparable_check(const finished_run *runs, size_t count, size_t *baseline,
                     scaling_kind *scaling, ls_error *error) {
    LS_TRY(check_distinct(runs, count, error));
    text_buffer differences = {0};
    int status = find_differences(runs, count, baseline, scaling, &differences, error);
    text_free(&differences);
    return status;
}
