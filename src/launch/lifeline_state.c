/* What the files of the lifeline stand on: its state, where this rank is, its line, and the end of
 * the process. */
#include "launch/lifeline_state.h"

#include "base/clock.h"
#include "base/signals.h"
#include "launch/lifeline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ABORT_PATIENCE_MICROSECONDS = 1500 * 1000 };

lifeline_state lifeline = {.size = 1,
                           .listener = -1,
                           .hub = {.descriptor = -1},
                           .wake = {-1, -1},
                           .mutex = PTHREAD_MUTEX_INITIALIZER,
                           .changed = PTHREAD_COND_INITIALIZER};

static _Atomic(const char *) current_phase;
static _Atomic int64_t current_place; /* epoch << 40 | step */
static _Atomic(lifeline_leave) leave_callback;
static atomic_flag ending = ATOMIC_FLAG_INIT; /* one thread prints and leaves */

/* ---- where this rank is */

void lifeline_at(const char *phase, int epoch, long step) {
    atomic_store_explicit(&current_phase, phase, memory_order_relaxed);
    atomic_store_explicit(&current_place, ((int64_t)epoch << 40) | (int64_t)step,
                          memory_order_relaxed);
}

place lifeline_here(void) {
    const char *phase = atomic_load_explicit(&current_phase, memory_order_relaxed);
    int64_t packed = atomic_load_explicit(&current_place, memory_order_relaxed);
    place here = {.epoch = packed >> 40, .step = packed & (((int64_t)1 << 40) - 1)};
    snprintf(here.phase, sizeof here.phase, "%s", phase ? phase : "");
    return here;
}

void lifeline_where(char *out, size_t capacity) {
    place here = lifeline_here();
    lifeline_describe_place(&here, out, capacity);
}

void lifeline_beat(wire_message *out) {
    place here = lifeline_here();
    memset(out, 0, offsetof(wire_message, text));
    out->type = WIRE_BEAT;
    out->rank = lifeline.rank;
    out->epoch = here.epoch;
    out->step = here.step;
    memcpy(out->phase, here.phase, sizeof out->phase);
}

/* ---- the signal that only asks */

/* One request comes more than once: scancel and a preemption signal the steps and the batch script,
 * which hands it on. */
static const double ONE_REQUEST_SECONDS = 1;

static atomic_bool asks_first;
static atomic_int asked;
static double asked_at; /* the lifeline's thread's */

void lifeline_ask_first(void) {
    atomic_store(&asks_first, true);
}

int lifeline_asked(void) {
    return atomic_load(&asked);
}

bool lifeline_is_end(uint8_t byte) {
    bool polite = byte == SIGTERM || byte == SIGINT || byte == SIGUSR1;
    if (!signals_end(byte) || !polite || !atomic_load(&asks_first))
        return signals_end(byte);
    double now = clock_seconds();
    if (atomic_load(&asked))
        return now - asked_at > ONE_REQUEST_SECONDS;
    asked_at = now;
    atomic_store(&asked, byte);
    return false;
}

/* ---- the end */

void lifeline_on_leave(lifeline_leave leave) {
    atomic_store(&leave_callback, leave);
}

void lifeline_print(const char *text) {
    char line[1400];
    if (!text[0])
        return;
    int length = snprintf(line, sizeof line, "lockstep: %s\n", text);
    if (length >= (int)sizeof line) {
        length = sizeof line - 1;
        line[length - 1] = '\n';
    }
    while (write(STDERR_FILENO, line, (size_t)length) < 0 && errno == EINTR)
        ;
}

void lifeline_clean_up(int code) {
    lifeline_leave leave = atomic_load(&leave_callback);
    if (leave)
        leave(code);
}

_Noreturn void lifeline_end(int code) {
    lifeline_clean_up(code);
    _exit(code);
}

static void (*abort_callback)(int code);

void lifeline_on_silence(void (*abort_job)(int code)) {
    abort_callback = abort_job;
}

static void *run_abort(void *code) {
    abort_callback(*(int *)code);
    return NULL;
}

/* On a thread of its own: a launcher that is in trouble itself must not keep this process. */
_Noreturn void lifeline_end_silent(int code) {
    pthread_t thread;
    if (abort_callback && pthread_create(&thread, NULL, run_abort, &code) == 0)
        usleep(ABORT_PATIENCE_MICROSECONDS);
    lifeline_end(code);
}

_Noreturn void lifeline_wait_for_the_end(void) {
    for (;;)
        pause();
}

_Noreturn void lifeline_end_alone(const char *text, int code) {
    if (atomic_flag_test_and_set(&ending))
        lifeline_wait_for_the_end();
    lifeline_print(text);
    lifeline_end(code);
}

_Noreturn void lifeline_abort(const char *text, int code) {
    if (atomic_flag_test_and_set(&ending))
        lifeline_wait_for_the_end();
    lifeline_print(text);
    lifeline_end_silent(code);
}

int lifeline_wakes(uint8_t *bytes, int capacity) {
    ssize_t got = read(lifeline.wake[0], bytes, (size_t)capacity);
    return got > 0 ? (int)got : 0;
}
