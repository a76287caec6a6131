/* A model's weights from a file into the mode's store: rank 0 reads, the others are told. */
#include "train/load_weights.h"
#include "checkpoint/checkpoint.h"
#include "train/trainer.h"
#include "weights/checkpoint_weights.h"
#include "weights/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 18 }; /* elements that are on their way to the other ranks at a time */

/* --- what they say */

static const char *from_of(const trainer *self) {
    return self->settings->weights.init;
}

bool trainer_begins_with_weights(const trainer *self) {
    return from_of(self) && !self->resumed.on;
}

static weights_rules rules_of(const trainer *self) {
    return (weights_rules){.new_head = !self->evaluates,
                           .partial = self->settings->weights.partial};
}

static int open_checkpoint(const char *from, checkpoint *out, ls_error *error) {
    char folder[4096];
    LS_TRY(checkpoint_resolve(from, folder, sizeof folder, error));
    return checkpoint_open(out, folder, error);
}

static int describe_checkpoint(const char *from, weights_model *out, ls_error *error) {
    checkpoint found;
    LS_TRY(open_checkpoint(from, &found, error));
    int status = weights_model_get(&found, out, error);
    checkpoint_close(&found);
    return status;
}

static int describe_source(const char *from, weights_model *out, ls_error *error) {
    weights_source source;
    LS_TRY(weights_source_open(from, &source, error));
    snprintf(out->name, sizeof out->name, "%s", source.model);
    out->epsilon = source.epsilon;
    weights_source_close(&source);
    return LS_OK;
}

/* Weights may fit another model's shapes and mean something else there: attention's heads have no
 * shape of their own. evaluate's user has said which model it is. */
static int check_name(const trainer *self, const weights_model *found, ls_error *error) {
    const char *name = self->settings->model.model;
    if (self->evaluates || self->settings->weights.partial || !found->name[0] ||
        strcmp(found->name, name) == 0)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "--init: %s has weights of %s, and the model is %s: expected --model, --patch, "
                   "--pool and --gelu as theirs",
                   from_of(self), found->name, name);
}

int trainer_describe_weights(trainer *self, ls_error *error) {
    weights_model found = {0};
    if (self->resumed.on) {
        LS_TRY(weights_model_get(&self->resumed.from, &found, error));
    } else if (from_of(self)) {
        bool source = weights_source_is(from_of(self));
        if (self->me->rank == 0)
            LS_TRY((source ? describe_source : describe_checkpoint)(from_of(self), &found, error));
        LS_TRY(comm_broadcast_bytes(self->control, &found, sizeof found, 0, error));
        LS_TRY(check_name(self, &found, error));
    }
    self->epsilon = found.epsilon;
    return LS_OK;
}

int trainer_check_weights(const trainer *self, ls_error *error) {
    const char *from = from_of(self);
    weights_source source;
    checkpoint found;
    if (!trainer_begins_with_weights(self) || self->me->rank != 0)
        return LS_OK;
    if (!weights_source_is(from)) {
        LS_TRY(open_checkpoint(from, &found, error));
        int status = weights_check_checkpoint(&self->graph, &found, error);
        checkpoint_close(&found);
        return status;
    }
    LS_TRY(weights_source_open(from, &source, error));
    int status = weights_check(&self->graph, &source, rules_of(self), error);
    weights_source_close(&source);
    return status;
}

/* --- reading */

static int read_checkpoint(const trainer *self, float *values, ls_error *error) {
    checkpoint found;
    LS_TRY(open_checkpoint(from_of(self), &found, error));
    int status = weights_check_checkpoint(&self->graph, &found, error);
    if (status == LS_OK)
        status = weights_from_checkpoint(&self->graph, &found, values,
                                         values + self->graph.parameter_count, error);
    checkpoint_close(&found);
    return status;
}

/* values: parameters, then buffers. */
static int read_values(const trainer *self, float *values, text_buffer *notes, ls_error *error) {
    weights_source source;
    float *buffers = values + self->graph.parameter_count;
    if (!weights_source_is(from_of(self)))
        return read_checkpoint(self, values, error);
    if (!self->evaluates) {
        network_initialise(&self->graph, (uint64_t)self->settings->seed, values);
        network_initialise_buffers(&self->graph, (uint64_t)self->settings->seed, buffers);
    }
    LS_TRY(weights_source_open(from_of(self), &source, error));
    int status = weights_load(&self->graph, &source, rules_of(self), values, buffers, notes, error);
    weights_source_close(&source);
    return status;
}

/* In pieces: no rank but the one that reads has all of a model beside its own part. `values` is
 * rank 0's. */
static int share_values(trainer *self, store_kind kind, const float *values, float *piece,
                        ls_error *error) {
    store *store = self->learner.mode->store;
    size_t count = kind == STORE_BUFFERS ? self->graph.buffer_count : self->graph.parameter_count;
    for (size_t first = 0; first < count; first += PIECE) {
        store_span part = {first, count - first < PIECE ? count - first : PIECE};
        if (self->me->rank == 0)
            memcpy(piece, values + first, part.count * sizeof *piece);
        LS_TRY(comm_broadcast_bytes(self->control, piece, part.count * sizeof *piece, 0, error));
        LS_TRY(store_write(store, self->engine.stream, kind, part, piece, error));
    }
    return LS_OK;
}

int trainer_load_weights(trainer *self, text_buffer *notes, ls_error *error) {
    size_t parameters = self->graph.parameter_count;
    bool reads = self->me->rank == 0;
    size_t count = reads ? parameters + self->graph.buffer_count : 0;
    float *values = calloc(count + 1, sizeof *values), *piece = malloc(PIECE * sizeof *piece);
    int status = values && piece ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK && reads)
        status = read_values(self, values, notes, error);
    if (status == LS_OK)
        status = share_values(self, STORE_PARAMETERS, values, piece, error);
    if (status == LS_OK)
        status = share_values(self, STORE_BUFFERS, values + (reads ? parameters : 0), piece, error);
    if (status == LS_OK)
        status = mode_parameters_written(self->learner.mode, error);
    free(values), free(piece);
    return status;
}
