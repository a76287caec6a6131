#include "report/picture/plot_kinds.h"

#include "report/read/finished_samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOMENTS = 240 };

/* "rank 3: node2, 4f21c0a8": where it ran, the tail of its GPU's UUID. */
static void add_user_name(text_buffer *out, const finished_run *run, size_t rank) {
    const finished_ranks *ranks = run->ranks;
    text_add(out, "rank %zu", rank);
    if (!ranks || rank >= (size_t)ranks->count)
        return;
    const char *uuid = ranks->facts[rank].gpu_uuid;
    size_t length = strlen(uuid);
    text_add(out, ": %s%s%s", ranks->facts[rank].host, length ? ", " : "",
             length > 8 ? uuid + length - 8 : uuid);
}

static int draw(picture *out, const char *name, const finished_run *run,
                const finished_samples *samples, plot_user *users, text_buffer *names,
                ls_error *error) {
    for (size_t rank = 0; rank < samples->ranks; rank++) {
        for (size_t time = 0; time < samples->times; time++) {
            samples->use[rank * samples->times + time] *= 100;
            samples->memory[rank * samples->times + time] /= 1e9;
        }
        add_user_name(&names[rank], run, rank);
        LS_TRY(text_buffer_check(&names[rank], error));
        users[rank] = (plot_user){.name = names[rank].bytes,
                                  .values = {samples->use + rank * samples->times,
                                             samples->memory + rank * samples->times}};
    }
    text_add(&out->title, "%s over time: %s", samples->cores ? "Ranks' cores" : "GPUs", name);
    LS_TRY(text_buffer_check(&out->title, error));
    plot_usage all = {.title = out->title.bytes,
                      .subtitle = "from the start of training, means of the samples around each "
                                  "moment; of repeats the one in the middle",
                      .seconds = samples->seconds,
                      .times = samples->times,
                      .users = users,
                      .count = samples->ranks};
    for (int format = 0; format < PLOT_FORMATS; format++)
        plot_usage_script(&out->scripts[format], format, &all);
    return LS_OK;
}

static int add_one(picture_list *out, const char *name, const finished_run *run,
                   const finished_samples *samples, size_t number, ls_error *error) {
    char file[32];
    format_plain(file, sizeof file, "usage-%zu", number);
    picture *added = pictures_add(out, file, error);
    plot_user *users = calloc(samples->ranks + 1, sizeof *users);
    text_buffer *names = calloc(samples->ranks + 1, sizeof *names);
    int status = added ? LS_OK : LS_FAILED;
    if (status == LS_OK && (!users || !names))
        status = ls_fail(error, LS_FAILED, "no memory for a picture");
    if (status == LS_OK)
        status = draw(added, name, run, samples, users, names, error);
    for (size_t rank = 0; names && rank < samples->ranks; rank++)
        text_free(&names[rank]);
    free(names);
    free(users);
    return status;
}

int add_usage_pictures(picture_list *out, const configuration_list *configurations,
                       complaints *complaints, ls_error *error) {
    size_t number = 0;
    int status = LS_OK;
    for (size_t index = 0; status == LS_OK && index < configurations->count; index++) {
        const finished_run *run = middle_run(&configurations->items[index]);
        finished_samples samples;
        if (finished_samples_read(&samples, run, MOMENTS, error) != LS_OK) {
            status = complaints_add(complaints, error);
            continue;
        }
        text_buffer name = {0};
        add_plot_name(&name, configurations, index);
        if (samples.times > 0)
            status = add_one(out, name.bytes ? name.bytes : "", run, &samples, ++number, error);
        text_free(&name);
        finished_samples_free(&samples);
    }
    return status;
}
