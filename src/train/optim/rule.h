/* An optimizer's rule: how a parameter follows from its gradient. A file a rule (rule_NAME.c),
 * ended by its optimizer_rule; rules.c is the list. */
#ifndef LOCKSTEP_TRAIN_OPTIM_RULE_H
#define LOCKSTEP_TRAIN_OPTIM_RULE_H

#include "device/ops.h"
#include "train/optim/own_settings.h"

/* One pass over ranges of the flat arrays. */
typedef struct rule_update {
    device *device;
    device_stream *stream;
    update_arguments arguments;
    update_pair pair; /* all NULL: none */
    const parameter_range *ranges;
    int range_count;
} rule_update;

typedef struct optimizer_rule {
    const char *name;
    /* Its options, with offsets into its own_settings; NULL: none, or, where it is named, those of
     * another rule, whose settings it is given. */
    const option *options;
    const char *heading; /* of these in --help */
    const char *takes_options_of;
    /* LS_BAD_INPUT where their values do not fit together. NULL: any do. */
    int (*check)(const void *own, ls_error *error);
    /* Names, with NULL at their end, of the flat arrays it keeps beside parameters and gradients:
     * as PyTorch's optimizers have them in their state; at most UPDATE_MOST_MOMENTS. */
    const char *const *(*moments)(const void *own);
    int (*update)(const void *own, const rule_update *update, ls_error *error);
    /* Whether a device updates from two ranks' gradients (rule_update.pair). */
    bool (*pairs)(const struct ops *ops);
    /* The share of the last velocity in the next, for the header; NAN: no such thing. NULL: NAN. */
    double (*momentum)(const void *own);
} optimizer_rule;

enum { RULE_COUNT = 3 };
extern const char rule_choices[]; /* "adam|adamw|sgd" */

const optimizer_rule *rule_at(int number); /* 0 .. RULE_COUNT - 1 */
/* The number of a name of rule_choices. */
int rule_find(const char *name);

#endif
