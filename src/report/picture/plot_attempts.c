#include "report/picture/plot_kinds.h"

#include "report/compare/attempts_table.h"
#include "report/text/number.h"

#include <math.h>
#include <stdlib.h>

typedef enum { KEPT, EVALUATION, LOST, START, OTHER, QUEUE, PARTS } part;

/* What was of use is green and blue. */
static const plot_part parts[PARTS] = {
    [KEPT] = {"training", 2}, [EVALUATION] = {"evaluation", 5}, [LOST] = {"lost: done again", 1},
    [START] = {"start", 4},   [OTHER] = {"other", 7},           [QUEUE] = {"in the queue", 3},
};

static double known(double seconds) {
    return seconds > 0 ? seconds : 0;
}

/* Of the process's time; what it waited for before that is drawn behind it, for it is no time of
 * nodes. */
static void fill(double *out, const attempt_record *attempt) {
    out[KEPT] = known(attempt->training_seconds - attempt->lost_seconds);
    out[EVALUATION] = known(attempt->evaluation_seconds);
    out[LOST] = known(attempt->lost_seconds);
    out[START] = known(attempt->start_seconds);
    out[OTHER] =
        known(attempt->total_seconds - out[KEPT] - out[EVALUATION] - out[LOST] - out[START]);
    out[QUEUE] = known(attempt->queue_seconds);
}

static int draw(picture *out, const attempted_runs *runs, bar_room *room, ls_error *error) {
    text_buffer subtitle = {0};
    size_t bar = 0;
    for (size_t index = 0; index < runs->count; index++) {
        const attempted_run *run = &runs->items[index];
        double goodput = attempts_sum(run->attempts, run->count).goodput;
        if (runs->count == 1)
            text_add(&subtitle,
                     "goodput %s: training and evaluation that was not lost, over the "
                     "time of all attempts",
                     percent(goodput, 1).text);
        for (int attempt = 0; attempt < run->count; attempt++, bar++) {
            text_buffer *name = &room->names[bar];
            double *values = &room->parts[bar * PARTS];
            fill(values, &run->attempts[attempt]);
            text_add(name, "%s, attempt %d: %s", run->run->folder, attempt + 1,
                     run->attempts[attempt].ended);
            if (attempt + 1 == run->count && runs->count > 1)
                text_add(name, "; goodput %s", percent(goodput, 1).text);
            LS_TRY(text_buffer_check(name, error));
            room->bars[bar] =
                (plot_bar){.name = name->bytes,
                           .total = run->attempts[attempt].total_seconds + values[QUEUE],
                           .parts = values,
                           .limit = NAN};
        }
    }
    if (runs->count > 1)
        text_add(&subtitle, "goodput: training and evaluation that was not lost, over the time of "
                            "all attempts");
    LS_TRY(text_buffer_check(&subtitle, error));
    int status = picture_of_bars(out,
                                 &(plot_bars){.title = "What each attempt did with its time",
                                              .subtitle = subtitle.bytes,
                                              .across = "seconds",
                                              .unit = "s",
                                              .parts = parts,
                                              .part_count = PARTS,
                                              .bars = room->bars,
                                              .count = bar},
                                 error);
    text_free(&subtitle);
    return status;
}

static int draw_all(picture_list *out, const attempted_runs *runs, ls_error *error) {
    bar_room room;
    size_t bars = 0;
    for (size_t index = 0; index < runs->count; index++)
        bars += (size_t)runs->items[index].count;
    picture *added = pictures_add(out, "attempts", error);
    if (!added)
        return LS_FAILED;
    LS_TRY(bar_room_open(&room, bars, PARTS, error));
    int status = draw(added, runs, &room, error);
    bar_room_free(&room);
    return status;
}

int add_attempt_picture(picture_list *out, const configuration_list *configurations,
                        complaints *complaints, ls_error *error) {
    attempted_runs runs;
    int status = attempted_runs_read(&runs, configurations, complaints, error);
    if (status == LS_OK && runs.count > 0)
        status = draw_all(out, &runs, error);
    attempted_runs_free(&runs);
    return status;
}
