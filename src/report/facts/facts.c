#include "report/facts/facts.h"

#include "report/facts/files.h"

#include <stdlib.h>
#include <string.h>

static const column columns[] = {
#define ROW(of_part, record, row_type, row_name, ...)                                              \
    {.name = #row_name,                                                                            \
     .type = COLUMN_##row_type,                                                                    \
     .part = of_part,                                                                              \
     .offset = offsetof(record, row_name),                                                         \
     __VA_ARGS__},
#define FACT(type, name, ...)    ROW(PART_FACTS, run_facts, type, name, __VA_ARGS__)
#define TOTAL(type, name, ...)   ROW(PART_TOTALS, run_totals, type, name, __VA_ARGS__)
#define DERIVED(type, name, ...) ROW(PART_DERIVED, run_derived, type, name, __VA_ARGS__)
#include "report/facts/facts.def"
#include "report/facts/totals.def"
#undef DERIVED
#undef TOTAL
#undef FACT
#undef ROW
};

const column_table summary_columns = {
    .file = SUMMARY_FILE,
    .about = "One row, written when the run has ended: where the file stands, the run is complete.",
    .columns = columns,
    .count = sizeof columns / sizeof columns[0]};

/* The place of the index-th column's text in *facts; NULL where it is no text of the facts. */
static const char **text_at(run_facts *facts, size_t index) {
    if (columns[index].part != PART_FACTS || columns[index].type != COLUMN_TEXT)
        return NULL;
    return (const char **)(void *)((char *)facts + columns[index].offset);
}

static bool copy_texts(run_facts *self) {
    bool good = true;
    for (size_t index = 0; index < summary_columns.count; index++) {
        const char **text = text_at(self, index);
        if (text) {
            *text = strdup(*text ? *text : "");
            good &= *text != NULL;
        }
    }
    return good;
}

static bool copy_ranks(run_facts *self) {
    const rank_facts *list = self->rank_list;
    size_t bytes = (size_t)self->ranks * sizeof *list;
    if (!list)
        return true;
    rank_facts *copy = malloc(bytes);
    if (copy)
        memcpy(copy, list, bytes);
    self->rank_list = copy;
    return copy != NULL;
}

int run_facts_copy(run_facts *out, const run_facts *facts, ls_error *error) {
    *out = *facts;
    bool good = copy_texts(out);
    good &= copy_ranks(out);
    if (good)
        return LS_OK;
    run_facts_free(out);
    return ls_fail(error, LS_FAILED, "no memory for the run's records");
}

void run_facts_free(run_facts *self) {
    for (size_t index = 0; index < summary_columns.count; index++) {
        const char **text = text_at(self, index);
        if (text) {
            free((char *)*text);
            *text = NULL;
        }
    }
    free((rank_facts *)self->rank_list);
    self->rank_list = NULL;
}
