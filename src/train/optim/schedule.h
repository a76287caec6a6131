/* The learning rate of each step. A schedule is a file (schedule_NAME.c), ended by its
 * schedule_rule, a pure function of the step; schedules.c is the list. A linear warm-up may come
 * first: the schedule then begins at its end, as torch.optim.lr_scheduler.SequentialLR has it.
 *
 * The rates of a run are computed once, on the host, and rounded to fp32: a table in device memory
 * that the update's kernels read, so that recorded steps serve and ranks cannot differ. */
#ifndef LOCKSTEP_TRAIN_OPTIM_SCHEDULE_H
#define LOCKSTEP_TRAIN_OPTIM_SCHEDULE_H

#include "train/optim/own_settings.h"

/* What a schedule goes over. */
typedef struct schedule_span {
    double peak;            /* --learning-rate */
    int64_t steps;          /* from the warm-up's end to the run's end */
    int64_t steps_an_epoch; /* the last batch's included */
} schedule_span;

typedef struct schedule_rule {
    const char *name;
    const option *options; /* with offsets into its own_settings; NULL: none */
    const char *heading;   /* of these in --help */
    bool stays;            /* the rate is the same at each step */
    bool warms_up;         /* its beginning is a warm-up: --warmup-* are refused */
    /* Of step 0 .. span->steps - 1. */
    double (*rate)(const void *own, const schedule_span *span, int64_t step);
    /* What the header says of it: "cosine to 0"; NULL: its name. */
    void (*describe)(const void *own, text_buffer *out);
} schedule_rule;

enum { SCHEDULE_COUNT = 4 };
extern const char schedule_choices[]; /* "constant|step|cosine|one-cycle" */

typedef struct schedule_settings {
    const char *name;
    int64_t warmup_steps;
    double warmup_epochs;
    double warmup_start; /* of the learning rate: where the warm-up begins */
    own_settings own[SCHEDULE_COUNT];
} schedule_settings;

/* Adds the options of all schedules to a list, whose settings hold schedule_settings at `offset`.
 */
int schedule_add_options(option_groups *list, size_t offset, ls_error *error);

/* LS_BAD_INPUT where an option belongs to another schedule, or two contradict. */
int schedule_check(const schedule_settings *settings, ls_error *error);

/* Rates of the steps of a run; from the last of them on the rate stays. */
typedef struct rate_table {
    float *rates; /* [count], the caller frees */
    int64_t count;
} rate_table;

/* LS_BAD_INPUT where the run is shorter than its warm-up. */
int schedule_rates(const schedule_settings *settings, double learning_rate, int64_t epochs,
                   int64_t steps_an_epoch, rate_table *out, ls_error *error);

/* Adds "cosine to 0 after 500 steps of warm-up from 0.01", nothing where the rate stays: for the
 * header and summary.csv. */
void schedule_describe(const schedule_settings *settings, text_buffer *out);

#endif
