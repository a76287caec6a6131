#include "device/cpu/forms.h"

#include "device/cpu/attention.h"
#include "device/cpu/cpu.h"
#include "device/cpu/dropout.h"
#include "device/cpu/layernorm.h"
#include "device/cpu/norm.h"
#include "device/cpu/product.h"
#include "device/cpu/tall.h"

#ifdef __x86_64__
cpu_form cpu_form_chosen(void) {
    unsigned has = (unsigned)dnnl_get_effective_cpu_isa();
    unsigned wide = dnnl_cpu_isa_avx512_core, half = dnnl_cpu_isa_avx2;
    if ((has & wide) == wide)
        return CPU_FORM_AVX512;
    return (has & half) == half && __builtin_cpu_supports("fma") ? CPU_FORM_AVX2 : CPU_FORM_BASE;
}

#define FORMS(result, name, parameters, arguments)                                                 \
    result name##_base parameters;                                                                 \
    result name##_avx2 parameters;                                                                 \
    result name##_avx512 parameters;                                                               \
    result name parameters {                                                                       \
        switch (cpu_form_chosen()) {                                                               \
        case CPU_FORM_AVX512:                                                                      \
            return name##_avx512 arguments;                                                        \
        case CPU_FORM_AVX2:                                                                        \
            return name##_avx2 arguments;                                                          \
        default:                                                                                   \
            return name##_base arguments;                                                          \
        }                                                                                          \
    }
#else
cpu_form cpu_form_chosen(void) {
    return CPU_FORM_BASE;
}

#define FORMS(result, name, parameters, arguments)                                                 \
    result name##_base parameters;                                                                 \
    result name parameters {                                                                       \
        return name##_base arguments;                                                              \
    }
#endif

FORMS(void, cpu_maxpool2d_forward,
      (const maxpool2d_shape *shape, const void *x, void *y, void *saved), (shape, x, y, saved))
FORMS(void, cpu_maxpool2d_backward,
      (const maxpool2d_shape *shape, const void *dy, const void *y, const void *saved, void *dx),
      (shape, dy, y, saved, dx))
FORMS(void, cpu_maxpool2d_gather,
      (const maxpool2d_shape *shape, const void *dy, const void *y, const void *saved, void *dx),
      (shape, dy, y, saved, dx))
FORMS(void, cpu_avgpool2d_forward, (const avgpool2d_shape *shape, const void *x, void *y),
      (shape, x, y))
FORMS(void, cpu_avgpool2d_backward, (const avgpool2d_shape *shape, const void *dy, void *dx),
      (shape, dy, dx))
FORMS(void, cpu_norm_sums, (const norm_job *self, int block, int tile, float *partial),
      (self, block, tile, partial))
FORMS(void, cpu_norm_forward, (const norm_job *self, int block, int tile), (self, block, tile))
FORMS(void, cpu_norm_backward_sums, (const norm_job *self, int block, int tile, float *partial),
      (self, block, tile, partial))
FORMS(void, cpu_norm_backward, (const norm_job *self, int block, int tile), (self, block, tile))
FORMS(void, cpu_layernorm_forward, (const layernorm_job *self, size_t row, size_t end),
      (self, row, end))
FORMS(void, cpu_layernorm_backward,
      (const layernorm_job *self, size_t row, size_t end, float *partial),
      (self, row, end, partial))
FORMS(size_t, cpu_attention_workspace_bytes, (const attention_shape *shape), (shape))
FORMS(void, cpu_attention_forward,
      (const attention_job *self, size_t sample, size_t head, float *workspace),
      (self, sample, head, workspace))
FORMS(void, cpu_attention_backward,
      (const attention_job *self, size_t sample, size_t head, float *workspace),
      (self, sample, head, workspace))
FORMS(void, cpu_drop_elements, (const dropout_job *self), (self))
FORMS(void, cpu_gelu, (activation form, dtype type, size_t count, const void *z, void *y),
      (form, type, count, z, y))
FORMS(void, cpu_gelu_backward, (activation form, dtype type, size_t count, const void *dy, void *z),
      (form, type, count, dy, z))
FORMS(void, cpu_add_two,
      (dtype type, size_t count, const void *a, const void *b, bool relu, void *y),
      (type, count, a, b, relu, y))
FORMS(int, cpu_relu_backward,
      (device * self, device_stream *stream, size_t count, dtype type, const void *y, void *dy,
       ls_error *error),
      (self, stream, count, type, y, dy, error))
FORMS(int, cpu_add,
      (device * self, device_stream *stream, size_t count, dtype type, const void *from, void *to,
       ls_error *error),
      (self, stream, count, type, from, to, error))
FORMS(int, cpu_adam,
      (device * self, device_stream *stream, const adam_constants *constants,
       const update_arguments *arguments, const parameter_range *ranges, int range_count,
       ls_error *error),
      (self, stream, constants, arguments, ranges, range_count, error))
FORMS(int, cpu_adam_pair,
      (device * self, device_stream *stream, const adam_constants *constants,
       const update_arguments *arguments, const update_pair *pair, const parameter_range *ranges,
       int range_count, ls_error *error),
      (self, stream, constants, arguments, pair, ranges, range_count, error))
FORMS(int, cpu_sgd,
      (device * self, device_stream *stream, const sgd_constants *constants,
       const update_arguments *arguments, const parameter_range *ranges, int range_count,
       ls_error *error),
      (self, stream, constants, arguments, ranges, range_count, error))
FORMS(int, cpu_sgd_pair,
      (device * self, device_stream *stream, const sgd_constants *constants,
       const update_arguments *arguments, const update_pair *pair, const parameter_range *ranges,
       int range_count, ls_error *error),
      (self, stream, constants, arguments, pair, ranges, range_count, error))
FORMS(int, cpu_average,
      (device * self, device_stream *stream, const float *values, float *average, size_t count,
       double decay, const step_state *state, ls_error *error),
      (self, stream, values, average, count, decay, state, error))
FORMS(void, cpu_round_to_bf16, (const float *from, uint16_t *to, size_t count), (from, to, count))
FORMS(int, cpu_cast,
      (device * self, device_stream *stream, size_t count, dtype from_type, const void *from,
       dtype to_type, void *to, ls_error *error),
      (self, stream, count, from_type, from, to_type, to, error))
FORMS(int, cpu_check_finite,
      (device * self, device_stream *stream, const float *values, size_t count, step_state *state,
       ls_error *error),
      (self, stream, values, count, state, error))
FORMS(int, cpu_sums_of_squares,
      (device * self, device_stream *stream, const float *values, size_t count, double *out,
       ls_error *error),
      (self, stream, values, count, out, error))
FORMS(void, cpu_sum_rows, (dtype type, const void *from, float *to, size_t rows, size_t columns),
      (type, from, to, rows, columns))
FORMS(int, cpu_fingerprint,
      (device * self, device_stream *stream, const float *values, size_t first, size_t count,
       fingerprint *out, ls_error *error),
      (self, stream, values, first, count, out, error))
FORMS(bool, cpu_product_serves, (const linear_shape *shape), (shape))
FORMS(size_t, cpu_product_workspace_bytes, (const linear_shape *shape, int threads),
      (shape, threads))
FORMS(void, cpu_product_forward,
      (const linear_shape *shape, const void *x, const void *weights, const float *bias, void *y,
       void *workspace),
      (shape, x, weights, bias, y, workspace))
FORMS(void, cpu_product_backward_data,
      (const linear_shape *shape, const void *dy, const void *weights, void *dx, void *workspace),
      (shape, dy, weights, dx, workspace))
FORMS(void, cpu_product_backward_weights,
      (const linear_shape *shape, const void *x, const void *dy, float *dweights, void *workspace),
      (shape, x, dy, dweights, workspace))
FORMS(bool, cpu_tall_serves, (const linear_shape *shape), (shape))
FORMS(size_t, cpu_tall_workspace_bytes, (const linear_shape *shape, int threads), (shape, threads))
FORMS(void, cpu_tall_forward,
      (const linear_shape *shape, const void *x, const void *weights, const float *bias, void *y,
       void *workspace),
      (shape, x, weights, bias, y, workspace))
FORMS(void, cpu_tall_backward_data,
      (const linear_shape *shape, const void *dy, const void *weights, void *dx, void *workspace),
      (shape, dy, weights, dx, workspace))
FORMS(void, cpu_tall_backward_weights,
      (const linear_shape *shape, const void *x, const void *dy, float *dweights, float *dbias,
       void *workspace),
      (shape, x, dy, dweights, dbias, workspace))
