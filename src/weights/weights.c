/* A model's weights from a file. */
#include "weights/weights.h"
#include "model/state_dict.h"
#include "weights/account.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int weights_check(const graph *graph, const weights_source *from, weights_rules rules,
                  ls_error *error) {
    account account;
    int status = account_open(graph, from, rules, &account, error);
    account_close(&account);
    return status;
}

/* Of the largest record, and of what any is made of. */
static float *scratch_of(const graph *graph, const account *account) {
    size_t most = 1;
    for (int record = 0; record < graph->record_count; record++) {
        const record_account *of = &account->records[record];
        size_t count = graph->parameters[record].count;
        if (of->use == RECORD_INTERPOLATED)
            count = (size_t)of->parts[0]->elements;
        most = count > most ? count : most;
    }
    return malloc(most * sizeof(float));
}

static int read_parts(const weights_source *from, const record_account *of, float *out,
                      ls_error *error) {
    for (int part = 0; part < of->part_count; part++) {
        LS_TRY(safetensors_set_read_floats(from->tensors, of->parts[part], out, error));
        out += of->parts[part]->elements;
    }
    return LS_OK;
}

/* The class token's position as it is, the others' from their grid to the model's. */
static int interpolate(const graph *graph, int record, const safetensors_tensor *of,
                       const float *from, float *to, text_buffer *notes, ls_error *error) {
    int channels = graph->parameters[record].dims[2];
    int side = (int)(sqrt((double)(of->dims[1] - 1)) + 0.5);
    position_grid here = account_grid(graph, record), there = {side, side};
    memcpy(to, from, (size_t)channels * sizeof *to);
    text_add(notes, "position embeddings of %d x %d patches are interpolated to %d x %d, bicubic\n",
             side, side, here.rows, here.columns);
    return positions_interpolate(from + channels, there, to + channels, here, channels, error);
}

static int load_record(const graph *graph, int record, const weights_source *from,
                       const record_account *of, float *scratch, float *to, text_buffer *notes,
                       ls_error *error) {
    LS_TRY(read_parts(from, of, scratch, error));
    if (of->use == RECORD_INTERPOLATED)
        return interpolate(graph, record, of->parts[0], scratch, to, notes, error);
    state_dict_import(graph, record, scratch, to);
    return LS_OK;
}

static int load_all(const graph *graph, const weights_source *from, account *account,
                    float *parameters, float *buffers, ls_error *error) {
    float *scratch = scratch_of(graph, account);
    int status = scratch ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    for (int record = 0; record < graph->record_count && status == LS_OK; record++) {
        const graph_parameter *to = &graph->parameters[record];
        const record_account *of = &account->records[record];
        if (of->use != RECORD_KEPT)
            status = load_record(graph, record, from, of, scratch,
                                 (to->trained ? parameters : buffers) + to->first, &account->notes,
                                 error);
    }
    free(scratch);
    return status;
}

static void describe(const graph *graph, const weights_source *from, const account *account,
                     text_buffer *out) {
    text_add(out, "%s: %d tensors, %s", from->path, safetensors_set_count(from->tensors),
             weights_naming_text(from->naming));
    if (graph_layernorm_epsilon(graph) > 0)
        text_add(out, ", epsilon of layer norms %g", graph_layernorm_epsilon(graph));
    text_add(out, "\n%s", account->notes.length ? account->notes.bytes : "");
}

int weights_load(const graph *graph, const weights_source *from, weights_rules rules,
                 float *parameters, float *buffers, text_buffer *notes, ls_error *error) {
    account account;
    int status = account_open(graph, from, rules, &account, error);
    if (status == LS_OK)
        status = load_all(graph, from, &account, parameters, buffers, error);
    if (status == LS_OK && notes)
        describe(graph, from, &account, notes);
    account_close(&account);
    return status;
}
