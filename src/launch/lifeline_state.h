/* What the files of the lifeline share. The thread (lifeline.c) runs the hub on rank 0 and a spoke
 * on every other rank; with one rank it only waits for signals. */
#ifndef LOCKSTEP_LAUNCH_LIFELINE_STATE_H
#define LOCKSTEP_LAUNCH_LIFELINE_STATE_H

#include "base/error.h"
#include "launch/lifeline_wire.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIFELINE_BEAT_SECONDS 1.0

/* A byte through the wake pipe: a signal's number, or one of these (above every signal). */
enum { WAKE_START = 200, WAKE_FAILED, WAKE_STOP };

typedef struct place {
    char phase[24];
    int64_t epoch, step;
} place;

typedef struct lifeline_state {
    int rank, size;
    char host[256];
    double deadline_seconds, stall_seconds;
    uint8_t secret[WIRE_SECRET_BYTES];
    wire_endpoint *endpoints; /* [size] */
    int listener;
    wire_link hub; /* ranks above 0: the connection to rank 0 */
    int wake[2];   /* written by signal handlers and by the main thread */

    pthread_mutex_t mutex; /* guards the three below */
    pthread_cond_t changed;
    ls_error failure; /* code 0: none */
    int failure_everyone;
    bool stopped;
} lifeline_state;

extern lifeline_state lifeline;

/* Reads what is in the wake pipe, at most `capacity` bytes. */
int lifeline_wakes(uint8_t *bytes, int capacity);

/* A signal that is to end the job; false: it is only kept in mind (lifeline_ask_first). The
 * lifeline's thread's. */
bool lifeline_is_end(uint8_t byte);

/* Where this rank is. */
place lifeline_here(void);

/* The order of phases: set-up and warm-up come before all epochs; in an epoch evaluation follows
 * training. */
enum { WARM_UP = 2, TRAINING, OTHER_PHASE = 5 };
int place_phase_order(const place *where);

/* Below 0 where `a` is behind `b`, 0 where they are as far, else above. */
int place_compare(const place *a, const place *b);

/* " in training, epoch 1, step 37" (" in set-up"; "" before any phase). */
void lifeline_describe_place(const place *where, char *out, size_t capacity);

/* "interrupted by SIGTERM in training, epoch 1, step 37", and its exit code. */
int lifeline_describe_signal(int signal_number, const place *where, char *out, size_t capacity);

/* "lockstep: TEXT\n" on stderr in one write, so that lines of several ranks do not mix. */
void lifeline_print(const char *text);

/* Runs the caller's clean-up, which may take a busy disk's time; lifeline_end ends the process
 * after it. */
void lifeline_clean_up(int code);
_Noreturn void lifeline_end(int code);

/* As lifeline_end, after asking the launcher to end the ranks that cannot hear. */
_Noreturn void lifeline_end_silent(int code);

/* Before the ranks are joined: prints the line ("": another rank does) and ends all of them through
 * the launcher. */
_Noreturn void lifeline_abort(const char *text, int code);

/* Prints the line and ends this process, unless another thread is doing that; the first of them
 * speaks, the others wait for it. */
_Noreturn void lifeline_end_alone(const char *text, int code);
_Noreturn void lifeline_wait_for_the_end(void);

/* A time that the user may set; `otherwise` also where it is no time (lifeline_check_seconds says
 * so). */
double lifeline_seconds(const char *variable, double otherwise);

/* Both return after an orderly end of all ranks. */
void lifeline_run_hub(void);
void lifeline_run_spoke(void);

/* A beat of this rank. */
void lifeline_beat(wire_message *out);

#endif
