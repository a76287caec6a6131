/* The one file that knows which oneDNN this is (written for 2.6's C API; 3.x changed how
 * primitives are described and would be a second version of onednn.c). A call is a primitive with
 * its argument list; its memory is given when it runs. Scratch memory is the caller's. */
#ifndef LOCKSTEP_DEVICE_CPU_ONEDNN_H
#define LOCKSTEP_DEVICE_CPU_ONEDNN_H

#include "base/error.h"
#include "device/ops.h"

#include <dnnl.h>

typedef struct onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
} onednn;

typedef dnnl_memory_desc_t onednn_desc;

enum { ONEDNN_MAX_ARGUMENTS = 6 };

typedef struct onednn_call {
    dnnl_primitive_t primitive;
    dnnl_primitive_desc_t description; /* kept: backward's are made with forward's as a hint */
    dnnl_stream_t stream;
    dnnl_exec_arg_t arguments[ONEDNN_MAX_ARGUMENTS];
    int count;
    size_t scratchpad_bytes;
    char implementation[64];
} onednn_call;

typedef struct onednn_argument {
    int name; /* DNNL_ARG_SRC ... */
    const void *memory;
} onednn_argument;

typedef struct onednn_window {
    int stride, padding;
} onednn_window;

int onednn_open(onednn *self, ls_error *error);
void onednn_close(onednn *self);
const char *onednn_describe(void); /* "oneDNN 2.6.3 (avx512_core_amx)" */
const char *onednn_isa(void);      /* "avx512_core_amx" */
bool onednn_has_bf16(void);        /* the CPU has instructions for products of bf16 */

/* Memory descriptions, of fp32 or bf16 values. `any`: the call chooses the order. */
onednn_desc onednn_activation(dtype type, tensor_layout layout, int n, int height, int width,
                              int channels);
onednn_desc onednn_matrix(dtype type, int rows, int columns); /* row-major */
/* Of rows x columns, lying as columns x rows. */
onednn_desc onednn_matrix_transposed(dtype type, int rows, int columns);
onednn_desc onednn_vector(int length); /* fp32 */
onednn_desc onednn_filter_any(dtype type, int out, int in, int kernel);
onednn_desc onednn_filter_canonical(int out, int in, int kernel); /* [out, kh, kw, in], fp32 */
size_t onednn_desc_bytes(const onednn_desc *desc);
int onednn_desc_equal(const onednn_desc *a, const onednn_desc *b);

/* Calls. On return every *any* description has become what the call really takes, which
 * onednn_call_desc tells. `forward` is the forward call of the same shape. */
int onednn_convolution_forward(onednn *self, const onednn_desc *x, const onednn_desc *weights,
                               const onednn_desc *bias, const onednn_desc *y, onednn_window window,
                               bool relu, onednn_call *out, ls_error *error);
int onednn_convolution_backward_data(onednn *self, const onednn_desc *dx,
                                     const onednn_desc *weights, const onednn_desc *dy,
                                     onednn_window window, const onednn_call *forward,
                                     onednn_call *out, ls_error *error);
int onednn_convolution_backward_weights(onednn *self, const onednn_desc *x,
                                        const onednn_desc *dweights, const onednn_desc *dbias,
                                        const onednn_desc *dy, onednn_window window,
                                        const onednn_call *forward, onednn_call *out,
                                        ls_error *error);
int onednn_linear_forward(onednn *self, const onednn_desc *x, const onednn_desc *weights,
                          const onednn_desc *bias, const onednn_desc *y, bool relu,
                          onednn_call *out, ls_error *error);
int onednn_linear_backward_data(onednn *self, const onednn_desc *dx, const onednn_desc *weights,
                                const onednn_desc *dy, const onednn_call *forward, onednn_call *out,
                                ls_error *error);
int onednn_linear_backward_weights(onednn *self, const onednn_desc *x, const onednn_desc *dweights,
                                   const onednn_desc *dbias, const onednn_desc *dy,
                                   const onednn_call *forward, onednn_call *out, ls_error *error);
/* c = a * b: DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST. */
int onednn_product(onednn *self, const onednn_desc *a, const onednn_desc *b, const onednn_desc *c,
                   onednn_call *out, ls_error *error);
int onednn_reorder(onednn *self, const onednn_desc *from, const onednn_desc *to, onednn_call *out,
                   ls_error *error);

/* The description of one argument of a call. */
onednn_desc onednn_call_desc(const onednn_call *call, int argument);

/* Runs with `count` arguments' memory and a scratchpad of at least scratchpad_bytes. */
int onednn_call_run(onednn_call *call, const onednn_argument *arguments, int count,
                    void *scratchpad, ls_error *error);
void onednn_call_release(onednn_call *call);

#endif
