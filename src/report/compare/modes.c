#include "report/compare/modes.h"

#include "report/compare/interval.h"
#include "report/read/finished_epochs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const memory_kind memory_kinds[MEMORY_KINDS] = {
    {"Parameters", "memory_parameters_bytes"},       {"Gradients", "memory_gradients_bytes"},
    {"Optimizer", "memory_optimizer_bytes"},         {"Packed", "memory_packed_bytes"},
    {"Activations", "memory_activations_bytes"},     {"Workspace", "memory_workspace_bytes"},
    {"Communication", "memory_communication_bytes"}, {"Loader", "memory_loader_bytes"},
    {"Checkpoint", "memory_checkpoint_bytes"},       {"Program", "memory_program_bytes"},
};

double measured_memory_bytes(const finished_run *run) {
    static const char *const columns[] = {"memory_measured_bytes", "gpu_peak_memory_maximum_bytes",
                                          "peak_memory_maximum_bytes"};
    double value = NAN;
    for (size_t index = 0; isnan(value) && index < sizeof columns / sizeof columns[0]; index++)
        value = finished_run_number(run, columns[index]);
    return value;
}

static double median_memory(const configuration *self) {
    double *values = calloc(self->count, sizeof *values);
    size_t count = 0;
    for (size_t index = 0; values && index < self->count; index++) {
        double value = measured_memory_bytes(self->runs[index]);
        if (!isnan(value))
            values[count++] = value;
    }
    double middle = median(values, count);
    free(values);
    return middle;
}

/* The first of "a;b"; true where all are that. */
static bool first_of(const char *list, int *length) {
    *length = (int)strcspn(list, ";");
    for (const char *at = list; *at;) {
        size_t next = strcspn(at, ";");
        if (next != (size_t)*length || strncmp(at, list, next) != 0)
            return false;
        at += next + (at[next] == ';');
    }
    return true;
}

static char *hardware_of(const configuration *self, ls_error *error) {
    const char *devices = configuration_text(self, "rank_devices");
    const char *threads = configuration_text(self, "rank_threads");
    const char *nodes = configuration_text(self, "nodes");
    int device_length, threads_length;
    text_buffer out = {0};
    bool one_device = first_of(devices, &device_length);
    bool one_count = first_of(threads, &threads_length);
    text_add(&out, "%s node%s, %s x ", nodes, strcmp(nodes, "1") == 0 ? "" : "s",
             configuration_text(self, "ranks"));
    if (strcmp(configuration_text(self, "device"), "cuda") != 0 && threads_length > 0) {
        text_add(&out, "%.*s thread%s of ", one_count ? threads_length : (int)strlen(threads),
                 threads, one_count && threads_length == 1 && threads[0] == '1' ? "" : "s");
    }
    text_add(&out, "%.*s", one_device ? device_length : (int)strlen(devices), devices);
    if (text_buffer_check(&out, error) == LS_OK)
        return out.bytes;
    text_free(&out);
    return NULL;
}

static double median_of(const finished_epochs *runs, size_t count, size_t epoch, size_t offset,
                        double *room) {
    size_t found = 0;
    for (size_t run = 0; run < count; run++) {
        if (epoch >= runs[run].count)
            continue;
        const char *place = (const char *)&runs[run].items[epoch] + offset;
        double value = *(const double *)(const void *)place;
        if (!isnan(value))
            room[found++] = value;
    }
    return median(room, found);
}

static double median_rate(const finished_epochs *runs, size_t count, size_t epoch, double *room) {
    size_t found = 0;
    for (size_t run = 0; run < count; run++)
        if (epoch < runs[run].count)
            room[found++] = runs[run].items[epoch].images / runs[run].items[epoch].training_seconds;
    return median(room, found);
}

static int add_epochs(mode_row *out, const finished_epochs *runs, size_t count, ls_error *error) {
    double *room = calloc(count + 1, sizeof *room);
    for (size_t run = 0; run < count; run++)
        out->epoch_count = runs[run].count > out->epoch_count ? runs[run].count : out->epoch_count;
    out->epochs = calloc(out->epoch_count + 1, sizeof *out->epochs);
    if (!room || !out->epochs) {
        free(room);
        return ls_fail(error, LS_FAILED, "report: no memory for the runs' epochs");
    }
    for (size_t epoch = 0; epoch < out->epoch_count; epoch++)
        out->epochs[epoch] = (mode_epoch){
            .train_loss = median_of(runs, count, epoch, offsetof(finished_epoch, train_loss), room),
            .train_accuracy =
                median_of(runs, count, epoch, offsetof(finished_epoch, train_accuracy), room),
            .test_loss = median_of(runs, count, epoch, offsetof(finished_epoch, test_loss), room),
            .test_accuracy =
                median_of(runs, count, epoch, offsetof(finished_epoch, test_accuracy), room),
            .images_per_second = median_rate(runs, count, epoch, room)};
    free(room);
    return LS_OK;
}

static int read_epochs(mode_row *out, complaints *complaints, ls_error *error) {
    const configuration *self = out->self;
    finished_epochs *runs = calloc(self->count, sizeof *runs);
    size_t count = 0;
    int status = runs ? LS_OK : ls_fail(error, LS_FAILED, "report: no memory for the runs' epochs");
    for (size_t index = 0; status == LS_OK && index < self->count; index++)
        if (finished_epochs_read(&runs[count], self->runs[index], error) == LS_OK)
            count++;
        else
            status = complaints_add(complaints, error);
    if (status == LS_OK)
        status = add_epochs(out, runs, count, error);
    for (size_t index = 0; index < count; index++)
        finished_epochs_free(&runs[index]);
    free(runs);
    return status;
}

static int add_measured(mode_row *out, const configuration *self, complaints *complaints,
                        ls_error *error) {
    *out =
        (mode_row){.self = self,
                   .hardware = hardware_of(self, error),
                   .images_per_second = self->median_images_per_second,
                   .training_seconds = self->median_seconds,
                   .exposed_seconds = configuration_median(self, "exposed_communication_seconds"),
                   .peak_memory_bytes = median_memory(self),
                   .gpu_joules = configuration_median(self, "gpu_joules_per_image"),
                   .cpu_joules = configuration_median(self, "cpu_joules_per_image"),
                   .final_train_loss = configuration_median(self, "final_train_loss"),
                   .final_test_accuracy = configuration_median(self, "final_test_accuracy"),
                   .planned_bytes = configuration_median(self, "memory_planned_bytes"),
                   .over_published = NAN};
    for (int kind = 0; kind < MEMORY_KINDS; kind++)
        out->memory_bytes[kind] = configuration_median(self, memory_kinds[kind].column);
    return out->hardware ? read_epochs(out, complaints, error) : LS_FAILED;
}

static int add_published(mode_row *out, const published_row *row, ls_error *error) {
    *out = (mode_row){.published = row,
                      .hardware = strdup(row->hardware),
                      .images_per_second = row->images_per_second,
                      .training_seconds = row->training_seconds,
                      .exposed_seconds = NAN,
                      .gpu_joules = NAN,
                      .cpu_joules = NAN,
                      .peak_memory_bytes = row->peak_memory_bytes,
                      .final_train_loss = row->final_train_loss,
                      .final_test_accuracy = row->test_accuracy,
                      .planned_bytes = NAN,
                      .over_published = NAN};
    for (int kind = 0; kind < MEMORY_KINDS; kind++)
        out->memory_bytes[kind] = NAN;
    return out->hardware ? LS_OK : ls_fail(error, LS_FAILED, "report: out of memory");
}

/* "ddp fp16", or "ddp" where that is fp32. */
static bool is_called(const configuration *self, const char *name) {
    const char *mode = configuration_text(self, "mode");
    const char *precision = configuration_text(self, "precision");
    char both[160];
    format_plain(both, sizeof both, "%.70s %.70s", mode, precision);
    return strcmp(name, self->name) == 0 || strcasecmp(name, both) == 0 ||
           (strcmp(precision, "fp32") == 0 && strcasecmp(name, mode) == 0);
}

/* An empty hardware is none that anything could have run on. */
static void compare_with(mode_row *row, const published *published) {
    for (size_t index = 0; published && index < published->count; index++) {
        const published_row *theirs = &published->rows[index];
        if (theirs->hardware[0] && strcmp(theirs->hardware, row->hardware) == 0 &&
            theirs->batch_per_rank == finished_run_number(row->self->runs[0], "batch_per_rank") &&
            is_called(row->self, theirs->configuration) && isnan(row->over_published))
            row->over_published = row->images_per_second / theirs->images_per_second;
    }
}

static int make(modes *out, const configuration_list *configurations, const published *published,
                complaints *complaints, ls_error *error) {
    for (size_t index = 0; index < configurations->count; index++) {
        mode_row *row = &out->rows[out->count++];
        LS_TRY(add_measured(row, &configurations->items[index], complaints, error));
        compare_with(row, published);
    }
    for (size_t index = 0; published && index < published->count; index++)
        LS_TRY(add_published(&out->rows[out->count++], &published->rows[index], error));
    return LS_OK;
}

int modes_make(modes *out, const configuration_list *configurations, const published *published,
               complaints *complaints, ls_error *error) {
    size_t most = configurations->count + (published ? published->count : 0);
    *out = (modes){.rows = calloc(most + 1, sizeof *out->rows)};
    if (!out->rows)
        return ls_fail(error, LS_FAILED, "report: out of memory");
    int status = make(out, configurations, published, complaints, error);
    if (status != LS_OK)
        modes_free(out);
    return status;
}

void modes_free(modes *self) {
    for (size_t index = 0; index < self->count; index++) {
        free(self->rows[index].hardware);
        free(self->rows[index].epochs);
    }
    free(self->rows);
    *self = (modes){0};
}
