/* Rank 0's side: hears every rank, decides what ended the job, prints the one line, tells all. */
#include "base/clock.h"
#include "base/signals.h"
#include "launch/lifeline_state.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STRANGERS = 64, WAKES = 16 };

/* How long a first report waits for others, so that the cause wins over its consequences: a
 * launcher answers a rank's death with SIGTERM to the rest, MPI with errors in the neighbours. A
 * signal waits least: a dead rank's socket is closed before its launcher can know of the death, and
 * Open MPI 5's mpirun kills 0.25 s after its SIGTERM, when the line must stand, however busy the
 * cores are. */
static const double DEATH_WINDOW_SECONDS = 0.1, FAILURE_WINDOW_SECONDS = 0.2,
                    SIGNAL_WINDOW_SECONDS = 0.03;
static const double HELLO_PATIENCE_SECONDS = 5, FAREWELL_SECONDS = 0.5, OVERSLEPT_SECONDS = 2;

typedef struct peer {
    wire_link link;
    bool joined, said_bye, silent;
    double heard_at, changed_at;
    place where;
} peer;

/* A connection that has not said who it is. */
typedef struct stranger {
    wire_link link;
    double since;
} stranger;

typedef enum { NOTHING, INTERRUPTED, FAILURE, DEATH } cause; /* the later the stronger */

typedef struct hub {
    peer *peers; /* [size]; [0] stands for this rank itself: no link */
    stranger strangers[STRANGERS];
    struct pollfd *polled, *scratch; /* [size + STRANGERS + 2] */
    bool stopping;
    double beat_at, looped_at;
    double overslept_at; /* this process itself did not run for too long; 0: never */
    struct {
        cause kind;
        int rank, code, everyone, others;
        char text[1200];
        double decide_at;
    } verdict;
} hub;

/* ---- what ended the job */

static bool has_overslept(const hub *self) {
    return self->overslept_at > 0 && clock_seconds() - self->overslept_at < OVERSLEPT_SECONDS;
}

static void report(hub *self, cause kind, int rank, int code, int everyone, const char *text) {
    static const double window[] = {0, SIGNAL_WINDOW_SECONDS, FAILURE_WINDOW_SECONDS,
                                    DEATH_WINDOW_SECONDS};
    double decide_at = clock_seconds() + window[kind];
    /* A rank that was stopped for as long as that is woken by the signal that ends the job: if the
     * others took it for lost, they are about to close their connections. */
    if (kind == INTERRUPTED && has_overslept(self))
        decide_at += OVERSLEPT_SECONDS - SIGNAL_WINDOW_SECONDS;
    if (self->verdict.kind == NOTHING || decide_at < self->verdict.decide_at)
        self->verdict.decide_at = decide_at;
    if (kind == self->verdict.kind)
        self->verdict.others++;
    if (kind < self->verdict.kind || (kind == self->verdict.kind && rank > self->verdict.rank))
        return;
    if (kind > self->verdict.kind)
        self->verdict.others = 0;
    self->verdict.kind = kind;
    self->verdict.rank = rank;
    self->verdict.code = code;
    self->verdict.everyone = everyone;
    snprintf(self->verdict.text, sizeof self->verdict.text, "%s", text);
}

/* A dead rank's last beat may be a second old, or older where it was silent. Ranks meet in every
 * step's collectives, so once this rank trains, its own place is within a step of the other's. */
static const place *place_of_dead(const place *last, const place *here) {
    bool in_steps = place_phase_order(here) >= TRAINING;
    return in_steps && place_compare(last, here) < 0 ? here : last;
}

static void report_death(hub *self, int rank, const char *how) {
    peer *dead = &self->peers[rank];
    place here = lifeline_here();
    const place *where = place_of_dead(&dead->where, &here);
    char at[96], text[300];
    lifeline_describe_place(where, at, sizeof at);
    snprintf(text, sizeof text, "%s%s", how, at);
    if (!dead->silent) /* a rank that is woken up again should read why it is to leave */
        wire_close(&dead->link);
    report(self, DEATH, rank, LS_FAILED, 0, text);
}

static void report_signal(hub *self, int signal_number) {
    char text[256];
    place here = lifeline_here();
    int code = lifeline_describe_signal(signal_number, &here, text, sizeof text);
    report(self, INTERRUPTED, 0, code, 1, text);
}

/* The others took this rank for lost while it was stopped, said so, and left: their ends are no
 * news. */
static bool was_lost_itself(const hub *self) {
    return self->verdict.kind == DEATH && has_overslept(self);
}

static void print_verdict(const hub *self) {
    char line[1600], others[48] = "";
    const char *host = lifeline.endpoints[self->verdict.rank].host;
    if (self->verdict.kind == DEATH && self->verdict.others > 0)
        snprintf(others, sizeof others, " (and %d more rank%s)", self->verdict.others,
                 self->verdict.others == 1 ? "" : "s");
    if (self->verdict.everyone || !self->verdict.text[0])
        snprintf(line, sizeof line, "%s", self->verdict.text);
    else
        snprintf(line, sizeof line, "rank %d (host %s)%s%s%s", self->verdict.rank, host, others,
                 self->verdict.kind == DEATH ? " " : ": ", self->verdict.text);
    lifeline_print(line);
}

static bool anyone_left(hub *self) {
    for (int rank = 1; rank < lifeline.size; rank++) {
        peer *each = &self->peers[rank];
        int got = 1;
        while (each->link.descriptor >= 0 && got > 0)
            got = wire_receive(&each->link);
        if (each->link.descriptor >= 0 && got == 0 && !each->silent)
            return true;
        if (!each->silent)
            wire_close(&each->link);
    }
    return false;
}

/* This rank leaves last, so that a launcher sees the others' exit codes first; and at once after
 * them, with nothing left to do, for a launcher kills what stays. */
static _Noreturn void end_job(hub *self) {
    wire_message end = {.type = WIRE_END, .code = self->verdict.code};
    double until = clock_seconds() + FAREWELL_SECONDS;
    if (!was_lost_itself(self))
        print_verdict(self);
    for (int rank = 1; rank < lifeline.size; rank++)
        if (self->peers[rank].link.descriptor >= 0 && wire_send(&self->peers[rank].link, &end))
            wire_close(&self->peers[rank].link);
    lifeline_clean_up(self->verdict.code);
    while (anyone_left(self) && clock_seconds() < until)
        usleep(2000);
    for (int rank = 1; rank < lifeline.size; rank++)
        if (self->peers[rank].silent)
            lifeline_end_silent(self->verdict.code);
    lifeline_end(self->verdict.code);
}

/* ---- what arrives */

static void take_message(hub *self, int rank, const wire_message *message) {
    peer *from = &self->peers[rank];
    place where = {.epoch = message->epoch, .step = message->step};
    from->heard_at = clock_seconds();
    switch (message->type) {
    case WIRE_BEAT:
        memcpy(where.phase, message->phase, sizeof where.phase);
        if (memcmp(&where, &from->where, sizeof where) != 0)
            from->changed_at = from->heard_at;
        from->where = where;
        break;
    case WIRE_FAIL:
        report(self, FAILURE, rank, message->code, message->everyone, message->text);
        break;
    case WIRE_SIGNAL:
        report_signal(self, message->code);
        break;
    case WIRE_BYE:
        from->said_bye = true;
        break;
    default:
        break;
    }
}

static void take_from_peer(hub *self, int rank) {
    peer *from = &self->peers[rank];
    int got;
    while ((got = wire_receive(&from->link)) > 0)
        take_message(self, rank, &from->link.in);
    if (got < 0) {
        if (from->said_bye)
            wire_close(&from->link);
        else
            report_death(self, rank, "died");
    }
}

static void take_strangers(hub *self) {
    for (int index = 0; index < STRANGERS; index++) {
        stranger *each = &self->strangers[index];
        if (each->link.descriptor >= 0)
            continue;
        int descriptor = wire_accept(lifeline.listener);
        if (descriptor < 0)
            return;
        each->link = (wire_link){.descriptor = descriptor};
        each->since = clock_seconds();
    }
}

static bool is_hello(const wire_message *message, const hub *self) {
    return message->type == WIRE_HELLO && message->rank > 0 && message->rank < lifeline.size &&
           !self->peers[message->rank].joined &&
           memcmp(message->secret, lifeline.secret, sizeof lifeline.secret) == 0;
}

static void admit(hub *self, stranger *from) {
    wire_message welcome = {.type = WIRE_WELCOME};
    int got = wire_receive(&from->link);
    if (got == 0)
        return;
    if (got < 0 || !is_hello(&from->link.in, self)) {
        wire_close(&from->link);
        return;
    }
    int rank = from->link.in.rank;
    self->peers[rank].joined = true;
    self->peers[rank].link = from->link;
    self->peers[rank].heard_at = self->peers[rank].changed_at = clock_seconds();
    memcpy(self->peers[rank].where.phase, from->link.in.phase, sizeof from->link.in.phase);
    from->link.descriptor = -1;
    if (wire_send(&self->peers[rank].link, &welcome))
        report_death(self, rank, "died");
}

static void take_wakes(hub *self) {
    uint8_t bytes[WAKES];
    int count = lifeline_wakes(bytes, WAKES);
    for (int index = 0; index < count; index++) {
        if (lifeline_is_end(bytes[index]))
            report_signal(self, bytes[index]);
        else if (bytes[index] == WAKE_STOP)
            self->stopping = true;
        else if (bytes[index] == WAKE_FAILED) {
            pthread_mutex_lock(&lifeline.mutex);
            report(self, FAILURE, 0, lifeline.failure.code, lifeline.failure_everyone,
                   lifeline.failure.text);
            pthread_mutex_unlock(&lifeline.mutex);
        }
    }
}

/* ---- every second */

static void check_stall(hub *self, double now) {
    bool stalled = false;
    int behind = 0, as_far_behind = 0;
    for (int rank = 0; rank < lifeline.size; rank++) {
        const peer *each = &self->peers[rank];
        if (each->where.phase[0] && now - each->changed_at > lifeline.stall_seconds)
            stalled = true;
        int compared = place_compare(&each->where, &self->peers[behind].where);
        if (compared < 0)
            behind = rank;
        as_far_behind = compared < 0 ? 1 : as_far_behind + (compared == 0);
    }
    if (!stalled)
        return;
    char at[96], text[300];
    lifeline_describe_place(&self->peers[behind].where, at, sizeof at);
    if (as_far_behind == 1) {
        snprintf(text, sizeof text, "holds the others up: no progress for %.0f s%s",
                 lifeline.stall_seconds, at);
        report(self, DEATH, behind, LS_FAILED, 0, text);
    } else {
        snprintf(text, sizeof text, "%d ranks make no progress since %.0f s%s", as_far_behind,
                 lifeline.stall_seconds, at);
        report(self, DEATH, behind, LS_FAILED, 1, text);
    }
}

static void check_silence(hub *self, double now) {
    char text[64];
    snprintf(text, sizeof text, "has not answered for %.0f s", lifeline.deadline_seconds);
    for (int rank = 1; rank < lifeline.size; rank++) {
        peer *each = &self->peers[rank];
        if (each->link.descriptor >= 0 && !each->said_bye && !each->silent &&
            now - each->heard_at > lifeline.deadline_seconds) {
            each->silent = true;
            report_death(self, rank, text);
        }
    }
}

static void beat(hub *self, double now) {
    wire_message message;
    place here = lifeline_here();
    if (memcmp(&here, &self->peers[0].where, sizeof here) != 0)
        self->peers[0].changed_at = now;
    self->peers[0].where = here;
    lifeline_beat(&message);
    for (int rank = 1; rank < lifeline.size; rank++)
        if (self->peers[rank].link.descriptor >= 0 && !self->peers[rank].said_bye &&
            wire_send(&self->peers[rank].link, &message))
            report_death(self, rank, "died");
    for (int index = 0; index < STRANGERS; index++)
        if (self->strangers[index].link.descriptor >= 0 &&
            now - self->strangers[index].since > HELLO_PATIENCE_SECONDS)
            wire_close(&self->strangers[index].link);
    check_silence(self, now);
    check_stall(self, now);
    self->beat_at = now + LIFELINE_BEAT_SECONDS;
}

/* After a pause of this process itself (the whole job suspended) nobody else is to blame. */
static void forgive(hub *self, double now) {
    for (int rank = 0; rank < lifeline.size; rank++)
        self->peers[rank].heard_at = self->peers[rank].changed_at = now;
}

/* ---- the loop */

static void wait_for_events(hub *self) {
    int count = 0;
    double until = self->beat_at;
    self->polled[count++] = (struct pollfd){.fd = lifeline.wake[0], .events = POLLIN};
    self->polled[count++] = (struct pollfd){.fd = lifeline.listener, .events = POLLIN};
    for (int index = 0; index < STRANGERS; index++)
        self->polled[count++] =
            (struct pollfd){.fd = self->strangers[index].link.descriptor, .events = POLLIN};
    for (int rank = 1; rank < lifeline.size; rank++)
        self->polled[count++] =
            (struct pollfd){.fd = self->peers[rank].link.descriptor, .events = POLLIN};
    if (self->verdict.kind != NOTHING && self->verdict.decide_at < until)
        until = self->verdict.decide_at;
    double left = until - clock_seconds();
    wire_poll(self->polled, self->scratch, count, left);
}

static void take_events(hub *self) {
    const struct pollfd *strangers = self->polled + 2, *peers = strangers + STRANGERS - 1;
    if (self->polled[0].revents)
        take_wakes(self);
    for (int rank = 1; rank < lifeline.size; rank++)
        if (peers[rank].revents && self->peers[rank].link.descriptor >= 0)
            take_from_peer(self, rank);
    for (int index = 0; index < STRANGERS; index++)
        if (strangers[index].revents)
            admit(self, &self->strangers[index]);
    if (self->polled[1].revents)
        take_strangers(self);
}

static bool all_said_bye(const hub *self) {
    for (int rank = 1; rank < lifeline.size; rank++)
        if (!self->peers[rank].said_bye)
            return false;
    return true;
}

static void say_bye(hub *self) {
    wire_message bye = {.type = WIRE_BYE};
    for (int rank = 1; rank < lifeline.size; rank++) {
        if (self->peers[rank].link.descriptor >= 0)
            wire_send(&self->peers[rank].link, &bye);
        wire_close(&self->peers[rank].link);
    }
    for (int index = 0; index < STRANGERS; index++)
        wire_close(&self->strangers[index].link);
    close(lifeline.listener);
    lifeline.listener = -1;
}

static hub *make_hub(void) {
    hub *self = calloc(1, sizeof *self);
    if (self) {
        self->peers = calloc((size_t)lifeline.size, sizeof *self->peers);
        self->polled = calloc((size_t)(lifeline.size + STRANGERS + 2), sizeof *self->polled);
        self->scratch = calloc((size_t)(lifeline.size + STRANGERS + 2), sizeof *self->scratch);
    }
    if (!self || !self->peers || !self->polled || !self->scratch) {
        lifeline_print("rank 0: no memory for the lifeline");
        lifeline_end(LS_FAILED);
    }
    for (int rank = 0; rank < lifeline.size; rank++)
        self->peers[rank].link.descriptor = -1;
    for (int index = 0; index < STRANGERS; index++)
        self->strangers[index].link.descriptor = -1;
    forgive(self, clock_seconds());
    self->looped_at = clock_seconds();
    return self;
}

void lifeline_run_hub(void) {
    hub *self = make_hub();
    while (!(self->stopping && all_said_bye(self) && self->verdict.kind == NOTHING)) {
        wait_for_events(self);
        double now = clock_seconds();
        if (now - self->looped_at > 3 * LIFELINE_BEAT_SECONDS)
            forgive(self, now);
        /* The others heard the last of this rank up to a beat before it stopped. */
        if (now - self->looped_at > lifeline.deadline_seconds - 1.5 * LIFELINE_BEAT_SECONDS)
            self->overslept_at = now;
        self->looped_at = now;
        take_events(self);
        if (now >= self->beat_at)
            beat(self, now);
        if (self->verdict.kind != NOTHING && clock_seconds() >= self->verdict.decide_at)
            end_job(self);
    }
    say_bye(self);
    free(self->polled);
    free(self->scratch);
    free(self->peers);
    free(self);
}
