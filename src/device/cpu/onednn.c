#include "device/cpu/onednn.h"

#include <stdio.h>
#include <string.h>

static int check(dnnl_status_t status, const char *what, ls_error *error) {
    static const char *const names[] = {"success",       "out of memory", "invalid arguments",
                                        "unimplemented", "iterator ends", "runtime error",
                                        "not required"};
    if (status == dnnl_success)
        return LS_OK;
    const char *name = (size_t)status < sizeof names / sizeof names[0] ? names[status] : "unknown";
    return ls_fail(error, LS_FAILED, "oneDNN: %s: %s", what, name);
}

int onednn_open(onednn *self, ls_error *error) {
    LS_TRY(check(dnnl_engine_create(&self->engine, dnnl_cpu, 0), "creating the engine", error));
    return check(dnnl_stream_create(&self->stream, self->engine, dnnl_stream_default_flags),
                 "creating the stream", error);
}

void onednn_close(onednn *self) {
    if (self->stream)
        dnnl_stream_destroy(self->stream);
    if (self->engine)
        dnnl_engine_destroy(self->engine);
    *self = (onednn){0};
}

static const char *isa_name(dnnl_cpu_isa_t isa) {
    switch (isa) {
    case dnnl_cpu_isa_sse41:
        return "sse41";
    case dnnl_cpu_isa_avx:
        return "avx";
    case dnnl_cpu_isa_avx2:
        return "avx2";
    case dnnl_cpu_isa_avx512_core:
        return "avx512_core";
    case dnnl_cpu_isa_avx512_core_vnni:
        return "avx512_core_vnni";
    case dnnl_cpu_isa_avx512_core_bf16:
        return "avx512_core_bf16";
    case dnnl_cpu_isa_avx512_core_amx:
        return "avx512_core_amx";
    default:
        return "other";
    }
}

const char *onednn_isa(void) {
    return isa_name(dnnl_get_effective_cpu_isa());
}

bool onednn_has_bf16(void) { /* the values are sets of instructions, as bits */
    int needed = dnnl_cpu_isa_avx512_core_bf16;
    return ((int)dnnl_get_effective_cpu_isa() & needed) == needed;
}

const char *onednn_describe(void) {
    static char text[64];
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, sizeof text, "oneDNN %d.%d.%d (%s)", version->major, version->minor,
             version->patch, onednn_isa());
    return text;
}

/* The descriptions below have shapes the graph has already checked: initialising them cannot
 * fail, and a failure would show as an empty description that creating the primitive refuses. */
static onednn_desc described(dtype type, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
    onednn_desc desc;
    dnnl_data_type_t name = type == DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
    memset(&desc, 0, sizeof desc);
    if (dnnl_memory_desc_init_by_tag(&desc, rank, dims, name, tag) != dnnl_success)
        memset(&desc, 0, sizeof desc);
    return desc;
}

onednn_desc onednn_activation(dtype type, tensor_layout layout, int n, int height, int width,
                              int channels) {
    static const dnnl_format_tag_t tags[] = {
        [LAYOUT_NHWC] = dnnl_nhwc, [LAYOUT_NCHW] = dnnl_nchw, [LAYOUT_NCHW16C] = dnnl_nChw16c};
    return described(type, 4, (dnnl_dims_t){n, channels, height, width}, tags[layout]);
}

onednn_desc onednn_matrix(dtype type, int rows, int columns) {
    return described(type, 2, (dnnl_dims_t){rows, columns}, dnnl_ab);
}

onednn_desc onednn_matrix_transposed(dtype type, int rows, int columns) {
    return described(type, 2, (dnnl_dims_t){rows, columns}, dnnl_ba);
}

onednn_desc onednn_vector(int length) {
    return described(DTYPE_F32, 1, (dnnl_dims_t){length}, dnnl_a);
}

onednn_desc onednn_filter_any(dtype type, int out, int in, int kernel) {
    return described(type, 4, (dnnl_dims_t){out, in, kernel, kernel}, dnnl_format_tag_any);
}

onednn_desc onednn_filter_canonical(int out, int in, int kernel) {
    return described(DTYPE_F32, 4, (dnnl_dims_t){out, in, kernel, kernel}, dnnl_acdb);
}

size_t onednn_desc_bytes(const onednn_desc *desc) {
    return dnnl_memory_desc_get_size(desc);
}

int onednn_desc_equal(const onednn_desc *a, const onednn_desc *b) {
    return dnnl_memory_desc_equal(a, b);
}

/* Which query tells an argument's description. */
static dnnl_query_t query_of(int argument, int *index) {
    *index = 0;
    switch (argument) {
    case DNNL_ARG_SRC:
        return dnnl_query_src_md;
    case DNNL_ARG_DST:
        return dnnl_query_dst_md;
    case DNNL_ARG_WEIGHTS:
        return dnnl_query_weights_md;
    case DNNL_ARG_BIAS:
        *index = 1;
        return dnnl_query_weights_md;
    case DNNL_ARG_DIFF_SRC:
        return dnnl_query_diff_src_md;
    case DNNL_ARG_DIFF_DST:
        return dnnl_query_diff_dst_md;
    case DNNL_ARG_DIFF_WEIGHTS:
        return dnnl_query_diff_weights_md;
    case DNNL_ARG_DIFF_BIAS:
        *index = 1;
        return dnnl_query_diff_weights_md;
    case DNNL_ARG_SCRATCHPAD:
        return dnnl_query_scratchpad_md;
    default:
        return dnnl_query_undef;
    }
}

static const onednn_desc *query(const onednn_call *call, int argument) {
    int index;
    dnnl_query_t what = query_of(argument, &index);
    return dnnl_primitive_desc_query_md(call->description, what, index);
}

onednn_desc onednn_call_desc(const onednn_call *call, int argument) {
    return *query(call, argument);
}

static int add_argument(onednn *self, onednn_call *call, int name, ls_error *error) {
    dnnl_exec_arg_t *argument = &call->arguments[call->count];
    argument->arg = name;
    LS_TRY(check(
        dnnl_memory_create(&argument->memory, query(call, name), self->engine, DNNL_MEMORY_NONE),
        "creating a memory object", error));
    call->count++;
    return LS_OK;
}

/* A primitive from its description, and a memory object for each argument. The list of argument
 * names ends with 0. */
static int finish(onednn *self, onednn_call *call, const int *names, ls_error *error) {
    const char *implementation = "?";
    call->stream = self->stream;
    LS_TRY(check(dnnl_primitive_create(&call->primitive, call->description), "creating a primitive",
                 error));
    dnnl_primitive_desc_query(call->description, dnnl_query_impl_info_str, 0, &implementation);
    snprintf(call->implementation, sizeof call->implementation, "%s", implementation);
    for (; *names; names++)
        LS_TRY(add_argument(self, call, *names, error));
    const onednn_desc *scratchpad = query(call, DNNL_ARG_SCRATCHPAD);
    call->scratchpad_bytes = scratchpad ? dnnl_memory_desc_get_size(scratchpad) : 0;
    return call->scratchpad_bytes ? add_argument(self, call, DNNL_ARG_SCRATCHPAD, error) : LS_OK;
}

static int attributes(bool relu, dnnl_primitive_attr_t *out, ls_error *error) {
    LS_TRY(check(dnnl_primitive_attr_create(out), "creating attributes", error));
    LS_TRY(check(dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user),
                 "asking for the scratchpad", error));
    if (!relu)
        return LS_OK;
    dnnl_post_ops_t post;
    LS_TRY(check(dnnl_post_ops_create(&post), "creating post-ops", error));
    dnnl_status_t status = dnnl_post_ops_append_eltwise(post, 1.0f, dnnl_eltwise_relu, 0, 0);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(*out, post);
    dnnl_post_ops_destroy(post);
    return check(status, "fusing the ReLU", error);
}

static int create(onednn *self, const void *operation, bool relu, const onednn_call *forward,
                  const int *names, const char *what, onednn_call *out, ls_error *error) {
    dnnl_primitive_attr_t attribute = NULL;
    int status = attributes(relu, &attribute, error);
    if (status == LS_OK)
        status =
            check(dnnl_primitive_desc_create(&out->description, operation, attribute, self->engine,
                                             forward ? forward->description : NULL),
                  what, error);
    if (attribute)
        dnnl_primitive_attr_destroy(attribute);
    return status == LS_OK ? finish(self, out, names, error) : status;
}

static const int forward_names[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST, 0};
static const int data_names[] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST, 0};
static const int weights_names[] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS,
                                    DNNL_ARG_DIFF_DST, 0};

/* ---- convolutions. Which algorithm is oneDNN's to choose, but for one case: weights that were
 * blocked for another batch size may suit only the algorithm that was chosen for that, and what is
 * left is the reference, a thousand times slower: then the others are asked for. */

typedef struct convolution {
    dnnl_prop_kind_t direction;
    const onednn_desc *x, *weights, *bias, *y; /* or their gradients */
    onednn_window window;
} convolution;

static dnnl_status_t describe_convolution(const convolution *c, dnnl_alg_kind_t algorithm,
                                          dnnl_convolution_desc_t *out) {
    dnnl_dims_t strides = {c->window.stride, c->window.stride};
    dnnl_dims_t padding = {c->window.padding, c->window.padding};
    switch (c->direction) {
    case dnnl_backward_data:
        return dnnl_convolution_backward_data_desc_init(out, algorithm, c->x, c->weights, c->y,
                                                        strides, padding, padding);
    case dnnl_backward_weights:
        return dnnl_convolution_backward_weights_desc_init(
            out, algorithm, c->x, c->weights, c->bias, c->y, strides, padding, padding);
    default:
        return dnnl_convolution_forward_desc_init(out, dnnl_forward_training, algorithm, c->x,
                                                  c->weights, c->bias, c->y, strides, padding,
                                                  padding);
    }
}

static int create_convolution(onednn *self, const convolution *shape, dnnl_alg_kind_t algorithm,
                              bool relu, const onednn_call *forward, onednn_call *out,
                              ls_error *error) {
    dnnl_convolution_desc_t operation;
    LS_TRY(check(describe_convolution(shape, algorithm, &operation), "describing a convolution",
                 error));
    switch (shape->direction) {
    case dnnl_backward_data:
        return create(self, &operation, relu, forward, data_names, "convolution backward (data)",
                      out, error);
    case dnnl_backward_weights:
        return create(self, &operation, relu, forward, weights_names,
                      "convolution backward (weights)", out, error);
    default:
        return create(self, &operation, relu, forward, forward_names, "convolution forward", out,
                      error);
    }
}

static bool is_reference(const onednn_call *call) {
    return strncmp(call->implementation, "ref", strlen("ref")) == 0;
}

static int create_best(onednn *self, const convolution *shape, bool relu,
                       const onednn_call *forward, onednn_call *out, ls_error *error) {
    static const dnnl_alg_kind_t others[] = {dnnl_convolution_winograd, dnnl_convolution_direct};
    LS_TRY(create_convolution(self, shape, dnnl_convolution_auto, relu, forward, out, error));
    for (size_t index = 0; is_reference(out) && index < sizeof others / sizeof others[0]; index++) {
        onednn_call other = {0};
        ls_error refused = {0};
        int status =
            create_convolution(self, shape, others[index], relu, forward, &other, &refused);
        bool better = status == LS_OK && !is_reference(&other);
        onednn_call_release(better ? out : &other);
        if (better)
            *out = other;
    }
    return LS_OK;
}

int onednn_convolution_forward(onednn *self, const onednn_desc *x, const onednn_desc *weights,
                               const onednn_desc *bias, const onednn_desc *y, onednn_window window,
                               bool relu, onednn_call *out, ls_error *error) {
    convolution shape = {dnnl_forward_training, x, weights, bias, y, window};
    return create_best(self, &shape, relu, NULL, out, error);
}

int onednn_convolution_backward_data(onednn *self, const onednn_desc *dx,
                                     const onednn_desc *weights, const onednn_desc *dy,
                                     onednn_window window, const onednn_call *forward,
                                     onednn_call *out, ls_error *error) {
    convolution shape = {dnnl_backward_data, dx, weights, NULL, dy, window};
    return create_best(self, &shape, false, forward, out, error);
}

int onednn_convolution_backward_weights(onednn *self, const onednn_desc *x,
                                        const onednn_desc *dweights, const onednn_desc *dbias,
                                        const onednn_desc *dy, onednn_window window,
                                        const onednn_call *forward, onednn_call *out,
                                        ls_error *error) {
    convolution shape = {dnnl_backward_weights, x, dweights, dbias, dy, window};
    return create_best(self, &shape, false, forward, out, error);
}

int onednn_linear_forward(onednn *self, const onednn_desc *x, const onednn_desc *weights,
                          const onednn_desc *bias, const onednn_desc *y, bool relu,
                          onednn_call *out, ls_error *error) {
    dnnl_inner_product_desc_t operation;
    LS_TRY(check(dnnl_inner_product_forward_desc_init(&operation, dnnl_forward_training, x, weights,
                                                      bias, y),
                 "describing a linear layer", error));
    return create(self, &operation, relu, NULL, forward_names, "linear forward", out, error);
}

int onednn_linear_backward_data(onednn *self, const onednn_desc *dx, const onednn_desc *weights,
                                const onednn_desc *dy, const onednn_call *forward, onednn_call *out,
                                ls_error *error) {
    dnnl_inner_product_desc_t operation;
    LS_TRY(check(dnnl_inner_product_backward_data_desc_init(&operation, dx, weights, dy),
                 "describing a linear layer", error));
    return create(self, &operation, false, forward, data_names, "linear backward (data)", out,
                  error);
}

int onednn_linear_backward_weights(onednn *self, const onednn_desc *x, const onednn_desc *dweights,
                                   const onednn_desc *dbias, const onednn_desc *dy,
                                   const onednn_call *forward, onednn_call *out, ls_error *error) {
    dnnl_inner_product_desc_t operation;
    LS_TRY(check(dnnl_inner_product_backward_weights_desc_init(&operation, x, dweights, dbias, dy),
                 "describing a linear layer", error));
    return create(self, &operation, false, forward, weights_names, "linear backward (weights)", out,
                  error);
}

int onednn_product(onednn *self, const onednn_desc *a, const onednn_desc *b, const onednn_desc *c,
                   onednn_call *out, ls_error *error) {
    static const int names[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, 0};
    dnnl_matmul_desc_t operation;
    LS_TRY(check(dnnl_matmul_desc_init(&operation, a, b, NULL, c), "describing a matrix product",
                 error));
    return create(self, &operation, false, NULL, names, "matrix product", out, error);
}

int onednn_reorder(onednn *self, const onednn_desc *from, const onednn_desc *to, onednn_call *out,
                   ls_error *error) {
    static const int names[] = {DNNL_ARG_FROM, DNNL_ARG_TO, 0};
    dnnl_primitive_attr_t attribute = NULL;
    int status = attributes(false, &attribute, error);
    if (status == LS_OK)
        status = check(dnnl_reorder_primitive_desc_create(&out->description, from, self->engine, to,
                                                          self->engine, attribute),
                       "reorder", error);
    if (attribute)
        dnnl_primitive_attr_destroy(attribute);
    return status == LS_OK ? finish(self, out, names, error) : status;
}

int onednn_call_run(onednn_call *call, const onednn_argument *arguments, int count,
                    void *scratchpad, ls_error *error) {
    for (int slot = 0; slot < call->count; slot++) {
        const void *memory = call->arguments[slot].arg == DNNL_ARG_SCRATCHPAD ? scratchpad : NULL;
        for (int index = 0; index < count; index++)
            if (arguments[index].name == call->arguments[slot].arg)
                memory = arguments[index].memory;
        dnnl_memory_set_data_handle(call->arguments[slot].memory, (void *)memory);
    }
    return check(
        dnnl_primitive_execute(call->primitive, call->stream, call->count, call->arguments),
        "running a primitive", error);
}

void onednn_call_release(onednn_call *call) {
    for (int slot = 0; slot < call->count; slot++)
        dnnl_memory_destroy(call->arguments[slot].memory);
    if (call->primitive)
        dnnl_primitive_destroy(call->primitive);
    if (call->description)
        dnnl_primitive_desc_destroy(call->description);
    *call = (onednn_call){0};
}
