/* The side of every rank above 0: beats, forwards what happens here, leaves when rank 0 says so.
 * Where rank 0 itself is lost, the lowest rank that still answers takes its place for the last
 * word: each asks the ranks below it, in order, whether they are there; who hears nothing is the
 * lowest, prints the line, and stays a moment to answer the ranks above. These stay until it has
 * ended: a launcher ends the whole job with the first rank that leaves, and it may not have found
 * out yet. */
#include "base/clock.h"
#include "base/signals.h"
#include "launch/lifeline_state.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ORPHANS = 32, WAKES = 16 };

/* Rank 0 needs its own window to decide; then it is taken for lost. */
static const double ANSWER_PATIENCE_SECONDS = 3, ORPHAN_PATIENCE_SECONDS = 1;

static const double OVERSLEPT_SECONDS = 2;

/* For the rank that speaks: to find out by itself (a beat), to linger, to ask for the job's end. */
static const double DEPUTY_PATIENCE_SECONDS = 5;

/* The ranks see a closed connection at once, but silence a beat apart; and a launcher that ends
 * the job after a death may not wait for a second. */
static const double LINGER_SECONDS = 0.7, LINGER_AFTER_SILENCE_SECONDS = 1.5;

typedef struct spoke {
    wire_link orphans[ORPHANS];
    double heard_at, beat_at, looped_at;
    double asked_at;     /* rank 0 was told of a failure or a signal then; 0: not yet */
    double overslept_at; /* this process itself did not run for too long; 0: never */
    int code;            /* what was told */
    char text[1200];
} spoke;

/* ---- ranks above that ask whether this one is there */

static void answer_orphan(wire_link *from) {
    wire_message welcome = {.type = WIRE_WELCOME};
    int got = wire_receive(from);
    if (got == 0)
        return;
    if (got > 0 && from->in.type == WIRE_HELLO &&
        memcmp(from->in.secret, lifeline.secret, sizeof lifeline.secret) == 0 &&
        wire_send(from, &welcome) == 0)
        from->descriptor = -1; /* open until this process ends: what the other waits for */
    else
        wire_close(from);
}

static void take_orphans(spoke *self) {
    for (int index = 0; index < ORPHANS; index++) {
        if (self->orphans[index].descriptor >= 0)
            continue;
        int descriptor = wire_accept(lifeline.listener);
        if (descriptor < 0)
            return;
        self->orphans[index] = (wire_link){.descriptor = descriptor};
    }
}

/* Polls the listener, the orphans and up to two more; fills revents of `more`. */
static void poll_with_orphans(spoke *self, struct pollfd more[2], double until) {
    struct pollfd scratch[ORPHANS + 3];
    struct pollfd all[ORPHANS + 3] = {more[0], more[1], {lifeline.listener, POLLIN, 0}};
    for (int index = 0; index < ORPHANS; index++)
        all[index + 3] = (struct pollfd){.fd = self->orphans[index].descriptor, .events = POLLIN};
    double left = until - clock_seconds();
    if (wire_poll(all, scratch, ORPHANS + 3, left) <= 0)
        return;
    for (int index = 0; index < ORPHANS; index++)
        if (all[index + 3].revents)
            answer_orphan(&self->orphans[index]);
    if (all[2].revents)
        take_orphans(self);
    more[0].revents = all[0].revents;
    more[1].revents = all[1].revents;
}

/* ---- rank 0 is lost */

/* Nothing more is sent: what comes is the end. */
static void wait_until_closed(wire_link *link) {
    struct pollfd end = {link->descriptor, POLLIN, 0};
    poll(&end, 1, (int)(DEPUTY_PATIENCE_SECONDS * 1e3));
    wire_close(link);
}

static bool someone_below_answers(void) {
    wire_message hello;
    wire_link link;
    char tried[256];
    lifeline_beat(&hello);
    hello.type = WIRE_HELLO;
    memcpy(hello.secret, lifeline.secret, sizeof hello.secret);
    for (int rank = 1; rank < lifeline.rank; rank++)
        if (wire_connect(&lifeline.endpoints[rank], &lifeline.endpoints[lifeline.rank], &hello,
                         ORPHAN_PATIENCE_SECONDS, &link, tried, sizeof tried) == 0) {
            wait_until_closed(&link);
            return true;
        }
    return false;
}

static _Noreturn void speak_for_the_job(spoke *self, const char *text, int code, double linger) {
    struct pollfd none[2] = {{.fd = -1}, {.fd = -1}};
    if (someone_below_answers())
        lifeline_end(code);
    lifeline_print(text);
    for (double until = clock_seconds() + linger; clock_seconds() < until;)
        poll_with_orphans(self, none, until);
    if (linger == LINGER_AFTER_SILENCE_SECONDS)
        lifeline_end_silent(code);
    lifeline_end(code);
}

static _Noreturn void hub_lost(spoke *self, const char *how, double linger) {
    place here = lifeline_here();
    char at[96], text[500];
    if (self->overslept_at > 0 && clock_seconds() - self->overslept_at < OVERSLEPT_SECONDS)
        lifeline_end(LS_FAILED); /* the others took this rank for lost, said so, and left */
    lifeline_describe_place(&here, at, sizeof at);
    snprintf(text, sizeof text, "rank 0 (host %s) %s%s", lifeline.endpoints[0].host, how, at);
    speak_for_the_job(self, text, LS_FAILED, linger);
}

/* ---- what happens here, and what rank 0 says */

static void tell_hub(spoke *self, const wire_message *message, int code) {
    if (wire_send(&lifeline.hub, message))
        hub_lost(self, "died", LINGER_SECONDS);
    if (self->asked_at == 0)
        self->asked_at = clock_seconds();
    self->code = code;
}

static void tell_failure(spoke *self) {
    wire_message message;
    lifeline_beat(&message);
    message.type = WIRE_FAIL;
    pthread_mutex_lock(&lifeline.mutex);
    message.code = lifeline.failure.code;
    message.everyone = lifeline.failure_everyone;
    snprintf(message.text, sizeof message.text, "%s", lifeline.failure.text);
    pthread_mutex_unlock(&lifeline.mutex);
    message.text_bytes = (uint32_t)strlen(message.text);
    if (message.everyone)
        snprintf(self->text, sizeof self->text, "%s", message.text);
    else
        snprintf(self->text, sizeof self->text, "rank %d (host %.100s): %s", lifeline.rank,
                 lifeline.host, message.text);
    tell_hub(self, &message, message.code);
}

static void tell_signal(spoke *self, int signal_number) {
    wire_message message;
    place here = lifeline_here();
    lifeline_beat(&message);
    message.type = WIRE_SIGNAL;
    message.code = signal_number;
    tell_hub(self, &message,
             lifeline_describe_signal(signal_number, &here, self->text, sizeof self->text));
}

static void tell_bye(spoke *self) {
    wire_message bye = {.type = WIRE_BYE, .rank = lifeline.rank};
    if (wire_send(&lifeline.hub, &bye))
        hub_lost(self, "died", LINGER_SECONDS);
}

static void take_wakes(spoke *self) {
    uint8_t bytes[WAKES];
    int count = lifeline_wakes(bytes, WAKES);
    for (int index = 0; index < count; index++) {
        if (lifeline_is_end(bytes[index]))
            tell_signal(self, bytes[index]);
        else if (bytes[index] == WAKE_FAILED)
            tell_failure(self);
        else if (bytes[index] == WAKE_STOP)
            tell_bye(self);
    }
}

/* True when rank 0 said good-bye. */
static bool take_from_hub(spoke *self) {
    int got;
    while ((got = wire_receive(&lifeline.hub)) > 0) {
        self->heard_at = clock_seconds();
        if (lifeline.hub.in.type == WIRE_END)
            lifeline_end(lifeline.hub.in.code);
        if (lifeline.hub.in.type == WIRE_BYE)
            return true;
    }
    if (got < 0)
        hub_lost(self, "died", LINGER_SECONDS);
    return false;
}

static void beat(spoke *self, double now) {
    wire_message message;
    char text[64];
    if (now - self->heard_at > lifeline.deadline_seconds) {
        snprintf(text, sizeof text, "has not answered for %.0f s", lifeline.deadline_seconds);
        hub_lost(self, text, LINGER_AFTER_SILENCE_SECONDS);
    }
    lifeline_beat(&message);
    if (wire_send(&lifeline.hub, &message))
        hub_lost(self, "died", LINGER_SECONDS);
    self->beat_at = now + LIFELINE_BEAT_SECONDS;
}

void lifeline_run_spoke(void) {
    static spoke storage; /* too large for a thread's stack */
    spoke *self = &storage;
    *self = (spoke){.heard_at = clock_seconds(), .looped_at = clock_seconds()};
    for (int index = 0; index < ORPHANS; index++)
        self->orphans[index].descriptor = -1;
    for (bool done = false; !done;) {
        struct pollfd mine[2] = {{.fd = lifeline.wake[0], .events = POLLIN},
                                 {.fd = lifeline.hub.descriptor, .events = POLLIN}};
        poll_with_orphans(self, mine, self->beat_at);
        double now = clock_seconds();
        if (now - self->looped_at > 3 * LIFELINE_BEAT_SECONDS)
            self->heard_at = now; /* this process was paused itself */
        if (now - self->looped_at > lifeline.deadline_seconds)
            self->overslept_at = now;
        self->looped_at = now;
        /* First what rank 0 says: a lost rank 0 is the cause, a SIGTERM its consequence. */
        if (mine[1].revents)
            done = take_from_hub(self);
        if (mine[0].revents && !done)
            take_wakes(self);
        if (now >= self->beat_at && !done)
            beat(self, now);
        if (self->asked_at > 0 && now - self->asked_at > ANSWER_PATIENCE_SECONDS)
            speak_for_the_job(self, self->text, self->code, LINGER_AFTER_SILENCE_SECONDS);
    }
    for (int index = 0; index < ORPHANS; index++)
        wire_close(&self->orphans[index]);
    wire_close(&lifeline.hub);
    close(lifeline.listener);
    lifeline.listener = -1;
}
