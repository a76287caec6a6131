/* Forms of the device's own loops: the files of `cpu_form_files` (meson.build) are compiled once
 * for each set of vector instructions, with CPU_FORM the form's name, and forms.c sends a call to
 * the form of this processor. What they export gets the form's name appended, here; callers see the
 * plain names. vectors.h has a form's vectors. */
#ifndef LOCKSTEP_DEVICE_CPU_FORMS_H
#define LOCKSTEP_DEVICE_CPU_FORMS_H

/* In rising order: the least that the device runs on (SSE4.1; Neon on aarch64), AVX2 with fused
 * products, AVX-512. */
typedef enum { CPU_FORM_BASE, CPU_FORM_AVX2, CPU_FORM_AVX512 } cpu_form;

/* What the processor has and oneDNN's limit in the environment (ONEDNN_MAX_CPU_ISA) allows: oneDNN
 * and our own loops go by one limit. */
cpu_form cpu_form_chosen(void);

#ifdef CPU_FORM
#define CPU_JOINED(name, form)  name##_##form
#define CPU_OF_FORM(name, form) CPU_JOINED(name, form)
#define CPU_NAMED(name)         CPU_OF_FORM(name, CPU_FORM)

#define cpu_maxpool2d_forward         CPU_NAMED(cpu_maxpool2d_forward)
#define cpu_maxpool2d_backward        CPU_NAMED(cpu_maxpool2d_backward)
#define cpu_maxpool2d_gather          CPU_NAMED(cpu_maxpool2d_gather)
#define cpu_avgpool2d_forward         CPU_NAMED(cpu_avgpool2d_forward)
#define cpu_avgpool2d_backward        CPU_NAMED(cpu_avgpool2d_backward)
#define cpu_norm_sums                 CPU_NAMED(cpu_norm_sums)
#define cpu_norm_forward              CPU_NAMED(cpu_norm_forward)
#define cpu_norm_backward_sums        CPU_NAMED(cpu_norm_backward_sums)
#define cpu_norm_backward             CPU_NAMED(cpu_norm_backward)
#define cpu_layernorm_forward         CPU_NAMED(cpu_layernorm_forward)
#define cpu_layernorm_backward        CPU_NAMED(cpu_layernorm_backward)
#define cpu_drop_elements             CPU_NAMED(cpu_drop_elements)
#define cpu_gelu                      CPU_NAMED(cpu_gelu)
#define cpu_gelu_backward             CPU_NAMED(cpu_gelu_backward)
#define cpu_attention_workspace_bytes CPU_NAMED(cpu_attention_workspace_bytes)
#define cpu_attention_forward         CPU_NAMED(cpu_attention_forward)
#define cpu_attention_backward        CPU_NAMED(cpu_attention_backward)
#define cpu_relu_backward             CPU_NAMED(cpu_relu_backward)
#define cpu_add                       CPU_NAMED(cpu_add)
#define cpu_add_two                   CPU_NAMED(cpu_add_two)
#define cpu_adam                      CPU_NAMED(cpu_adam)
#define cpu_sgd                       CPU_NAMED(cpu_sgd)
#define cpu_adam_pair                 CPU_NAMED(cpu_adam_pair)
#define cpu_sgd_pair                  CPU_NAMED(cpu_sgd_pair)
#define cpu_average                   CPU_NAMED(cpu_average)
#define cpu_round_to_bf16             CPU_NAMED(cpu_round_to_bf16)
#define cpu_cast                      CPU_NAMED(cpu_cast)
#define cpu_check_finite              CPU_NAMED(cpu_check_finite)
#define cpu_sums_of_squares           CPU_NAMED(cpu_sums_of_squares)
#define cpu_sum_rows                  CPU_NAMED(cpu_sum_rows)
#define cpu_fingerprint               CPU_NAMED(cpu_fingerprint)
#define cpu_product_serves            CPU_NAMED(cpu_product_serves)
#define cpu_product_workspace_bytes   CPU_NAMED(cpu_product_workspace_bytes)
#define cpu_product_forward           CPU_NAMED(cpu_product_forward)
#define cpu_product_backward_data     CPU_NAMED(cpu_product_backward_data)
#define cpu_product_backward_weights  CPU_NAMED(cpu_product_backward_weights)
#define cpu_tall_serves               CPU_NAMED(cpu_tall_serves)
#define cpu_tall_workspace_bytes      CPU_NAMED(cpu_tall_workspace_bytes)
#define cpu_tall_forward              CPU_NAMED(cpu_tall_forward)
#define cpu_tall_backward_data        CPU_NAMED(cpu_tall_backward_data)
#define cpu_tall_backward_weights     CPU_NAMED(cpu_tall_backward_weights)
#endif

#endif
