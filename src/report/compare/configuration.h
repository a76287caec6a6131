/* Runs grouped into configurations: all that was done the same way (mode, ranks, nodes, batch, how
 * gradients are exchanged, and whatever sameness.c compares), so that what differs between its
 * runs is chance: times, accuracies, hashes, hosts, and the seed. Such runs are repeats. */
#ifndef LOCKSTEP_REPORT_COMPARE_CONFIGURATION_H
#define LOCKSTEP_REPORT_COMPARE_CONFIGURATION_H

#include "base/error.h"
#include "base/text_buffer.h"
#include "report/compare/interval.h"
#include "report/read/finished_run.h"

#include <stddef.h>

typedef struct configuration {
    /* "2 nodes, 2 ranks (DDP)"; a GPU is named: "2 nodes, 2 x NVIDIA A100 (DDP)". What two of a
     * list with the same batch would share is made different by what they differ in: "(DDP; strict
     * 1)". Owned. */
    char *name;
    char *key; /* what its runs have in common; owned */
    /* [count], in the order of their start (within a second: by folder, numbers as numbers). The
     * array is owned, the runs are the caller's. */
    const finished_run **runs;
    size_t count;                             /* of repeats, at least 1 */
    double median_seconds, shortest, longest; /* of the training times */
    double median_images_per_second;
} configuration;

typedef struct configuration_list {
    configuration *items; /* [count], in the order in which their first run was given */
    size_t count;
} configuration_list;

/* runs[0..count) must outlive the list. LS_FAILED without memory. */
int configurations_make(configuration_list *out, const finished_run *runs, size_t count,
                        ls_error *error);
void configurations_free(configuration_list *self);

/* The middle of a column of numbers over the repeats, of those that measured it; NAN of none. */
double configuration_median(const configuration *self, const char *column);
/* What all its runs have in a column that is part of what a configuration is. */
const char *configuration_text(const configuration *self, const char *column);
bool configuration_is_single(const configuration *self);
/* "single-1", or "single-1 (and 4 repeats)". */
void configuration_add_runs(text_buffer *out, const configuration *self);
/* "1;2;3": the seeds of all repeats, each once. */
void configuration_add_seeds(text_buffer *out, const configuration *self);

/* Longest less shortest training time, over the median; 0 of one run. */
double configuration_spread(const configuration *self);

/* Repeats are pairs by their order: the i-th of one with the i-th of the other. */
typedef struct measured_speedup {
    size_t pairs;
    /* Baseline's training time over self's: the geometric mean of the pairs' ratios, with its 95%
     * interval (interval.h); no interval (NAN) for one pair. */
    interval ratio;
} measured_speedup;
measured_speedup configuration_speedup(const configuration *baseline, const configuration *self);

/* The machine's drift: the slope of the repeats' log training times over their start, as a part
 * an hour (0.02: 2% slower after an hour; a logarithm, so -0.02 undoes it). NAN where there are too
 * few repeats, or none apart. */
interval configuration_drift(const configuration *self);

#endif
