#include "mode/step_clock.h"
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

/* Marks of one sampled step: its parts, and two for each wait (one a unit at most). */
enum { MOST_MARKS = 1024 };

/* What the time up to a mark belongs to. STEP_PARTS: to the part that is going on. */
typedef struct step_mark {
    step_part ends;
    bool inside; /* the part that is going on goes on: `ends` stood in it */
    bool ends_round;
    device_event *event; /* made at first use, kept from step to step */
} step_mark;

struct step_clock {
    device *device;
    device_stream *stream;
    bool counts;              /* marks of this step are taken */
    bool uncollected;         /* there are marks: of this step, or of one before it */
    double own;               /* seconds so far of the part that is going on */
    double parts[STEP_PARTS]; /* of this step so far */
    double last;              /* the clock at the last mark (not asynchronous) */
    step_round open;          /* the round that is going on, up to the last communication */
    double since;             /* busy seconds since then */
    step_round rounds[STEP_MOST_ROUNDS];
    int round_count;
    int count;
    step_mark marks[MOST_MARKS]; /* asynchronous; [0]: where the step begins */
};

int step_clock_create(device *device, device_stream *stream, step_clock **out, ls_error *error) {
    step_clock *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->device = device;
    self->stream = stream;
    *out = self;
    return LS_OK;
}

void step_clock_destroy(step_clock *self) {
    if (!self)
        return;
    for (int index = 0; index < MOST_MARKS; index++)
        if (self->marks[index].event)
            self->device->is->event_destroy(self->device, self->marks[index].event);
    free(self);
}

static void account_round(step_clock *self, bool communication, double seconds) {
    if (!communication) {
        self->since += seconds;
        return;
    }
    self->open.busy_seconds += self->since;
    self->open.exposed_seconds += seconds;
    self->since = 0;
}

/* One more than there is room for goes on into the next step's first. */
static void end_round(step_clock *self) {
    if (self->round_count == STEP_MOST_ROUNDS)
        return;
    self->rounds[self->round_count++] = self->open;
    self->open = (step_round){0};
}

/* A step without a point where ranks wait is one round all the same. */
static void end_last_round(step_clock *self) {
    if (self->round_count > 0)
        return;
    if (self->open.exposed_seconds == 0)
        account_round(self, true, 0);
    end_round(self);
}

/* The time since the last mark was `seconds`. */
static void account(step_clock *self, step_part ends, bool inside, double seconds) {
    account_round(self, inside && ends == STEP_COMMUNICATION, seconds);
    if (inside) {
        self->parts[ends] += seconds;
        return;
    }
    self->own += seconds;
    if (ends == STEP_PARTS)
        return;
    self->parts[ends] += self->own;
    self->own = 0;
}

static int record(step_clock *self, step_part ends, bool inside, ls_error *error) {
    if (self->count == MOST_MARKS)
        return ls_fail(error, LS_FAILED, "a step has more than %d marks of time", MOST_MARKS);
    step_mark *mark = &self->marks[self->count++];
    mark->ends = ends;
    mark->inside = inside;
    mark->ends_round = false;
    if (!mark->event)
        LS_TRY(self->device->is->event_create(self->device, &mark->event, error));
    return self->device->is->event_record(self->device, mark->event, self->stream, error);
}

static int mark(step_clock *self, step_part ends, bool inside, ls_error *error) {
    if (!self->counts)
        return LS_OK;
    if (self->device->facts.asynchronous)
        return record(self, ends, inside, error);
    double now = clock_seconds();
    account(self, ends, inside, now - self->last);
    self->last = now;
    return LS_OK;
}

int step_clock_begin(step_clock *self, bool sampled, ls_error *error) {
    self->counts = sampled;
    if (!sampled && self->device->facts.asynchronous)
        return LS_OK; /* what an earlier one left may be collected later */
    self->uncollected = sampled;
    self->count = 0;
    self->own = 0;
    self->round_count = 0;
    if (!sampled || self->device->facts.asynchronous) { /* what stood before was not timed */
        self->open = (step_round){0};
        self->since = 0;
    }
    memset(self->parts, 0, sizeof self->parts);
    self->last = clock_seconds();
    return sampled && self->device->facts.asynchronous ? record(self, STEP_PARTS, false, error)
                                                       : LS_OK;
}

int step_clock_mark(step_clock *self, step_part part, ls_error *error) {
    return mark(self, part, false, error);
}

int step_clock_leave(step_clock *self, ls_error *error) {
    return mark(self, STEP_PARTS, false, error);
}

int step_clock_return(step_clock *self, step_part spent, ls_error *error) {
    return mark(self, spent, true, error);
}

int step_clock_waiting(step_clock *self, ls_error *error) {
    device_range_begin(self->device, "communication");
    return step_clock_leave(self, error);
}

int step_clock_resumed(step_clock *self, ls_error *error) {
    device_range_end(self->device);
    return step_clock_return(self, STEP_COMMUNICATION, error);
}

void step_clock_round_ends(step_clock *self) {
    if (!self->counts)
        return;
    if (self->device->facts.asynchronous)
        self->marks[self->count - 1].ends_round = true;
    else
        end_round(self);
}

static int account_events(step_clock *self, ls_error *error) {
    const device_interface *is = self->device->is;
    LS_TRY(is->event_synchronize(self->device, self->marks[self->count - 1].event, error));
    for (int index = 1; index < self->count; index++) {
        double seconds;
        LS_TRY(is->event_seconds(self->device, self->marks[index - 1].event,
                                 self->marks[index].event, &seconds, error));
        account(self, self->marks[index].ends, self->marks[index].inside, seconds);
        if (self->marks[index].ends_round)
            end_round(self);
    }
    return LS_OK;
}

bool step_clock_has(const step_clock *self) {
    return self->uncollected;
}

int step_clock_collect(step_clock *self, double parts[STEP_PARTS], ls_error *error) {
    if (!self->uncollected)
        return LS_OK;
    if (self->count > 0)
        LS_TRY(account_events(self, error));
    end_last_round(self);
    for (int part = 0; part < STEP_PARTS; part++)
        parts[part] += self->parts[part];
    self->counts = self->uncollected = false;
    return LS_OK;
}

int step_clock_rounds(const step_clock *self, const step_round **out) {
    *out = self->rounds;
    return self->round_count;
}
