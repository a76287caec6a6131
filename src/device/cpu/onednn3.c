/* oneDNN 3 (from 3.1 on): primitive descriptors are made directly. */
#include "device/cpu/onednn_version.h"

onednn_desc onednn_desc_make(dtype type, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
    dnnl_memory_desc_t made = NULL;
    dnnl_data_type_t name = type == DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
    return dnnl_memory_desc_create_with_tag(&made, rank, dims, name, tag) == dnnl_success ? made
                                                                                          : NULL;
}

void onednn_desc_release(onednn_desc desc) {
    if (desc)
        dnnl_memory_desc_destroy((dnnl_memory_desc_t)desc);
}

dnnl_status_t onednn_describe_convolution(dnnl_engine_t engine, const onednn_operation *o,
                                          dnnl_alg_kind_t algorithm, onednn_window window,
                                          dnnl_primitive_desc_t *out) {
    dnnl_dims_t strides = {window.stride, window.stride}, dilates = {0, 0};
    dnnl_dims_t padding = {window.padding, window.padding};
    switch (o->direction) {
    case dnnl_backward_data:
        return dnnl_convolution_backward_data_primitive_desc_create(
            out, engine, algorithm, o->x, o->weights, o->y, strides, dilates, padding, padding,
            o->ahead, o->attributes);
    case dnnl_backward_weights:
        return dnnl_convolution_backward_weights_primitive_desc_create(
            out, engine, algorithm, o->x, o->weights, o->bias, o->y, strides, dilates, padding,
            padding, o->ahead, o->attributes);
    default:
        return dnnl_convolution_forward_primitive_desc_create(
            out, engine, o->direction, algorithm, o->x, o->weights, o->bias, o->y, strides, dilates,
            padding, padding, o->attributes);
    }
}

dnnl_status_t onednn_describe_linear(dnnl_engine_t engine, const onednn_operation *o,
                                     dnnl_primitive_desc_t *out) {
    switch (o->direction) {
    case dnnl_backward_data:
        return dnnl_inner_product_backward_data_primitive_desc_create(
            out, engine, o->x, o->weights, o->y, o->ahead, o->attributes);
    case dnnl_backward_weights:
        return dnnl_inner_product_backward_weights_primitive_desc_create(
            out, engine, o->x, o->weights, o->bias, o->y, o->ahead, o->attributes);
    default:
        return dnnl_inner_product_forward_primitive_desc_create(
            out, engine, o->direction, o->x, o->weights, o->bias, o->y, o->attributes);
    }
}

dnnl_status_t onednn_describe_product(dnnl_engine_t engine, const onednn_operation *o,
                                      dnnl_primitive_desc_t *out) {
    return dnnl_matmul_primitive_desc_create(out, engine, o->x, o->weights, NULL, o->y,
                                             o->attributes);
}

dnnl_status_t onednn_append_relu(dnnl_post_ops_t post) {
    return dnnl_post_ops_append_eltwise(post, dnnl_eltwise_relu, 0, 0);
}

#if DNNL_VERSION_MAJOR > 3 || DNNL_VERSION_MINOR >= 4
dnnl_status_t onednn_ask_same_bits(dnnl_primitive_attr_t attributes) {
    return dnnl_primitive_attr_set_deterministic(attributes, 1);
}
#else
dnnl_status_t onednn_ask_same_bits(dnnl_primitive_attr_t attributes) {
    (void)attributes;
    return dnnl_success;
}
#endif

const onednn_isa_entry onednn_isas[] = {{dnnl_cpu_isa_sse41, "sse41"},
                                        {dnnl_cpu_isa_avx, "avx"},
                                        {dnnl_cpu_isa_avx2, "avx2"},
                                        {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
                                        {dnnl_cpu_isa_avx2_vnni_2, "avx2_vnni_2"},
                                        {dnnl_cpu_isa_avx512_core, "avx512_core"},
                                        {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
                                        {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
                                        {dnnl_cpu_isa_avx512_core_fp16, "avx512_core_fp16"},
                                        {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
                                        {dnnl_cpu_isa_avx512_core_amx_fp16, "avx512_core_amx_fp16"},
                                        {0, NULL}};
