/* A kind of layer: how it prepares plans for a batch of n, what it keeps, how it runs. One file a
 * kind (layer_*.c), ended by its interface. */
#ifndef LOCKSTEP_MODEL_LAYER_H
#define LOCKSTEP_MODEL_LAYER_H

#include "device/ops.h"
#include "model/graph.h"

/* A layer prepared for one batch size. Pointers into the arena are set when it is laid out. */
typedef struct layer_pass {
    const graph_layer *layer;
    plan *plan;       /* NULL where the kind needs none */
    void *saved;      /* plan_saved_bytes, from forward to backward */
    void *x[2], *y;   /* activations */
    void *dx[2], *dy; /* gradients; dx NULL where none is needed (the network's input) */
    size_t elements;  /* of y, for the whole batch */
    bool dy_masked;   /* this layer's own ReLU's mask was applied by its reader */
} layer_pass;

/* Parameters, gradients and packed weights of the moment: never kept from step to step. */
typedef struct layer_parameters {
    const float *weights, *bias;
    float *dweights, *dbias;
    void *packed;
} layer_parameters;

typedef struct layer_run {
    device *device;
    device_stream *stream;
    void *workspace;
    dtype type;
} layer_run;

struct layer_interface {
    const char *kind;
    /* True where backward of this kind applies the ReLU mask of its input's producer on its way. */
    bool masks_input;
    /* True where forward's input (x) or output (y) is read again in backward. */
    bool backward_reads_input, backward_reads_output;
    /* True where the weight gradient is dy [n, out] transposed times x [n, in]. */
    bool has_factors;
    /* in_layouts, out_layout: of inputs[0] and the output. `like`: the same layer at another n. */
    int (*prepare)(const graph *graph, const graph_layer *layer, device *device, int n,
                   precision precision, tensor_layout in_layout, tensor_layout out_layout,
                   bool need_dx, const plan *like, plan **out, ls_error *error);
    int (*forward)(const layer_run *run, layer_pass *pass, const layer_parameters *parameters,
                   ls_error *error);
    /* Gradient of the parameters: NULL where there are none. dy is final and masked. */
    int (*backward_weights)(const layer_run *run, layer_pass *pass,
                            const layer_parameters *parameters, ls_error *error);
    /* Gradient of the inputs, overwriting dx[...]; not called when all dx are NULL. */
    int (*backward_data)(const layer_run *run, layer_pass *pass, const layer_parameters *parameters,
                         ls_error *error);
};

extern const layer_interface layer_conv2d, layer_maxpool2d, layer_linear, layer_add;

#endif
