/* What a source has of a model, tensor by tensor (the room's own). */
#ifndef LOCKSTEP_WEIGHTS_ACCOUNT_H
#define LOCKSTEP_WEIGHTS_ACCOUNT_H

#include "weights/positions.h"
#include "weights/weights.h"

typedef enum {
    RECORD_KEPT,        /* not read */
    RECORD_READ,        /* as it is */
    RECORD_INTERPOLATED /* position embeddings of another grid */
} record_use;

/* A record of the graph, and the tensors that it is made of. */
typedef struct record_account {
    record_use use;
    int part_count;
    const safetensors_tensor *parts[WEIGHTS_MOST_PARTS]; /* [part_count]; NULL: missing */
} record_account;

typedef struct account {
    record_account *records; /* [graph.record_count] */
    bool new_head;
    int head_classes;  /* that the source's head has; 0: it has none */
    text_buffer notes; /* lines about what does not fit and was let pass */
} account;

/* Fills `out`, which is closed by the caller, also after a failure. LS_BAD_INPUT where the rules
 * refuse what does not fit. */
int account_open(const graph *graph, const weights_source *from, weights_rules rules, account *out,
                 ls_error *error);
void account_close(account *self);

/* The patches of an image for the layer that a record of position embeddings is of. */
position_grid account_grid(const graph *graph, int record);

#endif
