/* The tables of a report: which configurations stand in which, against which baseline. */
#ifndef LOCKSTEP_REPORT_COMPARE_COMPARISON_H
#define LOCKSTEP_REPORT_COMPARE_COMPARISON_H

#include "report/compare/configuration.h"
#include "report/read/complaints.h"

typedef enum {
    SCALING_NONE,   /* a baseline alone */
    SCALING_WEAK,   /* one batch per rank: the global batch, and the steps an epoch, differ */
    SCALING_STRONG, /* one global batch */
    SCALING_UNLIKE  /* neither, by --allow batch */
} scaling_kind;

/* A configuration against the baseline of its table. */
typedef struct compared {
    const configuration *self;
    measured_speedup speedup;
    char *allowed; /* what --allow let differ, for a footnote: "precision is ..."; NULL; owned */
} compared;

typedef struct comparison {
    scaling_kind scaling;
    const configuration *baseline; /* mode single */
    compared *rows;                /* [count], without the baseline's; owned */
    size_t count;
} comparison;

typedef struct comparison_list {
    comparison *items; /* [count]: weak, strong and unlike tables, then baselines alone */
    size_t count;
} comparison_list;

/* Every configuration goes into the tables of the baselines that it is most like: weak scaling
 * where the batch per rank is the baseline's, strong scaling where the global batch is (with two
 * baselines of unlike batches it can be both). Another `single` that no table needs is compared as
 * any configuration is. A configuration that differs from its baseline (sameness.h) in what
 * `allow` does not name is left out, with a complaint that says what differs; fewer repeats than
 * the baseline's, or more, are a complaint too, and stay. LS_BAD_INPUT without any `single`.
 * `configurations` must outlive the list. */
int comparisons_make(comparison_list *out, const configuration_list *configurations,
                     const char *allow, complaints *complaints, ls_error *error);
void comparisons_free(comparison_list *self);

/* "weak": as the CSV table has it. */
const char *scaling_name(scaling_kind kind);

#endif
