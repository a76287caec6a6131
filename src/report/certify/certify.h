/* Whether runs did the same work and came to the same parameters, from their certificates
 * (report/run/certificate_file.h): step by step, samples and parameters apart. */
#ifndef LOCKSTEP_REPORT_CERTIFY_CERTIFY_H
#define LOCKSTEP_REPORT_CERTIFY_CERTIFY_H

#include "report/compare/comparison.h"
#include "report/read/certificate_read.h"
#include "report/read/run_list.h"
#include "report/text/table.h"

/* Two certificates up to the last step that both have. */
typedef struct certificate_comparison {
    int64_t steps;            /* compared */
    int64_t samples_part;     /* first step whose samples differ; 0: none */
    size_t hashes;            /* of parameters after steps at which both have one */
    int64_t parameters_part;  /* first of these steps whose differ; 0: none */
    int64_t parameters_equal; /* last of them before it whose do not; 0: none */
    /* The same of what both keep beside their parameters; 0 hashes: one of them does not. */
    size_t other_hashes[CERTIFIED_OTHERS];
    int64_t other_part[CERTIFIED_OTHERS];
} certificate_comparison;

/* "moving average" */
extern const char *const certified_other_names[CERTIFIED_OTHERS];

certificate_comparison certificate_compare(const certificate *a, const certificate *b);
/* But for the samples. */
bool certificate_has_same_state(const certificate_comparison *found);
bool certificate_is_identical(const certificate_comparison *found);

/* A run and what it certifies. */
typedef struct certified_run {
    const finished_run *run; /* the run_list's */
    certificate certificate;
} certified_run;

typedef struct certified_list {
    certified_run *items; /* [count] */
    size_t count;
} certified_list;

/* A certificate that is missing or damaged is a complaint, as is a run that differs from the first
 * one in what decides its samples (data, seed, global batch) or in the model: nothing of it could
 * be the same. LS_BAD_INPUT where one run was given and nothing is wrong with it. */
int certified_list_read(certified_list *out, const run_list *runs, complaints *complaints,
                        ls_error *error);
void certified_list_free(certified_list *self);

/* What `report --certify` prints of two runs or more, each against the first: that they are
 * identical, or where they part and how far from each other their parameters then are. */
void certify_text(text_buffer *out, const certified_list *list, table_format format);

/* LS_FAILED with a line that says where they part; LS_OK where they are identical. */
int certify_verdict(const certified_list *list, ls_error *error);

/* The line under a speedup table: whether those of its runs that could have the same samples do.
 * Nothing where no two have certificates that can be compared. A damaged one is a complaint. */
int certify_note(text_buffer *out, const comparison *table, complaints *complaints,
                 ls_error *error);

/* For the files of this room: a column of summary.csv and its name in texts. */
typedef struct named_column {
    const char *column, *name;
} named_column;
/* "seed is 1 in A but 2 in B; ..." */
void certify_add_differences(text_buffer *out, const named_column *columns, size_t count,
                             const finished_run *x, const finished_run *y);
/* In what decides their samples, and in the model. */
bool certify_is_alike(const finished_run *first, const finished_run *other);

#endif
