#include "train/batch_search.h"
#include "base/clock.h"
#include "launch/lifeline.h"
#include "train/batch_choice.h"
#include "train/batch_trial.h"
#include "train/trainer.h"
#include "train/usage.h"

#include <math.h>
#include <stdio.h>

enum { FIRST_PLACE = 3 }; /* of the lifeline's: set-up has those before it */
enum { TRIES = 8, TIMED_STEPS = 3, HALVINGS = 10 };
static const double CLEARLY_SLOWER = 0.9;

/* ---- numbers */

int64_t batch_even(int64_t most) {
    for (int64_t by = 64; by > 1; by /= 2) {
        int64_t even = most / by * by;
        if (even > 0 && (double)even >= 0.985 * (double)most)
            return even;
    }
    return most;
}

/* Where the line through the last two probes comes to 1; with one alone, as if all of it grew. */
static int64_t aim(const int64_t at[2], const double load[2], int count) {
    double slope = count > 1 ? (load[0] - load[1]) / (double)(at[0] - at[1]) : 0;
    double to = slope > 0 ? (double)at[0] + (1 - load[0]) / slope : (double)at[0] / load[0];
    return to < 1 ? 1 : to > 1e12 ? (int64_t)1e12 : (int64_t)to;
}

int batch_most_within(int64_t most,
                      int (*load)(void *context, int64_t number, double *out, ls_error *error),
                      void *context, int64_t *out, ls_error *error) {
    enum { FIRST = 16, PATIENCE = 12 };
    int64_t low = 0, high = most + 1, at[2] = {0}, next = most < FIRST ? most : FIRST;
    double loads[2] = {0};
    for (int probes = 1; high - low > 1 && high - low > low / 400; probes++) {
        at[1] = at[0], loads[1] = loads[0];
        at[0] = next;
        LS_TRY(load(context, next, &loads[0], error));
        if (loads[0] <= 1)
            low = next;
        else
            high = next;
        int64_t hair = low / 800 > 1 ? low / 800 : 1;
        next = probes < PATIENCE ? aim(at, loads, probes) : (low + high) / 2;
        if (next <= low)
            next = low + hair;
        if (next >= high)
            next = high - hair > low ? high - hair : low + 1;
    }
    *out = low;
    return LS_OK;
}

/* ---- by plans: of this rank */

typedef struct search {
    trainer *of;
    memory_room room;
    int64_t unit, most; /* images a rank; units that the data set has */
    const char *by;     /* the bound that the last plan comes nearest to */
    int place;
    double began;
} search;

static void move(search *self) {
    lifeline_at("set-up", 0, FIRST_PLACE + self->place++);
}

static int load_of_batch(void *context, int64_t units, double *out, ls_error *error) {
    search *self = context;
    move(self);
    LS_TRY(trainer_plan_batch(self->of, units * self->unit * self->of->me->size, error));
    *out = trainer_memory_load(self->of, &self->room, &self->by);
    return LS_OK;
}

static int load_of_parts(search *self, int64_t parts, double *out, ls_error *error) {
    move(self);
    self->of->own.mode.accumulate = parts;
    LS_TRY(trainer_plan_batch(self->of, self->of->global_batch, error));
    *out = trainer_memory_load(self->of, &self->room, &self->by);
    return LS_OK;
}

static int none_fits(search *self, const char *what, ls_error *error) {
    trainer *of = self->of;
    bool device = self->by == self->room.device_by;
    double needed =
        device ? (double)memory_device_bytes(&of->memory) : (double)memory_host_bytes(of);
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: rank %d would hold %.1f MB, and has %.1f MB by %s (more ranks, another "
                   "--mode or --recompute block take less)",
                   what, of->me->rank, needed / 1e6,
                   (device ? self->room.device : self->room.host) / 1e6, self->by);
}

/* ---- of all ranks, and a real step of it */

static int agree_on_most(search *self, int64_t *units, ls_error *error) {
    double load;
    LS_TRY(batch_most_within(self->most, load_of_batch, self, units, error));
    LS_TRY(comm_allreduce_int64(self->of->control, units, 1, REDUCTION_MIN, error));
    if (*units > 0)
        return LS_OK;
    LS_TRY(load_of_batch(self, 1, &load, error));
    return none_fits(self, "--batch-per-rank auto: no batch fits", error);
}

static int64_t even_units(const search *self, int64_t units) {
    int64_t even = batch_even(units * self->unit) / self->unit;
    return even > 0 ? even : units;
}

/* The largest that a step has shown to fit; what a plan has missed costs a smaller one. */
static int try_downwards(search *self, int steps, int64_t *units, batch_trial *trial,
                         ls_error *error) {
    trainer *of = self->of;
    *units = even_units(self, *units);
    for (int tries = 0; tries < TRIES; tries++) {
        move(self);
        LS_TRY(trainer_try_batch(of, *units * self->unit * of->me->size, steps, &self->room, trial,
                                 error));
        if (trial->fits)
            return LS_OK;
        int64_t less = (int64_t)((double)*units / fmax(trial->load, 1.01));
        if (less < 1)
            return none_fits(self, "--batch-per-rank auto: no batch fits, as a step shows", error);
        *units = even_units(self, less < *units ? less : *units - 1);
    }
    return ls_fail(error, LS_FAILED,
                   "--batch-per-rank auto: what a rank holds does not follow its plan (give N)");
}

/* From the largest downwards, by halves, until smaller ones are clearly slower. */
static int find_fastest(search *self, int64_t *units, batch_trial *trial, ls_error *error) {
    trainer *of = self->of;
    double best = (double)*units / trial->seconds;
    int64_t candidate = *units;
    for (int halving = 0, slower = 0; halving < HALVINGS && slower < 2; halving++) {
        batch_trial other;
        candidate = even_units(self, (candidate + 1) / 2 < candidate ? (candidate + 1) / 2 : 0);
        if (candidate < 1)
            break;
        move(self);
        LS_TRY(trainer_try_batch(of, candidate * self->unit * of->me->size, TIMED_STEPS,
                                 &self->room, &other, error));
        double rate = other.fits ? (double)candidate / other.seconds : 0;
        slower = rate < CLEARLY_SLOWER * best ? slower + 1 : 0;
        if (rate <= best)
            continue;
        best = rate;
        *units = candidate;
        *trial = other;
    }
    return LS_OK;
}

/* ---- and its note */

static void note_batch(search *self, int64_t units, int64_t most, const batch_trial *trial) {
    trainer *of = self->of;
    long long batch = (long long)(units * self->unit), largest = (long long)(most * self->unit);
    char what[512], *out = of->batch.note;
    size_t room = sizeof of->batch.note;
    bool device = self->by == self->room.device_by;
    double bytes = device ? self->room.device : self->room.host;
    if (most == self->most)
        snprintf(what, sizeof what, "%lld are all that the data set has", largest);
    else
        snprintf(what, sizeof what, "%lld fit into %.1f MB (%s)", largest, bytes / 1e6, self->by);
    int used = snprintf(out, room, "%s: %lld a rank; %s, by plan and a step of it",
                        of->batch.choice, batch, what);
    if (!isnan(trial->seconds) && used > 0 && (size_t)used < room)
        used += snprintf(out + used, room - (size_t)used, "; fastest, %.4g images/s",
                         (double)batch * of->me->size / trial->seconds);
    if (used > 0 && (size_t)used < room)
        snprintf(out + used, room - (size_t)used, "; found in %.2g s; again: --batch-per-rank %lld",
                 clock_seconds() - self->began, batch);
}

static int find_batch(search *self, ls_error *error) {
    trainer *of = self->of;
    bool fastest = of->settings->batch_per_rank == BATCH_FASTEST;
    int64_t images = input_facts(&of->input)->samples, units;
    batch_trial trial;
    self->unit = trainer_batch_unit(of);
    self->most = images / (self->unit * of->me->size);
    if (self->most > (1 << 20) / self->unit)
        self->most = (1 << 20) / self->unit;
    if (self->most < 1)
        return ls_fail(error, LS_BAD_INPUT,
                       "--batch-per-rank auto: %lld training images are fewer than the smallest "
                       "batch, of %lld a rank",
                       (long long)images, (long long)self->unit);
    LS_TRY(agree_on_most(self, &units, error));
    LS_TRY(try_downwards(self, fastest ? TIMED_STEPS : 1, &units, &trial, error));
    int64_t most = units;
    if (fastest)
        LS_TRY(find_fastest(self, &units, &trial, error));
    of->own.batch_per_rank = units * self->unit;
    note_batch(self, units, most, &trial);
    return LS_OK;
}

/* ---- micro-batches of a batch that is given */

static int fits_in_parts(search *self, int64_t parts, bool *out, ls_error *error) {
    double load;
    LS_TRY(load_of_parts(self, parts, &load, error));
    LS_TRY(comm_allreduce_double(self->of->control, &load, 1, REDUCTION_MAX, error));
    *out = load <= 1;
    return LS_OK;
}

/* The fewest of 1 .. most; most + 1: none. */
static int fewest_parts(search *self, int64_t most, int64_t *out, ls_error *error) {
    int64_t low = 0, high = 1;
    bool fits;
    LS_TRY(fits_in_parts(self, high, &fits, error));
    while (!fits && high < most) {
        low = high;
        high = high * 2 < most ? high * 2 : most;
        LS_TRY(fits_in_parts(self, high, &fits, error));
    }
    if (!fits) {
        *out = most + 1;
        return LS_OK;
    }
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        LS_TRY(fits_in_parts(self, middle, &fits, error));
        *(fits ? &high : &low) = middle;
    }
    *out = high;
    return LS_OK;
}

static int find_parts(search *self, ls_error *error) {
    trainer *of = self->of;
    int64_t shares = of->settings->mode.strict ? trainer_lanes(of) : of->me->size;
    int64_t most = of->global_batch / shares, parts;
    batch_trial trial = {.fits = false};
    if (most > MOST_MICRO_BATCHES)
        most = MOST_MICRO_BATCHES;
    LS_TRY(fewest_parts(self, most, &parts, error));
    for (; parts <= most && !trial.fits; parts += !trial.fits) {
        move(self);
        of->own.mode.accumulate = parts;
        LS_TRY(trainer_try_batch(of, of->global_batch, 1, &self->room, &trial, error));
    }
    if (!trial.fits)
        return none_fits(self, "--accumulate auto: the batch does not fit in any number of parts",
                         error);
    snprintf(of->batch.note, sizeof of->batch.note,
             "auto: %lld micro-batch%s a step, the fewest that fit (%.300s), by plan and a step; "
             "found in %.2g s; again: --accumulate %lld",
             (long long)parts, parts == 1 ? "" : "es", self->by, clock_seconds() - self->began,
             (long long)parts);
    return LS_OK;
}

int trainer_find_batch(trainer *self, ls_error *error) {
    search search = {.of = self, .by = "", .began = clock_seconds()};
    if (!self->batch.open)
        return LS_OK;
    bool splits = self->settings->batch_per_rank >= 0;
    LS_TRY(trainer_memory_room(self, &search.room, error));
    LS_TRY(splits ? find_parts(&search, error) : find_batch(&search, error));
    self->batch.open = false;
    trainer_forget_peak_memory();
    return trainer_take_batch(
        self, splits ? self->global_batch : self->own.batch_per_rank * self->me->size, error);
}
