/* cuDNN's engines for an operation graph: which there are, in the order of its heuristics, and an
 * execution plan of one. An engine with the values of its knobs is a choice that can be written
 * down: for one version of cuDNN and one model of GPU it builds the same plan again. */
#ifndef LOCKSTEP_CUDA_DNN_DNN_ENGINE_H
#define LOCKSTEP_CUDA_DNN_DNN_ENGINE_H

#include "cuda/dnn/dnn_choice.h"
#include "cuda/dnn/dnn_graph.h"

enum { DNN_MAX_ENGINES = 96 };

/* Plans that want more scratch than this are not considered. */
#define DNN_MOST_WORKSPACE_BYTES ((int64_t)1 << 30)

typedef struct dnn_engine_list {
    dnn_engine engines[DNN_MAX_ENGINES];
    int count;
    int refused;      /* by their numerical notes */
    ls_error refusal; /* the first heuristic or engine that cuDNN does not tell of; code 0: none */
} dnn_engine_list;

/* Which GPU a plan is for: that of graph->handle (properties NULL), or one that need not be there,
 * by its CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR (graph->handle NULL). */
typedef struct dnn_target {
    cudnnBackendDescriptor_t properties;
} dnn_target;

/* The engines that heuristics A, B and the fallback offer, in that order, each once; left out are
 * those whose numerical notes say that they give other sums than asked for: not deterministic,
 * reduced in less than fp32, factors rounded (fp32 without tf32: then no tensor cores either), by
 * FFT, or by Winograd with large tiles (any tile for 16 bit types). The list may be
 * empty. */
void dnn_engines_find(const dnn_graph *graph, const dnn_target *target, dnn_engine_list *out);

typedef struct dnn_execution {
    cudnnBackendDescriptor_t plan;
    cudnnBackendDescriptor_t engine, configuration; /* what it is made of */
    cudnnBackendDescriptor_t knobs[DNN_MAX_KNOBS];
    int64_t workspace_bytes;
} dnn_execution;

/* LS_FAILED with cuDNN's reason: an engine that does not build is ordinary. *out is to be destroyed
 * before the graph. */
int dnn_execution_build(const dnn_graph *graph, const dnn_target *target, const dnn_engine *engine,
                        dnn_execution *out, ls_error *error);
void dnn_execution_destroy(dnn_execution *self); /* zeroed is fine */

#endif
