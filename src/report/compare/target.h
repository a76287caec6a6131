/* Time to accuracy: when a run's test accuracy first reached a target, whatever its batch. */
#ifndef LOCKSTEP_REPORT_COMPARE_TARGET_H
#define LOCKSTEP_REPORT_COMPARE_TARGET_H

#include "report/compare/comparison.h"
#include "report/text/table.h"

/* Of a configuration; a run has reached the target at the end of the first epoch after which its
 * test accuracy was at least that. Medians over the runs that reached it; NAN where none did. */
typedef struct target_row {
    const configuration *self;
    size_t reached;            /* of self->count runs */
    size_t unread;             /* runs whose epochs.csv is no good: each has its complaint */
    double epochs, images;     /* trained on until then */
    double seconds;            /* of training until then */
    double evaluation_seconds; /* spent beside it until then, that epoch's evaluation included */
    double gpu_joules, cpu_joules; /* consumed in that training; NAN: not measured in some run */
    double best_accuracy;          /* the highest of all runs and epochs */
    /* Against the baseline, over pairs as in configuration.h: only where all runs of both reached
     * the target, for a ratio over the lucky ones would be biased. Else NAN. */
    measured_speedup speedup;
} target_row;

typedef struct target_table {
    double accuracy;   /* in (0, 1] */
    target_row *rows;  /* [count]; baselines (of no other) have baseline == themselves; owned */
    size_t *baselines; /* [count]: the row of each row's baseline; owned */
    size_t count;
} target_table;

/* The configurations of `tables`, each once, with the baseline of its first table. */
int target_make(target_table *out, const comparison_list *tables, double accuracy,
                complaints *complaints, ls_error *error);
void target_free(target_table *self);

/* What a reader must know of a row, sentence after sentence. */
void target_add_notes(text_buffer *out, const target_table *self, size_t row);

/* target_text.c: as text or Markdown, with its title and notes. */
void target_text(text_buffer *out, const target_table *self, table_format format);

#endif
