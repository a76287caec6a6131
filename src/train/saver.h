/* Saving while a run trains. Between two steps every rank copies what it is to write of the run's
 * state; a thread a rank writes it to the disk while training goes on; when all have, rank 0's
 * thread adds the manifest and puts the checkpoint in place. No step waits for the disk.
 *
 * What ranks must know of each other (is it time, was one of them told to end, have all written)
 * travels in one small all-reduce between two steps, a few times a second. */
#ifndef LOCKSTEP_TRAIN_SAVER_H
#define LOCKSTEP_TRAIN_SAVER_H

#include "base/claim.h"
#include "checkpoint/background.h"
#include "checkpoint/folder.h"
#include "mode/store.h"
#include "train/checkpoint_options.h"
#include "train/state_copy.h"

typedef struct trainer trainer;

/* What one rank has written, as the others hear of it. */
typedef struct part_report {
    int64_t status; /* LS_OK, or why not: text */
    char text[1024];
    checkpoint_part part;
} part_report;

enum { SAVER_TIME_LIMIT = 1000 }; /* no signal's number */

typedef enum { SAVER_IDLE, SAVER_WRITING, SAVER_PUBLISHING } saver_phase;

/* Who writes what: the same on all ranks. */
typedef struct saved_arrays {
    checkpoint_array list[CHECKPOINT_MOST_ARRAYS];
    store_kind kinds[CHECKPOINT_MOST_ARRAYS];
    int count;
    checkpoint_range *ranges; /* [range_count] rank after rank */
    int *range_counts;        /* [size] */
    int range_count;
    const checkpoint_range *own; /* [own_count] this rank's, in `ranges` */
    int own_count;
} saved_arrays;

typedef struct saver {
    bool on;
    save_schedule schedule;
    char dir[4096], id[33];
    int64_t serial;      /* of the save that was begun last, also by an earlier attempt */
    folder_claim *claim; /* of `dir`, on rank 0, where it is not in the run's folder */
    saved_arrays arrays;
    state_copy copy;

    background *writer;
    saver_phase phase;
    bool due;                             /* at the epoch's end */
    bool best;                            /* the save that goes on is of the best epoch so far */
    int64_t saved_step;                   /* that the save begun last is of; -1: none */
    int64_t placed_step;                  /* of this attempt's last that is in place; 0: none */
    double begun_seconds, talked_seconds; /* clock */
    double placed_seconds;                /* clock: the checkpoint is in place; the writer's */
    int64_t until_talk, since_talk;       /* steps */
    /* What asked for an end, known to all ranks: a signal, SAVER_TIME_LIMIT, or 0. */
    int ending;
    double limit_seconds; /* that the process may run; INFINITY: for ever */

    char temporary[4096];
    part_report report;           /* this rank's, the writer's until it is done */
    part_report *reports;         /* [size] */
    checkpoint_manifest manifest; /* of the save that goes on; rank 0's, the writer's likewise */
    char name[CHECKPOINT_FOLDER_BYTES];
    ls_error
        unpruned; /* rank 0's: why older ones stayed after the last save; "" where they did not */
    bool failed;  /* the last save */
    double epoch_seconds; /* capture.c's: of the epoch that goes on, as they were saved last */
    record trained;       /* rank 0's: the state as it was before the evaluation that goes on */

    /* Of the whole run, for its columns; rank 0's. */
    int64_t saved, bytes;
    double blocked_seconds, write_seconds;
} saver;

/* Takes the options apart, on every rank, before anything is opened. */
int saver_check(trainer *self, ls_error *error);
/* After the mode and the run are open. No-op where nothing is saved. Collective. */
int saver_open(trainer *self, ls_error *error);
void saver_close(saver *self); /* zero bytes are fine */

/* After step `done` (1, 2, ...) of an epoch, the last of `steps` that were put into the stream
 * together: begins a save that is due, hears of one that is under way. *stop: the run is to end
 * now, and its state is saved. Collective. */
int saver_after_step(trainer *self, int epoch, int64_t done, int64_t steps, bool *stop,
                     ls_error *error);
/* An evaluation may take longer than whoever asks for an end will wait. It is given up then, and
 * what is saved is the state before it: after all batches of the epoch, `done` = batches. These
 * stand before it (where the epoch is not evaluated, that does nothing), after each of its batches,
 * and where that said *stop. */
int saver_before_evaluation(trainer *self, int epoch, ls_error *error);
int saver_in_evaluation(trainer *self, bool *stop, ls_error *error);
int saver_stop_evaluation(trainer *self, int epoch, ls_error *error);
/* After an epoch, its evaluation and its row; `is_best` by --best. */
int saver_after_epoch(trainer *self, int epoch, bool is_best, bool *stop, ls_error *error);

/* saved_arrays.c: from what the ranks hold. Collective. */
int saved_arrays_open(trainer *self, saved_arrays *out, ls_error *error);
void saved_arrays_close(saved_arrays *self);
/* Rank 0's: the tables of tensors; the caller frees *out [*count]. */
int saved_arrays_tensors(const trainer *self, const saved_arrays *arrays, checkpoint_tensor **out,
                         int *count, ls_error *error);

/* capture.c: the run's state beside its arrays, after `done` batches of `epoch`, on rank 0 into
 * *out. Collective. */
int trainer_capture(trainer *self, int epoch, int64_t done, record *out, ls_error *error);

#endif
