/* A model's weights into a file. */
#include "model/state_dict.h"
#include "weights/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static float *scratch_of(const graph *graph) {
    size_t most = 1;
    for (int record = 0; record < graph->record_count; record++)
        most = graph->parameters[record].count > most ? graph->parameters[record].count : most;
    return malloc(most * sizeof(float));
}

/* A record's parts lie one behind the other, as it does. */
static int put_all(const graph *graph, safetensors_writer *writer, int64_t batches,
                   const float *parameters, const float *buffers, ls_error *error) {
    char name[STATE_DICT_NAME_BYTES];
    float *scratch = scratch_of(graph);
    int status = scratch ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    for (int record = 0; record < graph->record_count && status == LS_OK; record++) {
        const graph_parameter *of = &graph->parameters[record];
        state_dict_export(graph, record, (of->trained ? parameters : buffers) + of->first, scratch);
        status = safetensors_put(writer, scratch, of->count * sizeof *scratch, error);
        if (status == LS_OK && state_dict_count_follows(graph, record, name))
            status = safetensors_put(writer, &batches, sizeof batches, error);
    }
    free(scratch);
    return status;
}

/* A file's tensors, and their names. */
typedef struct table {
    safetensors_tensor *tensors;
    char (*names)[WEIGHTS_NAME_BYTES];
    int count;
} table;

static void list_record(const graph *graph, weights_naming naming, int record, table *out) {
    char count_name[STATE_DICT_NAME_BYTES];
    char(*names)[WEIGHTS_NAME_BYTES] = &out->names[out->count];
    int parts = weights_names(naming, graph->parameters[record].name, names);
    for (int part = 0; part < parts; part++) {
        safetensors_tensor *made = &out->tensors[out->count++];
        made->name = names[part];
        made->type = SAFETENSORS_F32;
        made->dim_count = state_dict_shape(graph, record, made->dims);
        made->dims[0] /= parts;
    }
    if (!state_dict_count_follows(graph, record, count_name))
        return;
    memcpy(out->names[out->count], count_name, sizeof count_name);
    out->tensors[out->count] =
        (safetensors_tensor){.name = out->names[out->count], .type = SAFETENSORS_I64};
    out->count++;
}

/* The caller frees tensors and names, also after a failure. */
static int list_tensors(const graph *graph, weights_naming naming, table *out, ls_error *error) {
    size_t most = (WEIGHTS_MOST_PARTS + 1) * ((size_t)graph->record_count + 1);
    *out = (table){calloc(most, sizeof *out->tensors), calloc(most, sizeof *out->names), 0};
    if (!out->tensors || !out->names)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int record = 0; record < graph->record_count; record++)
        list_record(graph, naming, record, out);
    return LS_OK;
}

int weights_save(const graph *graph, weights_naming naming, const char *path,
                 const safetensors_text *about, int about_count, int64_t batches,
                 const float *parameters, const float *buffers, ls_error *error) {
    safetensors_writer *writer = NULL;
    table table;
    int status = list_tensors(graph, naming, &table, error);
    if (status == LS_OK)
        status = safetensors_create(path, table.tensors, table.count, about, about_count, &writer,
                                    error);
    free(table.tensors);
    free(table.names);
    LS_TRY(status);
    status = put_all(graph, writer, batches, parameters, buffers, error);
    if (status == LS_OK)
        return safetensors_finish(writer, error);
    safetensors_give_up(writer);
    return status;
}
