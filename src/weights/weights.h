/* A model's weights in a safetensors file, with names and orders of PyTorch's state_dict
 * (model/state_dict.h). Every tensor is accounted for: one that is missing, unexpected or of
 * another shape is named. */
#ifndef LOCKSTEP_WEIGHTS_WEIGHTS_H
#define LOCKSTEP_WEIGHTS_WEIGHTS_H

#include "model/graph.h"
#include "safetensors/safetensors.h"

/* A name of "__metadata__": the model as --model names it. */
#define WEIGHTS_MODEL "model"

/* True for names that end as files of this kind do. */
bool weights_is_file(const char *path);

/* Into parameters[graph.parameter_count] and buffers[graph.buffer_count], canonical. LS_BAD_INPUT
 * names what does not fit; what a model of PyTorch counts beside its statistics
 * (num_batches_tracked) is not looked at. */
int weights_load(const graph *graph, const safetensors *file, const char *path, float *parameters,
                 float *buffers, ls_error *error);

/* The other way, in fp32, with num_batches_tracked = `batches` where PyTorch's module has one, so
 * that load_state_dict misses nothing. `about` has what the file says of itself beside that. */
int weights_save(const graph *graph, const char *path, const safetensors_text *about,
                 int about_count, int64_t batches, const float *parameters, const float *buffers,
                 ls_error *error);

#endif
