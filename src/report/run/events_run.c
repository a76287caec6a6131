#include "report/run/events_run.h"

#include "report/facts/quantities.h"
#include "report/run/run_text.h"
#include "report/tensorboard/events_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct run_events {
    event_file *file;
    int64_t steps; /* up to the last epoch's end */
};

/* The header as it is printed: four spaces make it code in Markdown, line for line. */
static int add_header(run_events *self, const run_facts *facts, ls_error *error) {
    text_buffer header = {0}, indented = {0};
    header_text(&header, facts);
    for (const char *line = header.bytes ? header.bytes : ""; *line;) {
        size_t length = strcspn(line, "\n");
        text_add(&indented, "    %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    indented.failed |= header.failed;
    int status = text_buffer_check(&indented, error);
    if (status == LS_OK && indented.bytes)
        status = event_file_text(self->file, 0, RUN_EVENTS_FIRST_TAG, indented.bytes, error);
    text_free(&header);
    text_free(&indented);
    return status;
}

int run_events_open(const char *folder, const run_facts *facts, run_events **out, ls_error *error) {
    char host[64] = "localhost";
    *out = NULL;
    run_events *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "%s: no memory for its event file", folder);
    if (gethostname(host, sizeof host) == 0)
        host[sizeof host - 1] = '\0';
    int status = event_file_open(folder, host, &self->file, error);
    if (status == LS_OK)
        status = add_header(self, facts, error);
    if (status == LS_OK)
        status = event_file_flush(self->file, error);
    if (status != LS_OK)
        run_events_close(self);
    else
        *out = self;
    return status;
}

int run_events_step(run_events *self, int64_t step, double loss, ls_error *error) {
    if (!self)
        return LS_OK;
    return event_file_scalars(self->file, step, &(event_scalar){"loss/step", loss}, 1, error);
}

int run_events_epoch(run_events *self, const epoch_record *epoch, ls_error *error) {
    if (!self)
        return LS_OK;
    self->steps += epoch->steps;
    const phase_seconds *phases = &epoch->phases;
    bool scaled = epoch->loss_scale > 0;
    const event_scalar scalars[] = {
        {"loss/train", epoch->train_loss},
        {"loss/test", epoch->test_loss},
        {"accuracy/train", epoch->train_accuracy},
        {"accuracy/test", epoch->test_accuracy},
        {"accuracy/test_top5", epoch->test_top5_accuracy},
        {"speed/images_per_second", rate(epoch->images, epoch->seconds)},
        {"utilisation/cpu", epoch->cpu_utilisation},
        {"utilisation/gpu", epoch->gpu_utilisation},
        {"memory/peak_resident_bytes", epoch->peak_memory_bytes},
        {"memory/peak_gpu_bytes", epoch->gpu_peak_memory_bytes},
        {"energy/gpu_joules", epoch->gpu_energy_joules},
        {"energy/cpu_joules", epoch->cpu_energy_joules},
        {"optimizer/learning_rate", epoch->learning_rate},
        {"optimizer/gradient_norm", epoch->gradient_norm},
        {"optimizer/loss_scale", scaled ? epoch->loss_scale : NAN},
        {"optimizer/skipped_updates", scaled ? (double)epoch->skipped_updates : NAN},
        {"seconds/training", epoch->seconds},
        {"seconds/evaluation", epoch->evaluation_seconds},
        {"seconds/data", phases->data},
        {"seconds/forward", phases->forward},
        {"seconds/backward", phases->backward},
        {"seconds/exposed_communication", phases->communication},
        {"seconds/optimizer", phases->optimizer},
        {"seconds/other", other_seconds(epoch->seconds, phases)},
    };
    const size_t count = sizeof scalars / sizeof scalars[0];
    _Static_assert(sizeof scalars / sizeof scalars[0] <= EVENT_SCALARS, "too many for an event");
    LS_TRY(event_file_scalars(self->file, self->steps, scalars, count, error));
    return event_file_flush(self->file, error);
}

const char *run_events_name(const run_events *self) {
    return event_file_name(self->file);
}

void run_events_close(run_events *self) {
    if (!self)
        return;
    event_file_close(self->file);
    free(self);
}
