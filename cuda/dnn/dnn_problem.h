/* What is asked of cuDNN: one graph for one shape. This is all that the files which choose, time,
 * keep and run an engine know of it. A client (conv_graph.h) is a struct that begins with a
 * dnn_problem, and brings a key, the building of its graph, and perhaps a kernel of ours that
 * computes the same where cuDNN does not. */
#ifndef LOCKSTEP_CUDA_DNN_DNN_PROBLEM_H
#define LOCKSTEP_CUDA_DNN_DNN_PROBLEM_H

#include "cuda/dnn/dnn_choice.h"
#include "cuda/dnn/dnn_graph.h"

#include <cuda_runtime_api.h>

enum { DNN_FORMS = 2 };

/* Device memory of one call: at[slot] for the tensor of that slot, NULL for one that the graph does
 * not have; aligned to DNN_ALIGNMENT where the tensor is not `staged`. */
typedef struct dnn_pointers {
    const void *at[DNN_SLOTS];
    void *workspace;
    /* Of what may be staged, bit `slot`: there it lies in the factors' type (dnn_sums.type),
     * whatever the tensor's `stored` says. */
    unsigned low;
} dnn_pointers;

typedef struct dnn_problem dnn_problem;
struct dnn_problem {
    const char *what; /* "convolution" */
    const char *name; /* one word of a plan's description: "forward" */
    /* "forward n64 h32 w32 c3 k64 r3 s1 p1 bf16 relu": all that the choice of an engine depends on,
     * in printable characters, no tab; the first word tells clients and directions apart. */
    char key[CHOICE_KEY_BYTES];
    dnn_sums sums;
    /* The graph may exist in several forms, by the type that cuDNN sees of what is fp32 in our
     * memory (parameters, their gradients), in the order in which they are tried. */
    dtype forms[DNN_FORMS];
    int form_count;
    /* Adds tensors and operations. Which slots it uses is the same in every form. */
    int (*build)(const dnn_problem *self, dtype form, dnn_graph *graph, ls_error *error);
    /* Computes it without cuDNN and without workspace; NULL: there is no such kernel. */
    cudaError_t (*kernel)(const dnn_problem *self, cudaStream_t stream,
                          const dnn_pointers *pointers);
};

/* Writes the key. LS_FAILED where it is longer than CHOICE_KEY_BYTES: what is cut would stand for
 * another graph too. */
int dnn_problem_set_key(dnn_problem *self, ls_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

bool dnn_problem_has_form(const dnn_problem *self, dtype form);

/* The graph in one form, finished. LS_FAILED where cuDNN refuses it. */
int dnn_problem_graph(const dnn_problem *self, dtype form, cudnnHandle_t handle, dnn_graph **out,
                      ls_error *error);

#endif
