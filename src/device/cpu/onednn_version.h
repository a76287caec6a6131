/* What oneDNN 2.6 and 3 write differently, in one form: implemented by onednn2.c and by onednn3.c,
 * of which meson.build takes the one for the headers that it finds. Version 3 has no operation
 * descriptors (primitive descriptors are made directly), its memory descriptors are opaque, and
 * there are new attributes. The rest of the C API is common to both. */
#ifndef LOCKSTEP_DEVICE_CPU_ONEDNN_VERSION_H
#define LOCKSTEP_DEVICE_CPU_ONEDNN_VERSION_H

#include "base/dtype.h"

#include <dnnl.h>

/* A memory descriptor that is only read: what both versions' calls take. */
#if DNNL_VERSION_MAJOR < 3
typedef const dnnl_memory_desc_t *onednn_desc;
#else
typedef const_dnnl_memory_desc_t onednn_desc;
#endif

typedef enum { ONEDNN_BEST, ONEDNN_DIRECT, ONEDNN_WINOGRAD } onednn_algorithm;

typedef struct onednn_window {
    int stride, padding;
    onednn_algorithm algorithm;
} onednn_window;

/* NULL where oneDNN refuses. */
onednn_desc onednn_desc_make(dtype type, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag);
void onednn_desc_release(onednn_desc desc);

/* One direction of a layer. */
typedef struct onednn_operation {
    dnnl_prop_kind_t direction;        /* forward training, backward data, backward weights */
    onednn_desc x, weights, bias, y;   /* or their gradients; backward data has no bias */
    const_dnnl_primitive_desc_t ahead; /* backward: forward's */
    const_dnnl_primitive_attr_t attributes;
} onednn_operation;

dnnl_status_t onednn_describe_convolution(dnnl_engine_t engine, const onednn_operation *operation,
                                          dnnl_alg_kind_t algorithm, onednn_window window,
                                          dnnl_primitive_desc_t *out);
dnnl_status_t onednn_describe_linear(dnnl_engine_t engine, const onednn_operation *operation,
                                     dnnl_primitive_desc_t *out);
/* y = x * weights. */
dnnl_status_t onednn_describe_product(dnnl_engine_t engine, const onednn_operation *operation,
                                      dnnl_primitive_desc_t *out);

dnnl_status_t onednn_append_relu(dnnl_post_ops_t post);
/* The same bits in every run, where there is a way to ask for them (3.4 and later; before, what
 * the CPU's implementations give is that). */
dnnl_status_t onednn_ask_same_bits(dnnl_primitive_attr_t attributes);

/* The sets of instructions that this version has names for, each as bits and a later one holding
 * more where it holds all bits of an earlier one; the last has no name. */
typedef struct onednn_isa_entry {
    unsigned bits;
    const char *name;
} onednn_isa_entry;

extern const onednn_isa_entry onednn_isas[];

#endif
