/* Inside packing: threads that take jobs by number, and the caller that watches over them: shows
 * progress, hands a signal on to them, keeps their first failure and the files that are damaged. */
#ifndef LOCKSTEP_DATA_CREW_H
#define LOCKSTEP_DATA_CREW_H

#include "data/pack.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct crew crew;

/* A thread's life: takes jobs by crew_next() until there is none. */
typedef int (*crew_work)(crew *self, ls_error *error);

struct crew {
    const pack_settings *settings;
    crew_work work;
    void *context; /* of `work` */
    int jobs;
    pack_state state; /* totals set by the caller; `done_...` counted below */
    _Atomic int64_t done_images, done_bytes;
    atomic_int next_job;
    atomic_int stop;      /* set: end as soon as may be */
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t finished;
    int running;
    ls_error failure; /* the first one */
    ls_error damaged; /* the first file that is */
    _Atomic int damaged_files;
};

void crew_start(crew *self); /* after `settings` to `state` are set */
void crew_end(crew *self);

/* Runs `threads` threads until all have ended. The first failure; else damaged files (LS_BAD_INPUT,
 * where there are any: one is the error's text, several cost a line each by settings->complain). */
int crew_run(crew *self, int threads, ls_error *error);

/* The next job's number, or -1 where there is none, or all are to stop. */
int crew_next(crew *self);

/* A file is damaged: up to a page of them is named, then all stop. */
void crew_complain(crew *self, const ls_error *about);

#endif
