/* oneDNN as the cpu device uses it, whichever version (onednn_version.h). A call is a primitive
 * with its argument list; its memory is given when it runs. Scratch memory is the caller's. */
#ifndef LOCKSTEP_DEVICE_CPU_ONEDNN_H
#define LOCKSTEP_DEVICE_CPU_ONEDNN_H

#include "base/error.h"
#include "device/cpu/onednn_version.h"
#include "device/ops.h"

typedef struct onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
} onednn;

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

int onednn_open(onednn *self, ls_error *error);
void onednn_close(onednn *self);
const char *onednn_describe(void); /* "oneDNN 2.6.3 (avx512_core_amx)" */
const char *onednn_isa(void); /* "avx512_core_amx": what it knows of the CPU, or is limited to */
bool onednn_has_bf16(void);   /* the CPU has instructions for products of bf16 */
bool onednn_has_tiles(void);  /* and for products of whole tiles (AMX) */

/* Memory descriptions, of fp32 or bf16 values, released by onednn_desc_release. `any`: the call
 * chooses the order. NULL where oneDNN refuses, which a call made with it then reports. */
onednn_desc onednn_activation(dtype type, tensor_layout layout, int n, int height, int width,
                              int channels);
onednn_desc onednn_matrix(dtype type, int rows, int columns); /* row-major */
/* Of rows x columns, lying as columns x rows. */
onednn_desc onednn_matrix_transposed(dtype type, int rows, int columns);
onednn_desc onednn_vector(int length); /* fp32 */
onednn_desc onednn_filter_any(dtype type, int out, int in, int kernel);
onednn_desc onednn_filter_canonical(int out, int in, int kernel); /* [out, kh, kw, in], fp32 */
size_t onednn_desc_bytes(onednn_desc desc);
bool onednn_desc_equal(onednn_desc a, onednn_desc b);

/* Calls. On return every *any* description has become what the call really takes, which
 * onednn_call_desc tells. `forward` is the forward call of the same shape. A convolution whose bias
 * is NULL has none. */
int onednn_convolution_forward(onednn *self, onednn_desc x, onednn_desc weights, onednn_desc bias,
                               onednn_desc y, onednn_window window, bool relu, onednn_call *out,
                               ls_error *error);
int onednn_convolution_backward_data(onednn *self, onednn_desc dx, onednn_desc weights,
                                     onednn_desc dy, onednn_window window,
                                     const onednn_call *forward, onednn_call *out, ls_error *error);
int onednn_convolution_backward_weights(onednn *self, onednn_desc x, onednn_desc dweights,
                                        onednn_desc dbias, onednn_desc dy, onednn_window window,
                                        const onednn_call *forward, onednn_call *out,
                                        ls_error *error);
int onednn_linear_forward(onednn *self, onednn_desc x, onednn_desc weights, onednn_desc bias,
                          onednn_desc y, bool relu, onednn_call *out, ls_error *error);
int onednn_linear_backward_data(onednn *self, onednn_desc dx, onednn_desc weights, onednn_desc dy,
                                const onednn_call *forward, onednn_call *out, ls_error *error);
int onednn_linear_backward_weights(onednn *self, onednn_desc x, onednn_desc dweights,
                                   onednn_desc dbias, onednn_desc dy, const onednn_call *forward,
                                   onednn_call *out, ls_error *error);
/* c = a * b: DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST. */
int onednn_product(onednn *self, onednn_desc a, onednn_desc b, onednn_desc c, onednn_call *out,
                   ls_error *error);
int onednn_reorder(onednn *self, onednn_desc from, onednn_desc to, onednn_call *out,
                   ls_error *error);

/* Whether this is plain code, a thousand times slower than what the library has for most shapes. */
bool onednn_is_reference(const onednn_call *call);

/* The description of one argument of a call, which owns it. */
onednn_desc onednn_call_desc(const onednn_call *call, int argument);

/* Runs with `count` arguments' memory and a scratchpad of at least scratchpad_bytes. */
int onednn_call_run(onednn_call *call, const onednn_argument *arguments, int count,
                    void *scratchpad, ls_error *error);
void onednn_call_release(onednn_call *call);

#endif
