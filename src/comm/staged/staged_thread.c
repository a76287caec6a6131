/* The thread of a staged comm: chunks in, through MPI, and out again. */
#include "base/clock.h"
#include "comm/staged/staged.h"

#include <sched.h>
#include <unistd.h>

static staged_chunk *chunk_of(staged_comm *self, uint64_t number) {
    return &self->chunks[number % STAGED_CHUNKS];
}

static int copy_in(staged_comm *self, uint64_t issued, bool *moved, ls_error *error) {
    while (self->current < issued && self->assigned - self->freed < STAGED_CHUNKS) {
        staged_job *job = self->queue[self->current % STAGED_JOBS];
        LS_TRY(staged_copy_in(self, job, self->next_index, chunk_of(self, self->assigned), error));
        self->assigned++;
        if (++self->next_index == job->chunks) {
            self->next_index = 0;
            self->current++;
        }
        *moved = true;
    }
    return LS_OK;
}

static int is_copied(staged_comm *self, staged_chunk *chunk, bool *done, ls_error *error) {
    *done = true;
    if (chunk->copying)
        LS_TRY(self->device->is->event_query(self->device, chunk->copied, done, error));
    chunk->copying = chunk->copying && !*done;
    return LS_OK;
}

static int begin(staged_comm *self, bool *moved, ls_error *error) {
    while (self->begun < self->assigned) {
        bool done;
        LS_TRY(is_copied(self, chunk_of(self, self->begun), &done, error));
        if (!done)
            return LS_OK;
        LS_TRY(staged_begin(self, chunk_of(self, self->begun), error));
        self->begun++;
        *moved = true;
    }
    return LS_OK;
}

/* The last chunk's copy is in the queue: who waits for the job may go on from its event. */
static int land(staged_comm *self, staged_job *job, ls_error *error) {
    LS_TRY(self->device->is->event_record(self->device, job->end, self->outward, error));
    pthread_mutex_lock(&self->mutex);
    job->landed = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    return LS_OK;
}

static int copy_out(staged_comm *self, bool *moved, ls_error *error) {
    LS_TRY(self->inner->is->progress(self->inner, error));
    while (self->landed < self->begun &&
           mpi_is_done(self->inner, &chunk_of(self, self->landed)->work)) {
        staged_chunk *chunk = chunk_of(self, self->landed);
        bool last = chunk->index == chunk->job->chunks - 1;
        LS_TRY(self->inner->is->wait(self->inner, NULL, &chunk->work, error));
        LS_TRY(staged_copy_out(self, chunk, error));
        if (last)
            LS_TRY(land(self, chunk->job, error));
        self->landed++;
        *moved = true;
    }
    return LS_OK;
}

static int free_chunks(staged_comm *self, bool *moved, ls_error *error) {
    while (self->freed < self->landed) {
        bool done;
        LS_TRY(is_copied(self, chunk_of(self, self->freed), &done, error));
        if (!done)
            return LS_OK;
        self->freed++;
        *moved = true;
    }
    return LS_OK;
}

/* MPI holds the oldest chunk, and nothing went on for too long. */
static int look_at_deadline(staged_comm *self, ls_error *error) {
    double deadline = self->settings.deadline_seconds;
    if (deadline == 0 || self->landed == self->begun || clock_seconds() - self->moved_at < deadline)
        return LS_OK;
    const staged_job *job = chunk_of(self, self->landed)->job;
    collective_name name = {
        .what = staged_kind_name(job->kind), .count = job->count, .type = job->type};
    return comm_overdue(&self->settings, "mpi", &name, error);
}

static int take_turn(staged_comm *self, uint64_t issued, ls_error *error) {
    enum { EAGER_TURNS = 2000, REST_MICROSECONDS = 20 };
    bool moved = false;
    LS_TRY(copy_in(self, issued, &moved, error));
    LS_TRY(begin(self, &moved, error));
    LS_TRY(copy_out(self, &moved, error));
    LS_TRY(free_chunks(self, &moved, error));
    if (moved) {
        self->moved_at = clock_seconds();
        self->idle_turns = 0;
        return LS_OK;
    }
    LS_TRY(look_at_deadline(self, error));
    if (++self->idle_turns < EAGER_TURNS)
        sched_yield();
    else
        usleep(REST_MICROSECONDS);
    return LS_OK;
}

void *staged_run(void *context) {
    staged_comm *self = context;
    ls_error error = {0};
    int status = LS_OK;
    pthread_mutex_lock(&self->mutex);
    while (status == LS_OK) {
        if (self->current == self->issued && self->freed == self->assigned) {
            if (self->stopping)
                break;
            pthread_cond_wait(&self->changed, &self->mutex);
            continue;
        }
        uint64_t issued = self->issued;
        pthread_mutex_unlock(&self->mutex);
        status = take_turn(self, issued, &error);
        pthread_mutex_lock(&self->mutex);
    }
    pthread_mutex_unlock(&self->mutex);
    if (status != LS_OK)
        comm_fail(&error, NULL, NULL);
    return NULL;
}
