#include "report/picture/plot_kinds.h"

#include "report/picture/plot_pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void add_plot_name(text_buffer *out, const configuration_list *configurations, size_t index) {
    const configuration *self = &configurations->items[index];
    bool shared = false;
    for (size_t other = 0; other < configurations->count; other++)
        shared |= other != index && strcmp(configurations->items[other].name, self->name) == 0;
    text_add(out, "%s", self->name);
    if (shared)
        text_add(out, ", global batch %s", configuration_text(self, "global_batch"));
}

static double seconds_of(const finished_run *run) {
    return finished_run_number(run, "training_seconds");
}

/* The repeat in the middle (of an even number the faster of the two): one run, whose parts add up
 * to its time. */
static const finished_run *middle_run(const configuration *self) {
    for (size_t index = 0; index < self->count; index++) {
        size_t faster = 0;
        for (size_t other = 0; other < self->count; other++) {
            double here = seconds_of(self->runs[index]), there = seconds_of(self->runs[other]);
            faster += there < here || (there == here && other < index);
        }
        if (faster == (self->count - 1) / 2)
            return self->runs[index];
    }
    return self->runs[0];
}

static double measured(const finished_run *run, const char *column) {
    double value = finished_run_number(run, column);
    return value > 0 ? value : 0;
}

/* What no phase has is `other`; waiting is a part of the exposed communication. */
static plot_bar bar_of(const configuration *configuration) {
    const finished_run *run = middle_run(configuration);
    double waiting = measured(run, "waiting_seconds");
    plot_bar bar = {.seconds = seconds_of(run)};
    bar.parts[PLOT_FORWARD] = measured(run, "forward_seconds");
    bar.parts[PLOT_BACKWARD] = measured(run, "backward_seconds");
    bar.parts[PLOT_OPTIMIZER] = measured(run, "optimizer_seconds");
    bar.parts[PLOT_DATA] = measured(run, "data_seconds");
    bar.parts[PLOT_WAITING] = waiting;
    bar.parts[PLOT_TRANSFER] = fmax(measured(run, "exposed_communication_seconds") - waiting, 0);
    double known = 0;
    for (int part = 0; part < PLOT_OTHER; part++)
        known += bar.parts[part];
    bar.parts[PLOT_OTHER] = fmax(bar.seconds - known, 0);
    return bar;
}

static bool waiting_known(const configuration_list *configurations) {
    for (size_t index = 0; index < configurations->count; index++)
        if (!isnan(finished_run_number(configurations->items[index].runs[0], "waiting_seconds")))
            return true;
    return false;
}

static int draw(picture *out, const configuration_list *configurations, plot_bar *bars,
                text_buffer *names, ls_error *error) {
    bool repeated = false;
    for (size_t index = 0; index < configurations->count; index++) {
        repeated |= configurations->items[index].count > 1;
        add_plot_name(&names[index], configurations, index);
        LS_TRY(text_buffer_check(&names[index], error));
        bars[index] = bar_of(&configurations->items[index]);
        bars[index].name = names[index].bytes;
    }
    text_add(&out->title, "Where the training time went");
    LS_TRY(text_buffer_check(&out->title, error));
    plot_bars all = {.title = out->title.bytes,
                     .subtitle = repeated ? "means over the ranks; of repeats the one in the middle"
                                          : "means over the ranks",
                     .waiting = waiting_known(configurations),
                     .bars = bars,
                     .count = configurations->count};
    for (int format = 0; format < PLOT_FORMATS; format++)
        plot_bars_script(&out->scripts[format], format, &all);
    return LS_OK;
}

int add_time_picture(picture_list *out, const configuration_list *configurations, ls_error *error) {
    size_t count = configurations->count;
    picture *added = pictures_add(out, "time", error);
    plot_bar *bars = calloc(count, sizeof *bars);
    text_buffer *names = calloc(count, sizeof *names);
    int status = added ? LS_OK : LS_FAILED;
    if (status == LS_OK && (!bars || !names))
        status = ls_fail(error, LS_FAILED, "no memory for a picture");
    if (status == LS_OK)
        status = draw(added, configurations, bars, names, error);
    for (size_t index = 0; names && index < count; index++)
        text_free(&names[index]);
    free(names);
    free(bars);
    return status;
}
