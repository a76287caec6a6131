#include "weights/checkpoint_weights.h"

#include "base/atomic_file.h"
#include "checkpoint/part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char model_name[] = "model", shape_name[] = "image_shape_and_classes",
                  epsilon_name[] = "layer_norm_epsilon", mean_name[] = "pixel_mean",
                  std_name[] = "pixel_std";

enum { CHANNELS = 3 };

void weights_model_plain_pixels(weights_model *self) {
    for (int channel = 0; channel < CHANNELS; channel++)
        self->mean[channel] = self->std[channel] = 0.5;
}

void weights_model_put(const weights_model *self, record *out) {
    int64_t shape[] = {self->height, self->width, self->channels, self->classes};
    record_put_text(out, model_name, self->name);
    record_put_integers(out, shape_name, shape, 4);
    record_put_real(out, epsilon_name, self->epsilon);
    record_put_reals(out, mean_name, self->mean, CHANNELS);
    record_put_reals(out, std_name, self->std, CHANNELS);
}

/* Those of older versions have the model's own. */
static int get_epsilon(const checkpoint *from, double *out, ls_error *error) {
    if (!record_find(&from->manifest.state, epsilon_name))
        return LS_OK;
    LS_TRY(record_get_real(&from->manifest.state, from->folder, epsilon_name, out, error));
    if (*out >= 0 && *out <= 1)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected a number from 0 to 1", from->folder,
                   epsilon_name);
}

/* Into out[CHANNELS], where there is such a value. */
static int get_pixels(const checkpoint *from, const char *name, double *out, ls_error *error) {
    const double *values;
    int64_t count;
    if (!record_find(&from->manifest.state, name))
        return LS_OK;
    LS_TRY(record_get_reals(&from->manifest.state, from->folder, name, &values, &count, error));
    if (count != CHANNELS)
        return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected %d numbers, found %lld", from->folder,
                       name, CHANNELS, (long long)count);
    memcpy(out, values, CHANNELS * sizeof *out);
    return LS_OK;
}

int weights_model_get(const checkpoint *from, weights_model *out, ls_error *error) {
    const char *name;
    const int64_t *shape;
    int64_t count;
    LS_TRY(record_get_text(&from->manifest.state, from->folder, model_name, &name, error));
    LS_TRY(record_get_integers(&from->manifest.state, from->folder, shape_name, &shape, &count,
                               error));
    for (int64_t index = 0; index < count; index++)
        if (count != 4 || shape[index] < 1 || shape[index] > 1 << 20)
            return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected four numbers from 1 to 2^20",
                           from->folder, shape_name);
    if (count != 4)
        return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected four numbers, found %lld",
                       from->folder, shape_name, (long long)count);
    *out = (weights_model){.height = (int)shape[0],
                           .width = (int)shape[1],
                           .channels = (int)shape[2],
                           .classes = (int)shape[3]};
    snprintf(out->name, sizeof out->name, "%s", name);
    weights_model_plain_pixels(out);
    LS_TRY(get_pixels(from, mean_name, out->mean, error));
    LS_TRY(get_pixels(from, std_name, out->std, error));
    return get_epsilon(from, &out->epsilon, error);
}

static bool is_tensor_of(const checkpoint *from, const checkpoint_tensor *tensor,
                         const graph_parameter *of) {
    const char *array = from->manifest.arrays[tensor->range.array].name;
    return strcmp(array, of->trained ? "parameters" : "buffers") == 0 &&
           tensor->dim_count == of->dim_count &&
           memcmp(tensor->dims, of->dims, (size_t)of->dim_count * sizeof of->dims[0]) == 0 &&
           tensor->range.first == (int64_t)of->first && tensor->range.count == (int64_t)of->count;
}

int weights_check_checkpoint(const graph *graph, const checkpoint *from, ls_error *error) {
    if (from->manifest.tensor_count != graph->record_count)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected the model's %d tensors, found %d",
                       from->folder, graph->record_count, from->manifest.tensor_count);
    for (int record = 0; record < graph->record_count; record++) {
        const graph_parameter *of = &graph->parameters[record];
        const checkpoint_tensor *tensor = checkpoint_find_tensor(from, of->name);
        if (!tensor)
            return ls_fail(error, LS_BAD_INPUT, "%s: expected a tensor %s, found none",
                           from->folder, of->name);
        if (!is_tensor_of(from, tensor, of))
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: %s has another shape or place than the "
                           "model's",
                           from->folder, of->name);
    }
    return LS_OK;
}

int weights_from_checkpoint(const graph *graph, const checkpoint *from, float *parameters,
                            float *buffers, ls_error *error) {
    bool averaged = checkpoint_find_array(&from->manifest, "average") >= 0;
    LS_TRY(checkpoint_read(from, averaged ? "average" : "parameters", 0,
                           (int64_t)graph->parameter_count, parameters, error));
    if (graph->buffer_count == 0)
        return LS_OK;
    return checkpoint_read(from, "buffers", 0, (int64_t)graph->buffer_count, buffers, error);
}

/* The tables of a manifest with one part, in memory of their own. */
typedef struct tables {
    checkpoint_array arrays[2];
    checkpoint_range ranges[2];
    checkpoint_tensor *tensors;
    checkpoint_part part;
    float *values; /* all of both arrays */
    int count;     /* of arrays, and of ranges */
} tables;

static int fill(const graph *graph, const float *parameters, const float *buffers, tables *out,
                ls_error *error) {
    size_t count = graph->parameter_count, more = graph->buffer_count;
    *out = (tables){.count = more ? 2 : 1};
    out->arrays[0] = (checkpoint_array){"parameters", (int64_t)count};
    out->arrays[1] = (checkpoint_array){"buffers", (int64_t)more};
    out->ranges[0] = (checkpoint_range){0, 0, (int64_t)count};
    out->ranges[1] = (checkpoint_range){1, 0, (int64_t)more};
    out->tensors = calloc((size_t)graph->record_count + 1, sizeof *out->tensors);
    out->values = malloc((count + more + 1) * sizeof *out->values);
    if (!out->tensors || !out->values)
        return ls_fail(error, LS_FAILED, "out of memory");
    memcpy(out->values, parameters, count * sizeof *parameters);
    if (more)
        memcpy(out->values + count, buffers, more * sizeof *buffers);
    for (int record = 0; record < graph->record_count; record++) {
        const graph_parameter *of = &graph->parameters[record];
        checkpoint_tensor *to = &out->tensors[record];
        snprintf(to->name, sizeof to->name, "%s", of->name);
        memcpy(to->dims, of->dims, sizeof to->dims);
        to->dim_count = of->dim_count;
        to->range = (checkpoint_range){!of->trained, (int64_t)of->first, (int64_t)of->count};
    }
    return LS_OK;
}

static int write_files(tables *tables, const graph *graph, const weights_model *model,
                       const char *folder, const char *id, ls_error *error) {
    checkpoint_manifest manifest = {.serial = 1,
                                    .epoch = 1,
                                    .test_accuracy = __builtin_nan(""),
                                    .test_loss = __builtin_nan(""),
                                    .arrays = tables->arrays,
                                    .array_count = tables->count,
                                    .tensors = tables->tensors,
                                    .tensor_count = graph->record_count,
                                    .parts = &tables->part,
                                    .part_count = 1,
                                    .ranges = tables->ranges,
                                    .range_count = tables->count};
    snprintf(manifest.id, sizeof manifest.id, "%s", id);
    LS_TRY(checkpoint_part_write(folder, 0, id, tables->arrays, tables->ranges, tables->count,
                                 tables->values, &tables->part, error));
    tables->part.first_range = 0;
    tables->part.range_count = tables->count;
    weights_model_put(model, &manifest.state);
    int status = checkpoint_manifest_write(&manifest, folder, error);
    record_free(&manifest.state);
    return status;
}

int weights_to_checkpoint(const graph *graph, const weights_model *model, const char *dir,
                          const float *parameters, const float *buffers,
                          char name[CHECKPOINT_FOLDER_BYTES], ls_error *error) {
    static const char id[33] = "00000000000000000000000000000000"; /* of no run */
    char folder[4096];
    tables tables;
    LS_TRY(folder_create(dir, error));
    LS_TRY(checkpoint_temporary(folder, sizeof folder, dir, id, (int64_t)getpid(), 0, error));
    LS_TRY(checkpoint_begin(folder, error));
    int status = fill(graph, parameters, buffers, &tables, error);
    if (status == LS_OK)
        status = write_files(&tables, graph, model, folder, id, error);
    free(tables.tensors);
    free(tables.values);
    if (status == LS_OK)
        status = checkpoint_publish(dir, folder, 0, name, error);
    if (status != LS_OK)
        checkpoint_remove(dir, strrchr(folder, '/') + 1);
    return status;
}
