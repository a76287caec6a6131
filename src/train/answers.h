/* What the model says of each image of the test split, kept while it is evaluated: an image's class
 * and the model's, its probability, the place of the right class; and on request the logits. */
#ifndef LOCKSTEP_TRAIN_ANSWERS_H
#define LOCKSTEP_TRAIN_ANSWERS_H

#include "comm/comm.h"
#include "input/feed.h"
#include "train/learner.h"

typedef struct answer {
    int64_t sample; /* its number in the split */
    int32_t label, predicted;
    float probability; /* of `predicted`, by softmax */
    int32_t place;     /* classes that the model takes for likelier than the label's: 0 is top-1 */
} answer;

typedef struct answers {
    const learner *learner;
    const feed *test;
    int classes;
    int64_t count, capacity; /* this rank's; after answers_gather, on rank 0, all */
    answer *list;            /* [count] */
    float *logits;           /* [count, classes]; NULL: not kept */
    void *batch;             /* host memory: a batch's logits */
    int32_t *labels;         /* the same: its labels */
} answers;

/* Of an evaluation by `learner` (whose mode is neither strict nor dp) on `test`. */
int answers_open(answers *self, const learner *learner, const feed *test, bool keep_logits,
                 ls_error *error);
/* The batch that was just evaluated, number `index`. Waits for the device. */
int answers_take(answers *self, int64_t index, const input_batch *batch, ls_error *error);
/* All ranks' answers on rank 0, in the split's order, each image once; LS_FAILED where one is
 * missing or there twice. The others keep none. Collective. */
int answers_gather(answers *self, comm *control, ls_error *error);
void answers_close(answers *self); /* zero bytes are fine */

/* Answers whose label is among the `first` likeliest classes. */
int64_t answers_among(const answers *self, int first);

/* index,class,predicted,probability: a row an image. The file is whole or absent. */
int answers_write_csv(const answers *self, const char *path, ls_error *error);
/* HDF5: /logits [images, classes] float32, /labels [images] int32. The same. */
int answers_write_logits(const answers *self, const char *path, ls_error *error);

#endif
