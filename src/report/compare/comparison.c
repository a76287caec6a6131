#include "report/compare/comparison.h"

#include "report/compare/differences.h"
#include "report/read/allow.h"

#include <stdlib.h>
#include <string.h>

const char *scaling_name(scaling_kind kind) {
    static const char *const names[] = {"none", "weak", "strong", "unlike"};
    return names[kind];
}

static bool same(const configuration *a, const configuration *b, const char *column) {
    return strcmp(configuration_text(a, column), configuration_text(b, column)) == 0;
}

/* An empty batch per rank (the global batch does not divide) is like no other. */
static scaling_kind scaling_of(const configuration *baseline, const configuration *self) {
    if (same(baseline, self, "global_batch"))
        return SCALING_STRONG;
    bool weak = configuration_text(self, "batch_per_rank")[0] != '\0' &&
                same(baseline, self, "batch_per_rank");
    return weak ? SCALING_WEAK : SCALING_UNLIKE;
}

/* Two things that change at once fit no table. */
static void find_batch(differences *found, const configuration *baseline, const configuration *self,
                       const char *allow) {
    static const char *const columns[] = {"global_batch", "batch_per_rank"};
    static const char *const names[] = {"global batch", "batch per rank"};
    if (scaling_of(baseline, self) != SCALING_UNLIKE)
        return;
    for (int index = 0; index < 2; index++)
        differences_add(found, allow, "batch", names[index],
                        configuration_text(baseline, columns[index]), baseline,
                        configuration_text(self, columns[index]), self);
}

static void find_all(differences *found, const configuration *baseline, const configuration *self,
                     const char *allow) {
    find_batch(found, baseline, self, allow);
    differences_find(found, baseline, self, allow);
}

/* How unlike: a batch that fits no table outweighs all else. */
static size_t distance(const configuration *baseline, const configuration *self) {
    differences found = {0};
    find_all(&found, baseline, self, NULL);
    size_t count = found.count + (scaling_of(baseline, self) == SCALING_UNLIKE ? 1000 : 0);
    differences_free(&found);
    return count;
}

typedef struct maker {
    comparison_list *out;
    const configuration_list *list;
    const char *allow;
    complaints *complaints;
    bool *used; /* [list->count]: the baseline of some configuration */
    ls_error *error;
} maker;

static int no_memory(ls_error *error) {
    return ls_fail(error, LS_FAILED, "report: no memory for its tables");
}

static int table_for(maker *self, scaling_kind scaling, const configuration *baseline,
                     comparison **out) {
    for (size_t index = 0; index < self->out->count; index++) {
        *out = &self->out->items[index];
        if ((*out)->scaling == scaling && (*out)->baseline == baseline)
            return LS_OK;
    }
    comparison *items = realloc(self->out->items, (self->out->count + 1) * sizeof *items);
    if (!items)
        return no_memory(self->error);
    self->out->items = items;
    *out = &items[self->out->count++];
    **out = (comparison){.scaling = scaling, .baseline = baseline};
    return LS_OK;
}

static int check_repeats(maker *self, const configuration *baseline, const configuration *other) {
    size_t pairs = baseline->count < other->count ? baseline->count : other->count;
    if (baseline->count == other->count || allow_holds(self->allow, "repeats"))
        return LS_OK;
    ls_fail(self->error, LS_BAD_INPUT,
            "%s, from %.200s: %zu repeat%s where the baseline, from %.200s, has %zu: %zu pair%s "
            "for the ratio, the rest is in the median only (--allow repeats says this under the "
            "table instead)",
            other->name, other->runs[0]->folder, other->count, other->count == 1 ? "" : "s",
            baseline->runs[0]->folder, baseline->count, pairs, pairs == 1 ? "" : "s");
    return complaints_add(self->complaints, self->error);
}

static int add_row(maker *self, const configuration *baseline, const configuration *other,
                   char **allowed) {
    comparison *table = NULL;
    LS_TRY(check_repeats(self, baseline, other));
    LS_TRY(table_for(self, scaling_of(baseline, other), baseline, &table));
    compared *rows = realloc(table->rows, (table->count + 1) * sizeof *rows);
    if (!rows)
        return no_memory(self->error);
    table->rows = rows;
    rows[table->count++] = (compared){
        .self = other, .speedup = configuration_speedup(baseline, other), .allowed = *allowed};
    *allowed = NULL;
    return LS_OK;
}

static int refuse(maker *self, const differences *found) {
    bool batch = strstr(found->mend.bytes, "batch") != NULL;
    ls_fail(self->error, LS_BAD_INPUT,
            "the runs cannot be compared: %s%s (train again, or --allow %s: it will stand under "
            "the table)",
            found->refused.bytes,
            batch ? " (a table has one global batch or one batch per rank)" : "",
            found->mend.bytes);
    return complaints_add(self->complaints, self->error);
}

static int compare(maker *self, const configuration *baseline, const configuration *other) {
    differences found = {0};
    find_all(&found, baseline, other, self->allow);
    int status = text_buffer_check(&found.refused, self->error);
    if (status == LS_OK)
        status = text_buffer_check(&found.allowed, self->error);
    if (status == LS_OK && found.refused.length > 0)
        status = refuse(self, &found);
    else if (status == LS_OK)
        status = add_row(self, baseline, other, &found.allowed.bytes);
    differences_free(&found);
    return status;
}

static bool is_candidate(const maker *self, size_t baseline, bool used_only) {
    return configuration_is_single(&self->list->items[baseline]) &&
           (!used_only || self->used[baseline]);
}

/* Against every baseline that it is most like; against the first where its batch fits none. */
static int place(maker *self, size_t index, bool used_only) {
    const configuration *items = self->list->items, *other = &items[index];
    size_t least = SIZE_MAX;
    for (size_t b = 0; b < self->list->count; b++)
        if (is_candidate(self, b, used_only)) {
            size_t found = distance(&items[b], other);
            least = found < least ? found : least;
        }
    for (size_t b = 0; b < self->list->count; b++) {
        if (!is_candidate(self, b, used_only) || distance(&items[b], other) != least)
            continue;
        self->used[b] = true;
        LS_TRY(compare(self, &items[b], other));
        if (scaling_of(&items[b], other) == SCALING_UNLIKE)
            break;
    }
    return LS_OK;
}

static int first_single(const maker *self, size_t *out) {
    const configuration *items = self->list->items;
    for (size_t index = 0; index < self->list->count; index++)
        if (configuration_is_single(&items[index])) {
            *out = index;
            return LS_OK;
        }
    if (self->list->count == 0)
        return ls_fail(self->error, LS_BAD_INPUT, "no run is left to report");
    return ls_fail(self->error, LS_BAD_INPUT,
                   "no baseline: expected a run with mode single, found mode %s in %s%s",
                   configuration_text(&items[0], "mode"), items[0].runs[0]->folder,
                   self->list->count > 1 ? " and no single among the others" : "");
}

static int place_all(maker *self) {
    const configuration *items = self->list->items;
    size_t count = self->list->count, first = 0;
    bool any = false;
    LS_TRY(first_single(self, &first));
    for (size_t index = 0; index < count; index++)
        if (!configuration_is_single(&items[index])) {
            any = true;
            LS_TRY(place(self, index, false));
        }
    self->used[first] |= !any;
    for (size_t index = 0; index < count; index++)
        if (configuration_is_single(&items[index]) && !self->used[index])
            LS_TRY(place(self, index, true));
    return LS_OK;
}

static bool has_table(const comparison_list *list, const configuration *baseline) {
    for (size_t index = 0; index < list->count; index++)
        if (list->items[index].baseline == baseline)
            return true;
    return false;
}

/* What is left of a baseline whose partners were all refused, or that came alone. */
static int place_lonely(maker *self) {
    comparison *table = NULL;
    for (size_t index = 0; index < self->list->count; index++)
        if (self->used[index] && !has_table(self->out, &self->list->items[index]))
            LS_TRY(table_for(self, SCALING_NONE, &self->list->items[index], &table));
    return LS_OK;
}

/* The tables in their order; within a kind in the order of their making. */
static int by_kind(const void *a, const void *b) {
    static const int order[] = {
        [SCALING_WEAK] = 0, [SCALING_STRONG] = 1, [SCALING_UNLIKE] = 2, [SCALING_NONE] = 3};
    const comparison *x = a, *y = b;
    int kinds = order[x->scaling] - order[y->scaling];
    return kinds ? kinds : (x->baseline > y->baseline) - (x->baseline < y->baseline);
}

int comparisons_make(comparison_list *out, const configuration_list *configurations,
                     const char *allow, complaints *complaints, ls_error *error) {
    *out = (comparison_list){0};
    maker self = {.out = out,
                  .list = configurations,
                  .allow = allow,
                  .complaints = complaints,
                  .used = calloc(configurations->count + 1, sizeof *self.used),
                  .error = error};
    if (!self.used)
        return no_memory(error);
    int status = place_all(&self);
    if (status == LS_OK)
        status = place_lonely(&self);
    free(self.used);
    if (status == LS_OK && out->count > 0)
        qsort(out->items, out->count, sizeof *out->items, by_kind);
    if (status != LS_OK)
        comparisons_free(out);
    return status;
}

void comparisons_free(comparison_list *self) {
    for (size_t index = 0; index < self->count; index++) {
        for (size_t row = 0; row < self->items[index].count; row++)
            free(self->items[index].rows[row].allowed);
        free(self->items[index].rows);
    }
    free(self->items);
    *self = (comparison_list){0};
}
