/* One step of one rank, event by event: its rows one after the other, and beside them a queue of
 * collectives, of which one at a time is on the network. The ranks are alike and in step, so one
 * rank's step is everyone's. */
#ifndef LOCKSTEP_FORECAST_SIMULATE_H
#define LOCKSTEP_FORECAST_SIMULATE_H

#include "forecast/interconnect.h"
#include "forecast/step.h"

/* What is communicated when. */
typedef enum {
    CHOICE_PLAIN,        /* one all-reduce of the whole gradient after backward */
    CHOICE_BUCKETS,      /* buckets, each as soon as backward has written it */
    CHOICE_BUCKETS_BF16, /* the same, rounded to bf16 on their way */
    CHOICE_FACTORS,      /* buckets, and linear layers as factors where that is cheaper */
    CHOICE_ZERO, /* zero1, zero2: buckets to their parts, and what was updated is gathered */
    CHOICE_FSDP, /* groups of layers gathered for forward and backward, their parts reduced */
    CHOICES
} comm_choice;

extern const char *const comm_choice_names[CHOICES];

/* In elements: a bucket takes `most`, and ends at a layer's border where it holds `worth`
 * (INT64_MAX: borders do not matter). Both at least 1. */
typedef struct step_buckets {
    int64_t most, worth;
} step_buckets;

typedef struct step_case {
    const step_model *step;
    const forecast_network *network;
    comm_choice choice;
    int ranks;
    int64_t batch;        /* of this rank: the largest share */
    int64_t global_batch; /* rows that a factored layer's gradient is formed from */
    step_buckets buckets;
} step_case;

typedef struct step_forecast {
    double seconds;           /* of the step */
    double computing_seconds; /* of the same step on a rank that communicates nothing */
    int collectives, factored_layers;
} step_forecast;

/* LS_FAILED: no memory. */
int step_simulate(const step_case *self, step_forecast *out, ls_error *error);

#endif
