/* A model's weights from a file into the mode's store: rank 0 reads, the others are told. */
#include "train/load_weights.h"
#include "checkpoint/checkpoint.h"
#include "safetensors/safetensors.h"
#include "train/trainer.h"
#include "weights/checkpoint_weights.h"
#include "weights/weights.h"

#include <stdlib.h>

static int read_checkpoint(const trainer *self, const char *from, float *values, ls_error *error) {
    char folder[4096];
    checkpoint found;
    LS_TRY(checkpoint_resolve(from, folder, sizeof folder, error));
    LS_TRY(checkpoint_open(&found, folder, error));
    int status = weights_check_checkpoint(&self->graph, &found, error);
    if (status == LS_OK)
        status = weights_from_checkpoint(&self->graph, &found, values,
                                         values + self->graph.parameter_count, error);
    checkpoint_close(&found);
    return status;
}

/* values: parameters, then buffers. */
static int read_values(const trainer *self, const char *from, float *values, ls_error *error) {
    safetensors *file = NULL;
    if (!weights_is_file(from))
        return read_checkpoint(self, from, values, error);
    LS_TRY(safetensors_open(from, &file, error));
    int status =
        weights_load(&self->graph, file, from, values, values + self->graph.parameter_count, error);
    safetensors_close(file);
    return status;
}

static int write_values(trainer *self, const float *values, ls_error *error) {
    store *store = self->learner.mode->store;
    store_span parameters = {0, self->graph.parameter_count};
    store_span buffers = {0, self->graph.buffer_count};
    LS_TRY(store_write(store, self->engine.stream, STORE_PARAMETERS, parameters, values, error));
    LS_TRY(store_write(store, self->engine.stream, STORE_BUFFERS, buffers,
                       values + parameters.count, error));
    return mode_parameters_written(self->learner.mode, error);
}

int trainer_load_weights(trainer *self, const char *from, ls_error *error) {
    size_t count = self->graph.parameter_count + self->graph.buffer_count;
    float *values = malloc((count + 1) * sizeof *values);
    int status = values ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK && self->me->rank == 0)
        status = read_values(self, from, values, error);
    if (status == LS_OK)
        status = comm_broadcast_bytes(self->control, values, count * sizeof *values, 0, error);
    if (status == LS_OK)
        status = write_values(self, values, error);
    free(values);
    return status;
}
