/* cuDNN's engines for an operation graph: which there are, in the order of its heuristics, and an
 * execution plan of one. An engine with the values of its knobs is a choice that can be written
 * down: for one version of cuDNN and one model of GPU it builds the same plan again. */
#ifndef LOCKSTEP_CUDA_CONV_ENGINE_H
#define LOCKSTEP_CUDA_CONV_ENGINE_H

#include "conv_graph.h"

enum { CONV_MAX_KNOBS = 24, CONV_MAX_ENGINES = 96 };

/* Plans that want more scratch than this are not considered. */
#define CONV_MOST_WORKSPACE_BYTES ((int64_t)1 << 30)

typedef struct conv_knob {
    int64_t type, value;
} conv_knob;

typedef struct conv_engine {
    int64_t index; /* cuDNN's global index */
    int knob_count;
    conv_knob knobs[CONV_MAX_KNOBS]; /* in ascending order of type */
    /* Known of what a heuristic names; not part of the choice. */
    bool tensor_cores;
    bool runtime_compiled;
} conv_engine;

bool conv_engine_equal(const conv_engine *a, const conv_engine *b);

/* "eng 37 k2=11 k13=1" */
void conv_engine_describe(const conv_engine *engine, char *text, size_t bytes);

typedef struct conv_engine_list {
    conv_engine engines[CONV_MAX_ENGINES];
    int count;
    int refused;      /* by their numerical notes */
    ls_error refusal; /* the first heuristic or engine that cuDNN does not tell of; code 0: none */
} conv_engine_list;

/* Which GPU a plan is for: that of graph->handle (properties NULL), or one that need not be there,
 * by its CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR (graph->handle NULL). */
typedef struct conv_target {
    cudnnBackendDescriptor_t properties;
} conv_target;

/* The engines that heuristics A, B and the fallback offer, in that order, each once; left out are
 * those whose numerical notes say that they give other sums than asked for: not deterministic,
 * reduced in less than fp32, factors rounded (fp32 without tf32: then no tensor cores either), by
 * FFT, or by Winograd with large tiles (any tile for 16 bit types). The list may be
 * empty. */
void conv_engines_find(const conv_graph *graph, const conv_target *target, conv_engine_list *out);

typedef struct conv_execution {
    cudnnBackendDescriptor_t plan;
    cudnnBackendDescriptor_t engine, configuration; /* what it is made of */
    cudnnBackendDescriptor_t knobs[CONV_MAX_KNOBS];
    int64_t workspace_bytes;
} conv_execution;

/* The pointers of one execution: addresses[i] is for graph->uids[i]. The caller destroys *out. */
int conv_pack_build(const conv_graph *graph, const void *const *addresses, void *workspace,
                    cudnnBackendDescriptor_t *out, ls_error *error);

/* LS_FAILED with cuDNN's reason: an engine that does not build is ordinary. *out is to be destroyed
 * before the graph. */
int conv_execution_build(const conv_graph *graph, const conv_target *target,
                         const conv_engine *engine, conv_execution *out, ls_error *error);
void conv_execution_destroy(conv_execution *self); /* zeroed is fine */

#endif
