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

typedef enum { FORWARD, BACKWARD, OPTIMIZER, DATA, WAITING, TRANSFER, OTHER, PARTS } part;

/* What is lost has the warm colours. */
static const plot_part parts[PARTS] = {
    [FORWARD] = {"forward", 5},
    [BACKWARD] = {"backward", 0},
    [OPTIMIZER] = {"optimizer", 2},
    [DATA] = {"data", 3},
    [WAITING] = {"waiting for others", 4},
    [TRANSFER] = {"transfer", 1},
    [OTHER] = {"other", 7},
};

static double seconds_of(const finished_run *run) {
    return finished_run_number(run, "training_seconds");
}

const finished_run *middle_run(const configuration *self) {
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
static void fill(double *out, const finished_run *run) {
    double waiting = measured(run, "waiting_seconds"), known = 0;
    out[FORWARD] = measured(run, "forward_seconds");
    out[BACKWARD] = measured(run, "backward_seconds");
    out[OPTIMIZER] = measured(run, "optimizer_seconds");
    out[DATA] = measured(run, "data_seconds");
    out[WAITING] = waiting;
    out[TRANSFER] = fmax(measured(run, "exposed_communication_seconds") - waiting, 0);
    for (int part = 0; part < OTHER; part++)
        known += out[part];
    out[OTHER] = fmax(seconds_of(run) - known, 0);
}

static bool waiting_known(const configuration_list *configurations) {
    for (size_t index = 0; index < configurations->count; index++)
        if (!isnan(finished_run_number(configurations->items[index].runs[0], "waiting_seconds")))
            return true;
    return false;
}

/* Where nobody measured waiting, all communication is one part. */
static size_t known_parts(plot_part *out, double *values, size_t bars, bool waiting) {
    size_t count = 0;
    for (int part = 0; part < PARTS; part++) {
        if (part == WAITING && !waiting)
            continue;
        for (size_t bar = 0; bar < bars; bar++)
            values[bar * PARTS + count] = values[bar * PARTS + (size_t)part];
        out[count] = parts[part];
        if (part == TRANSFER && !waiting)
            out[count].name = "communication";
        count++;
    }
    return count;
}

static int draw(picture *out, const configuration_list *configurations, bar_room *room,
                ls_error *error) {
    bool repeated = false;
    plot_part shown[PARTS];
    for (size_t index = 0; index < configurations->count; index++) {
        const finished_run *run = middle_run(&configurations->items[index]);
        repeated |= configurations->items[index].count > 1;
        add_plot_name(&room->names[index], configurations, index);
        LS_TRY(text_buffer_check(&room->names[index], error));
        fill(&room->parts[index * PARTS], run);
        room->bars[index] = (plot_bar){.name = room->names[index].bytes,
                                       .total = seconds_of(run),
                                       .parts = &room->parts[index * PARTS],
                                       .limit = NAN};
    }
    plot_bars all = {.title = "Where the training time went",
                     .subtitle = repeated ? "means over the ranks; of repeats the one in the middle"
                                          : "means over the ranks",
                     .across = "seconds of training time",
                     .unit = "s",
                     .parts = shown,
                     .part_count = known_parts(shown, room->parts, configurations->count,
                                               waiting_known(configurations)),
                     .bars = room->bars,
                     .count = configurations->count};
    return picture_of_bars(out, &all, error);
}

int add_time_picture(picture_list *out, const configuration_list *configurations, ls_error *error) {
    bar_room room;
    picture *added = pictures_add(out, "time", error);
    int status = added ? LS_OK : LS_FAILED;
    if (status == LS_OK)
        status = bar_room_open(&room, configurations->count, PARTS, error);
    LS_TRY(status);
    status = draw(added, configurations, &room, error);
    bar_room_free(&room);
    return status;
}
