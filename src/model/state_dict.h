/* A model's tensors as PyTorch's state_dict has them. Names are the records' own (graph.h). Weights
 * are canonical here, [out, h, w, in], and [out, in, h, w] there; so are those of a linear layer
 * that flattens an image: [out, in * h * w] there. All else lies alike. */
#ifndef LOCKSTEP_MODEL_STATE_DICT_H
#define LOCKSTEP_MODEL_STATE_DICT_H

#include "model/graph.h"

/* The shape there of a record (graph.parameters[record]) into dims[4]; returns how many. */
int state_dict_shape(const graph *graph, int record, int64_t dims[4]);

/* The record's elements from one order to the other; `from` and `to` [count] do not overlap. */
void state_dict_export(const graph *graph, int record, const float *from, float *to);
void state_dict_import(const graph *graph, int record, const float *from, float *to);

/* What PyTorch keeps behind a record and a model here does not: of a norm's last record the name of
 * the number of batches that its statistics are of ("bn1.num_batches_tracked", one int64 without
 * dims) in `name`, and true. */
enum { STATE_DICT_NAME_BYTES = 96 };
bool state_dict_count_follows(const graph *graph, int record, char name[STATE_DICT_NAME_BYTES]);
/* A name of that kind. */
bool state_dict_is_count(const char *name);

#endif
