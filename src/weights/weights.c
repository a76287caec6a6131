#include "weights/weights.h"
#include "base/text_buffer.h"
#include "model/state_dict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED = 4 }; /* tensors in one line */

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

bool weights_is_file(const char *path) {
    return ends_with(path, ".safetensors");
}

/* What does not fit, the first few by name. */
typedef struct account {
    text_buffer text;
    int count;
} account;

static void add_to(account *self, const char *name, const char *what) {
    if (self->count < NAMED)
        text_add(&self->text, "%s%.100s%s", self->count ? ", " : "", name, what);
    self->count++;
}

static void add_shape(text_buffer *out, const int64_t *dims, int count) {
    text_add(out, "[");
    for (int dim = 0; dim < count; dim++)
        text_add(out, "%s%lld", dim ? ", " : "", (long long)dims[dim]);
    text_add(out, "]");
}

/* Whether a tensor of the file has the shape that the model's record has there. */
static bool fits(const graph *graph, int record, const safetensors_tensor *tensor, account *wrong) {
    int64_t dims[4];
    int count = state_dict_shape(graph, record, dims);
    if (count == tensor->dim_count && memcmp(dims, tensor->dims, (size_t)count * sizeof *dims) == 0)
        return true;
    text_buffer what = {0};
    text_add(&what, " (expected ");
    add_shape(&what, dims, count);
    text_add(&what, ", found ");
    add_shape(&what, tensor->dims, tensor->dim_count);
    text_add(&what, ")");
    add_to(wrong, tensor->name, what.failed ? "" : what.bytes);
    text_free(&what);
    return false;
}

static bool is_of_model(const graph *graph, const char *name) {
    for (int record = 0; record < graph->record_count; record++)
        if (strcmp(graph->parameters[record].name, name) == 0)
            return true;
    return false;
}

/* The accounts as one line; all are freed. */
static int settle(const char *path, account accounts[3], ls_error *error) {
    static const char *const what[3] = {"missing", "unexpected", "of another shape"};
    text_buffer line = {0};
    for (int kind = 0; kind < 3; kind++) {
        const account *one = &accounts[kind];
        if (one->count == 0)
            continue;
        text_add(&line, "%s%d %s: %s%s", line.length ? "; " : "", one->count, what[kind],
                 one->text.failed ? "?" : one->text.bytes, one->count > NAMED ? ", ..." : "");
    }
    int status = LS_OK;
    if (line.length)
        status = ls_fail(error, LS_BAD_INPUT, "%s: its tensors are not the model's: %s", path,
                         line.bytes);
    for (int kind = 0; kind < 3; kind++)
        text_free(&accounts[kind].text);
    text_free(&line);
    return status;
}

static int compare(const graph *graph, const safetensors *file, const char *path, ls_error *error) {
    account accounts[3] = {0};
    for (int record = 0; record < graph->record_count; record++) {
        const char *name = graph->parameters[record].name;
        const safetensors_tensor *tensor = safetensors_find(file, name);
        if (!tensor)
            add_to(&accounts[0], name, "");
        else
            fits(graph, record, tensor, &accounts[2]);
    }
    for (int index = 0; index < safetensors_count(file); index++) {
        const char *name = safetensors_at(file, index)->name;
        if (!is_of_model(graph, name) && !state_dict_is_count(name))
            add_to(&accounts[1], name, "");
    }
    return settle(path, accounts, error);
}

/* Of the largest record. */
static float *scratch_of(const graph *graph) {
    size_t most = 1;
    for (int record = 0; record < graph->record_count; record++)
        most = graph->parameters[record].count > most ? graph->parameters[record].count : most;
    return malloc(most * sizeof(float));
}

int weights_load(const graph *graph, const safetensors *file, const char *path, float *parameters,
                 float *buffers, ls_error *error) {
    LS_TRY(compare(graph, file, path, error));
    float *scratch = scratch_of(graph);
    int status = scratch ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    for (int record = 0; record < graph->record_count && status == LS_OK; record++) {
        const graph_parameter *of = &graph->parameters[record];
        float *to = (of->trained ? parameters : buffers) + of->first;
        status = safetensors_read_floats(file, safetensors_find(file, of->name), scratch, error);
        if (status == LS_OK)
            state_dict_import(graph, record, scratch, to);
    }
    free(scratch);
    return status;
}

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

/* A file's tensors, and the names that no record has. */
typedef struct table {
    safetensors_tensor *tensors;
    char (*names)[STATE_DICT_NAME_BYTES];
    int count;
} table;

/* The caller frees tensors and names, also after a failure. */
static int list_tensors(const graph *graph, table *out, ls_error *error) {
    size_t most = 2 * (size_t)graph->record_count + 1;
    *out = (table){calloc(most, sizeof *out->tensors), calloc(most, sizeof *out->names), 0};
    if (!out->tensors || !out->names)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int record = 0; record < graph->record_count; record++) {
        safetensors_tensor *made = &out->tensors[out->count++];
        made->name = graph->parameters[record].name;
        made->type = SAFETENSORS_F32;
        made->dim_count = state_dict_shape(graph, record, made->dims);
        char *name = out->names[out->count];
        if (state_dict_count_follows(graph, record, name))
            out->tensors[out->count++] =
                (safetensors_tensor){.name = name, .type = SAFETENSORS_I64};
    }
    return LS_OK;
}

int weights_save(const graph *graph, const char *path, const safetensors_text *about,
                 int about_count, int64_t batches, const float *parameters, const float *buffers,
                 ls_error *error) {
    safetensors_writer *writer = NULL;
    table table;
    int status = list_tensors(graph, &table, error);
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
