/* The list of schedules, the warm-up before them, and the table of a run's rates. */
#include "train/optim/schedule.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const schedule_rule schedule_constant, schedule_step, schedule_cosine, schedule_one_cycle;

static const schedule_rule *const schedules[SCHEDULE_COUNT] = {
    &schedule_constant, &schedule_step, &schedule_cosine, &schedule_one_cycle};
const char schedule_choices[] = "constant|step|cosine|one-cycle";

#define AT(field) offsetof(schedule_settings, field)

static const option common[] = {
    {"schedule", OPTION_CHOICE, AT(name), "NAME", "constant", schedule_choices, 0, 0,
     "Let the learning rate follow this over the run.", false},
    {"warmup-steps", OPTION_INTEGER, AT(warmup_steps), "N", NULL, NULL, 1, 1 << 30,
     "Raise the rate linearly over the first N steps; the schedule begins after them.", false},
    {"warmup-epochs", OPTION_REAL, AT(warmup_epochs), "X", NULL, NULL, 1e-6, 100000,
     "The same, in epochs.", false},
    {"warmup-start", OPTION_REAL, AT(warmup_start), "X", "0.01", NULL, 0, 1,
     "Begin the warm-up at this share of the rate.", false},
    {0}};

static int number_of(const char *name) {
    int number = 0;
    while (strcmp(schedules[number]->name, name) != 0)
        number++;
    return number;
}

int schedule_add_options(option_groups *list, size_t offset, ls_error *error) {
    LS_TRY(option_add_group(list, (option_group){"Learning rate", common, offset}, error));
    for (int number = 0; number < SCHEDULE_COUNT; number++) {
        const schedule_rule *schedule = schedules[number];
        option_group own = {schedule->heading, schedule->options,
                            offset + AT(own) + (size_t)number * sizeof(own_settings)};
        if (schedule->options)
            LS_TRY(option_add_group(list, own, error));
    }
    return LS_OK;
}

int schedule_check(const schedule_settings *settings, ls_error *error) {
    int chosen = number_of(settings->name);
    for (int number = 0; number < SCHEDULE_COUNT; number++) {
        const schedule_rule *other = schedules[number];
        const char *given = NULL;
        if (number != chosen && other->options)
            given = option_changed(other->options, &settings->own[number]);
        if (given)
            return ls_fail(error, LS_BAD_INPUT,
                           "--%s belongs to --schedule %s; found it with --schedule %s", given,
                           other->name, settings->name);
    }
    bool warms_up = settings->warmup_steps > 0 || settings->warmup_epochs > 0;
    if (settings->warmup_steps > 0 && settings->warmup_epochs > 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--warmup-steps %lld and --warmup-epochs %g contradict: give one",
                       (long long)settings->warmup_steps, settings->warmup_epochs);
    if (warms_up && schedules[chosen]->warms_up)
        return ls_fail(error, LS_BAD_INPUT,
                       "--schedule %s begins with a warm-up of its own (leave --warmup-%s out)",
                       settings->name, settings->warmup_steps > 0 ? "steps" : "epochs");
    return LS_OK;
}

static int64_t warmup_steps(const schedule_settings *settings, int64_t steps_an_epoch) {
    if (settings->warmup_epochs > 0)
        return (int64_t)ceil(settings->warmup_epochs * (double)steps_an_epoch);
    return settings->warmup_steps;
}

/* torch.optim.lr_scheduler.LinearLR's factor. */
static double warmup_factor(const schedule_settings *settings, int64_t step, int64_t steps) {
    double start = settings->warmup_start;
    return start + (1 - start) * (double)step / (double)steps;
}

int schedule_rates(const schedule_settings *settings, double learning_rate, int64_t epochs,
                   int64_t steps_an_epoch, rate_table *out, ls_error *error) {
    const int64_t most = 1 << 28;
    int chosen = number_of(settings->name);
    int64_t steps = epochs * steps_an_epoch, before = warmup_steps(settings, steps_an_epoch);
    if (before >= steps)
        return ls_fail(error, LS_BAD_INPUT,
                       "--schedule: a warm-up of %lld steps leaves nothing of a run of %lld steps "
                       "(give fewer, or more --epochs)",
                       (long long)before, (long long)steps);
    int64_t count = schedules[chosen]->stays ? before + 1 : steps;
    if (count > most)
        return ls_fail(error, LS_BAD_INPUT,
                       "--schedule %s: %lld steps are more than %lld (give fewer --epochs)",
                       settings->name, (long long)count, (long long)most);
    schedule_span span = {learning_rate, steps - before, steps_an_epoch};
    float *rates = malloc((size_t)count * sizeof *rates);
    if (!rates)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int64_t step = 0; step < count; step++)
        rates[step] = (float)(step < before ? learning_rate * warmup_factor(settings, step, before)
                                            : schedules[chosen]->rate(&settings->own[chosen], &span,
                                                                      step - before));
    *out = (rate_table){rates, count};
    return LS_OK;
}

void schedule_describe(const schedule_settings *settings, text_buffer *out) {
    int chosen = number_of(settings->name);
    const schedule_rule *schedule = schedules[chosen];
    bool warms_up = settings->warmup_steps > 0 || settings->warmup_epochs > 0;
    if (schedule->stays && !warms_up)
        return;
    if (schedule->describe)
        schedule->describe(&settings->own[chosen], out);
    else
        text_add(out, "%s", schedule->name);
    if (settings->warmup_steps > 0)
        text_add(out, " after %lld steps of warm-up from %g", (long long)settings->warmup_steps,
                 settings->warmup_start);
    if (settings->warmup_epochs > 0)
        text_add(out, " after %g epochs of warm-up from %g", settings->warmup_epochs,
                 settings->warmup_start);
}
