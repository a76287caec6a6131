/* oneDNN 2.6: an operation is described first, and a primitive descriptor is made of that. */
#include "device/cpu/onednn_version.h"

#include <stdlib.h>

onednn_desc onednn_desc_make(dtype type, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
    dnnl_memory_desc_t *made = calloc(1, sizeof *made);
    dnnl_data_type_t name = type == DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
    if (!made || dnnl_memory_desc_init_by_tag(made, rank, dims, name, tag) == dnnl_success)
        return made;
    free(made);
    return NULL;
}

void onednn_desc_release(onednn_desc desc) {
    free((void *)desc);
}

static dnnl_status_t create(dnnl_engine_t engine, const void *description,
                            const onednn_operation *operation, dnnl_primitive_desc_t *out) {
    return dnnl_primitive_desc_create(out, description, operation->attributes, engine,
                                      operation->ahead);
}

static dnnl_status_t initialise_convolution(const onednn_operation *o, dnnl_alg_kind_t algorithm,
                                            onednn_window window, dnnl_convolution_desc_t *out) {
    dnnl_dims_t strides = {window.stride, window.stride};
    dnnl_dims_t padding = {window.padding, window.padding};
    switch (o->direction) {
    case dnnl_backward_data:
        return dnnl_convolution_backward_data_desc_init(out, algorithm, o->x, o->weights, o->y,
                                                        strides, padding, padding);
    case dnnl_backward_weights:
        return dnnl_convolution_backward_weights_desc_init(
            out, algorithm, o->x, o->weights, o->bias, o->y, strides, padding, padding);
    default:
        return dnnl_convolution_forward_desc_init(out, o->direction, algorithm, o->x, o->weights,
                                                  o->bias, o->y, strides, padding, padding);
    }
}

dnnl_status_t onednn_describe_convolution(dnnl_engine_t engine, const onednn_operation *operation,
                                          dnnl_alg_kind_t algorithm, onednn_window window,
                                          dnnl_primitive_desc_t *out) {
    dnnl_convolution_desc_t description;
    dnnl_status_t status = initialise_convolution(operation, algorithm, window, &description);
    return status == dnnl_success ? create(engine, &description, operation, out) : status;
}

static dnnl_status_t initialise_linear(const onednn_operation *o, dnnl_inner_product_desc_t *out) {
    switch (o->direction) {
    case dnnl_backward_data:
        return dnnl_inner_product_backward_data_desc_init(out, o->x, o->weights, o->y);
    case dnnl_backward_weights:
        return dnnl_inner_product_backward_weights_desc_init(out, o->x, o->weights, o->bias, o->y);
    default:
        return dnnl_inner_product_forward_desc_init(out, o->direction, o->x, o->weights, o->bias,
                                                    o->y);
    }
}

dnnl_status_t onednn_describe_linear(dnnl_engine_t engine, const onednn_operation *operation,
                                     dnnl_primitive_desc_t *out) {
    dnnl_inner_product_desc_t description;
    dnnl_status_t status = initialise_linear(operation, &description);
    return status == dnnl_success ? create(engine, &description, operation, out) : status;
}

dnnl_status_t onednn_describe_product(dnnl_engine_t engine, const onednn_operation *operation,
                                      dnnl_primitive_desc_t *out) {
    dnnl_matmul_desc_t description;
    dnnl_status_t status =
        dnnl_matmul_desc_init(&description, operation->x, operation->weights, NULL, operation->y);
    return status == dnnl_success ? create(engine, &description, operation, out) : status;
}

dnnl_status_t onednn_append_relu(dnnl_post_ops_t post) {
    return dnnl_post_ops_append_eltwise(post, 1.0f, dnnl_eltwise_relu, 0, 0);
}

dnnl_status_t onednn_ask_same_bits(dnnl_primitive_attr_t attributes) {
    (void)attributes;
    return dnnl_success;
}

const onednn_isa_entry onednn_isas[] = {{dnnl_cpu_isa_sse41, "sse41"},
                                        {dnnl_cpu_isa_avx, "avx"},
                                        {dnnl_cpu_isa_avx2, "avx2"},
                                        {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
                                        {dnnl_cpu_isa_avx512_core, "avx512_core"},
                                        {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
                                        {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
                                        {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
                                        {0, NULL}};
