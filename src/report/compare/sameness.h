/* What makes two runs the same work on the same kind of machine: a speedup compares nothing else.
 * Every column of summary.csv that must be equal says so in the table (facts/facts.def,
 * totals.def), with the name by which --allow lets it differ, with a footnote. */
#ifndef LOCKSTEP_REPORT_COMPARE_SAMENESS_H
#define LOCKSTEP_REPORT_COMPARE_SAMENESS_H

#include "base/text_buffer.h"
#include "report/facts/column.h"
#include "report/read/finished_run.h"

/* Walks over these columns, name by name in the order of ALLOW_NAMES (read/allow.h), under one name
 * in the table's order. Zero bytes: before the first. */
typedef struct sameness_cursor {
    size_t name, column;
} sameness_cursor;
/* NULL behind the last. */
const column *sameness_next(sameness_cursor *self);

/* What a rule compares of one run, where that is one text. */
void sameness_add_value(text_buffer *out, const finished_run *run, const column *rule);
bool sameness_agrees(const column *rule, const char *a, const char *b);
/* "b;a;b" as "a;b". */
void sameness_add_set(text_buffer *out, const char *list);

/* What of a run makes it part of a configuration. */
void sameness_add_key(text_buffer *out, const finished_run *run);
/* "; strict 1" for each such value of `run` that `other` does not share. */
void sameness_add_traits(text_buffer *out, const finished_run *run, const finished_run *other);

#endif
