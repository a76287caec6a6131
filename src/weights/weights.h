/* A model's weights in safetensors files, with names and orders of PyTorch's state_dict
 * (model/state_dict.h) or of HuggingFace's. Every tensor is accounted for: one that is missing,
 * unexpected or of another shape is named. */
#ifndef LOCKSTEP_WEIGHTS_WEIGHTS_H
#define LOCKSTEP_WEIGHTS_WEIGHTS_H

#include "base/text_buffer.h"
#include "model/graph.h"
#include "weights/source.h"

/* Names of "__metadata__": the model as --model names it, and its layer norms' epsilon where that
 * is another than the model's own. */
#define WEIGHTS_MODEL   "model"
#define WEIGHTS_EPSILON "layer_norm_epsilon"

/* True for names that end as files of this kind do. */
bool weights_is_file(const char *path);

typedef struct weights_rules {
    bool new_head; /* a head that is missing, or of another number of classes, is no fault */
    bool partial;  /* nor is any other tensor, as long as one fits */
} weights_rules;

/* Whether weights_load would take them, from headers alone. */
int weights_check(const graph *graph, const weights_source *from, weights_rules rules,
                  ls_error *error);

/* Into parameters[graph.parameter_count] and buffers[graph.buffer_count], canonical. What is not
 * read stays as it is there. Position embeddings of another square grid are interpolated
 * (weights/positions.h). LS_BAD_INPUT names what does not fit; what a model of PyTorch counts
 * beside its statistics (num_batches_tracked) is not looked at. `notes` (NULL: none wanted): a
 * line, with its end, that says what was read, and one for each thing beside it: a new head, an
 * interpolation, what was left out. */
int weights_load(const graph *graph, const weights_source *from, weights_rules rules,
                 float *parameters, float *buffers, text_buffer *notes, ls_error *error);

/* The other way, in fp32, with num_batches_tracked = `batches` where PyTorch's module has one, so
 * that load_state_dict misses nothing. `about` has what the file says of itself beside that. */
int weights_save(const graph *graph, weights_naming naming, const char *path,
                 const safetensors_text *about, int about_count, int64_t batches,
                 const float *parameters, const float *buffers, ls_error *error);

#endif
