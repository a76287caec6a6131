#include "report/compare/notes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char weak_note[] =
    "The global batch is not the baseline's: with the same batch per rank, more ranks take fewer "
    "steps an epoch. The ratio is weak scaling in the batch, not the same optimisation problem "
    "solved faster.";
static const char oversubscribed_note[] =
    "Ranks shared cores (--oversubscribe): the times are no measure of scaling.";
static const char single_pair_note[] =
    "One pair of runs: a ratio without an interval, so nobody knows how much of it is chance.";
static const char no_difference_note[] =
    "The interval holds 1: these runs show no difference from the baseline.";

static const char too_efficient_note[] =
    "An efficiency above 100% is more than so many ranks can give by being many: something else "
    "differs. Look for what slowed the baseline (another program on its cores, suspended time, "
    "clocks held back) or what the ranks had more of (cache, memory).";

bool is_noisy(const configuration *self) {
    return configuration_spread(self) > NOISY_SPREAD;
}

static text_buffer *next(row_notes *self) {
    return &self->list[self->count++];
}

static void add_noise(row_notes *out, const configuration *self) {
    if (is_noisy(self))
        text_add(next(out),
                 "Noisy: the training times of its %zu repeats spread over %.1f%% of their median "
                 "(more than %.0f%%).",
                 self->count, 100 * configuration_spread(self), 100 * NOISY_SPREAD);
}

/* Where --allow let them stand. */
static void add_suspension(row_notes *out, const configuration *self) {
    double longest = 0;
    size_t runs = 0;
    for (size_t index = 0; index < self->count; index++) {
        double seconds = finished_run_number(self->runs[index], "suspended_seconds");
        runs += seconds > 0;
        longest = seconds > longest ? seconds : longest;
    }
    if (runs > 0)
        text_add(
            next(out),
            "By --allow it stands here though it did not run for %.1f s of its training time (a "
            "job suspended or stopped; %zu of %zu run%s): its times are no measure.",
            longest, runs, self->count, self->count == 1 ? "" : "s");
}

/* Their times are sums over attempts, of which each had caches to fill. */
static void add_attempts(row_notes *out, const configuration *self) {
    double most = 1, least_goodput = INFINITY;
    size_t runs = 0;
    for (size_t index = 0; index < self->count; index++) {
        double attempts = finished_run_number(self->runs[index], "attempts");
        runs += attempts > 1;
        most = attempts > most ? attempts : most;
        least_goodput = fmin(least_goodput, finished_run_number(self->runs[index], "goodput"));
    }
    if (runs == 0)
        return;
    text_buffer *note = next(out);
    text_add(note,
             "%zu of %zu run%s went on from checkpoints, in up to %.0f attempts: the training time "
             "is the sum of theirs.",
             runs, self->count, self->count == 1 ? "" : "s", most);
    if (isfinite(least_goodput))
        text_add(note, " Goodput%s %.1f%%: training and evaluation over all time of all attempts.",
                 self->count == 1 ? "" : " at least", 100 * least_goodput);
}

/* Of the ratio itself. */
static void add_certainty(row_notes *out, const comparison *table, const compared *row) {
    interval ratio = row->speedup.ratio;
    double ranks = finished_run_number(row->self->runs[0], "ranks");
    if (ratio.centre > MOST_EFFICIENCY * ranks || ratio.low > ranks)
        text_add(next(out), "%s", too_efficient_note);
    if (row->speedup.pairs == 1)
        text_add(next(out), "%s", single_pair_note);
    else if (ratio.low <= 1 && ratio.high >= 1)
        text_add(next(out), "%s", no_difference_note);
    if (row->self->count != table->baseline->count)
        text_add(next(out),
                 "%zu repeat%s where the baseline has %zu: the ratio has %zu pair%s, what has no "
                 "partner is in the median only.",
                 row->self->count, row->self->count == 1 ? "" : "s", table->baseline->count,
                 row->speedup.pairs, row->speedup.pairs == 1 ? "" : "s");
}

void row_notes_make(row_notes *out, const comparison *table, const compared *row) {
    const configuration *self = row ? row->self : table->baseline;
    *out = (row_notes){0};
    if (row && table->scaling == SCALING_WEAK)
        text_add(next(out), "%s", weak_note);
    if (row && row->allowed)
        text_add(next(out), "By --allow it stands here though %s.", row->allowed);
    if (row)
        add_certainty(out, table, row);
    add_suspension(out, self);
    add_attempts(out, self);
    add_noise(out, self);
    if (finished_run_number(self->runs[0], "oversubscribed") != 0)
        text_add(next(out), "%s", oversubscribed_note);
}

void row_notes_free(row_notes *self) {
    for (size_t index = 0; index < self->count; index++)
        text_free(&self->list[index]);
    self->count = 0;
}

bool is_drifting(interval an_hour) {
    return an_hour.low > 0 || an_hour.high < 0;
}

/* "+0.32%", "-4.1%", "+3620%": a job of minutes says little about an hour, and shows it. */
static void add_change(text_buffer *out, double part) {
    double percent = 100 * part;
    text_add(out, "%+.*f%%", fabs(percent) < 1 ? 2 : fabs(percent) < 100 ? 1 : 0, percent);
}

void add_drift(text_buffer *out, const configuration *baseline) {
    interval drift = configuration_drift(baseline);
    if (isnan(drift.low))
        return;
    const finished_run *first = baseline->runs[0], *last = baseline->runs[baseline->count - 1];
    double minutes = (last->started_seconds - first->started_seconds) / 60;
    text_add(out,
             "Drift of the machine, by the baseline's %zu repeats: its training time changes by ",
             baseline->count);
    add_change(out, drift.centre);
    text_add(out, " an hour (95%% interval ");
    add_change(out, drift.low);
    text_add(out, " to ");
    add_change(out, drift.high);
    text_add(out, "), ");
    add_change(out, drift.centre * minutes / 60);
    text_add(out, " in the %.1f minutes from the first to the last: %s.\n", minutes,
             is_drifting(drift) ? "DRIFT, the machine changed while these runs were made"
                                : "no drift is shown");
}

size_t footnote(footnotes *self, const char *text) {
    for (size_t index = 0; index < self->count; index++)
        if (strcmp(self->list[index], text) == 0)
            return index + 1;
    char **list = realloc(self->list, (self->count + 1) * sizeof *list);
    if (!list)
        return 0;
    self->list = list;
    if (!(list[self->count] = strdup(text)))
        return 0;
    return ++self->count;
}

void add_marks(text_buffer *out, footnotes *notes, const row_notes *row) {
    for (size_t index = 0; index < row->count; index++) {
        size_t number = row->list[index].bytes ? footnote(notes, row->list[index].bytes) : 0;
        out->failed |= row->list[index].failed || number == 0;
        text_add(out, "%s[%zu]", index ? "" : " ", number);
    }
}

void add_footnotes(text_buffer *out, const footnotes *self) {
    for (size_t index = 0; index < self->count; index++)
        text_add(out, "\n[%zu] %s\n", index + 1, self->list[index]);
}

void footnotes_free(footnotes *self) {
    for (size_t index = 0; index < self->count; index++)
        free(self->list[index]);
    free(self->list);
    *self = (footnotes){0};
}
