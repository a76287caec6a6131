/* What each mode, precision and batch costs, and what it comes to: throughput, memory by kind,
 * exposed communication, losses and accuracies; of configurations that need have nothing in common,
 * beside figures that others published. Nothing is compared, but for one case: a published row of
 * the same hardware, batch and configuration has a ratio. */
#ifndef LOCKSTEP_REPORT_COMPARE_MODES_H
#define LOCKSTEP_REPORT_COMPARE_MODES_H

#include "report/compare/configuration.h"
#include "report/read/complaints.h"
#include "report/read/published.h"
#include "report/text/table.h"

/* What a rank's memory holds, as it was planned before it was taken: columns of summary.csv. */
typedef struct memory_kind {
    const char *title;  /* "Optimizer": of a table's column */
    const char *column; /* "memory_optimizer_bytes" */
} memory_kind;
enum { MEMORY_KINDS = 10 };
extern const memory_kind memory_kinds[MEMORY_KINDS];

/* The most that a rank held: taken of a GPU's memory by this program, else resident; of runs from
 * before that was written down, in use on the GPU, else resident. NAN: not measured. */
double measured_memory_bytes(const finished_run *run);

/* Of an epoch: medians over the repeats that have it. */
typedef struct mode_epoch {
    double train_loss, train_accuracy, test_loss, test_accuracy, images_per_second;
} mode_epoch;

typedef struct mode_row {
    const configuration *self;      /* NULL: the row was published */
    const published_row *published; /* NULL: it was measured here */
    /* "1 node, 2 x NVIDIA A100"; a processor with its threads a rank: "1 node, 2 x 4 threads of AMD
     * EPYC 7713"; of a published row what its file says. Owned. */
    char *hardware;
    /* Medians over the repeats; NAN: not known. */
    double images_per_second, training_seconds, exposed_seconds, peak_memory_bytes;
    double gpu_joules, cpu_joules; /* an image; NAN: not measured */
    double final_train_loss, final_test_accuracy;
    double memory_bytes[MEMORY_KINDS]; /* of the fullest rank */
    double planned_bytes;
    mode_epoch *epochs; /* [epoch_count], owned */
    size_t epoch_count;
    /* Images a second over a published row's: only where hardware and batch per rank are equal and
     * its configuration is this one's name, or "MODE PRECISION", or MODE where that is fp32. Else
     * NAN. */
    double over_published;
} mode_row;

typedef struct modes {
    mode_row *rows; /* [count]: measured ones, then published ones */
    size_t count;
} modes;

/* `published` may be NULL. Both must outlive the rows. A run whose epochs.csv is no good is a
 * complaint, and is missing from the epochs alone. */
int modes_make(modes *out, const configuration_list *configurations, const published *published,
               complaints *complaints, ls_error *error);
void modes_free(modes *self);

/* modes_text.c: three tables as text or Markdown: cost and outcome, memory by kind, epochs. */
void modes_text(text_buffer *out, const modes *self, table_format format);
/* modes_csv.c: all of that as one CSV table, a row a configuration; one value an epoch with ";"
 * between. */
void modes_csv(text_buffer *out, const modes *self);

#endif
