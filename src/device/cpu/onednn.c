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

/* The sets are x86's, as bits: what the library answers elsewhere are bits of other meanings. */
#if defined(__x86_64__)
static const char without_sets[] = "other";
static unsigned instruction_sets(void) {
    return (unsigned)dnnl_get_effective_cpu_isa();
}
#else
static const char without_sets[] = "not x86";
static unsigned instruction_sets(void) {
    return 0;
}
#endif

const char *onednn_isa(void) {
    unsigned has = instruction_sets();
    const char *name = without_sets;
    for (const onednn_isa_entry *entry = onednn_isas; entry->name; entry++)
        if ((has & entry->bits) == entry->bits)
            name = entry->name;
    return name;
}

static bool has(unsigned needed) {
    return (instruction_sets() & needed) == needed;
}

bool onednn_has_bf16(void) {
    return has(dnnl_cpu_isa_avx512_core_bf16);
}

bool onednn_has_tiles(void) {
    return has(dnnl_cpu_isa_avx512_core_amx);
}

const char *onednn_describe(void) {
    static char text[64];
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, sizeof text, "oneDNN %d.%d.%d (%s)", version->major, version->minor,
             version->patch, onednn_isa());
    return text;
}

onednn_desc onednn_activation(dtype type, tensor_layout layout, int n, int height, int width,
                              int channels) {
    static const dnnl_format_tag_t tags[] = {[LAYOUT_NHWC] = dnnl_nhwc,
                                             [LAYOUT_NCHW] = dnnl_nchw,
                                             [LAYOUT_NCHW16C] = dnnl_nChw16c,
                                             [LAYOUT_NCHW8C] = dnnl_nChw8c};
    return onednn_desc_make(type, 4, (dnnl_dims_t){n, channels, height, width}, tags[layout]);
}

onednn_desc onednn_matrix(dtype type, int rows, int columns) {
    return onednn_desc_make(type, 2, (dnnl_dims_t){rows, columns}, dnnl_ab);
}

onednn_desc onednn_matrix_transposed(dtype type, int rows, int columns) {
    return onednn_desc_make(type, 2, (dnnl_dims_t){rows, columns}, dnnl_ba);
}

onednn_desc onednn_vector(int length) {
    return onednn_desc_make(DTYPE_F32, 1, (dnnl_dims_t){length}, dnnl_a);
}

onednn_desc onednn_filter_any(dtype type, int out, int in, int kernel) {
    return onednn_desc_make(type, 4, (dnnl_dims_t){out, in, kernel, kernel}, dnnl_format_tag_any);
}

onednn_desc onednn_filter_canonical(int out, int in, int kernel) {
    return onednn_desc_make(DTYPE_F32, 4, (dnnl_dims_t){out, in, kernel, kernel}, dnnl_acdb);
}

size_t onednn_desc_bytes(onednn_desc desc) {
    return dnnl_memory_desc_get_size(desc);
}

bool onednn_desc_equal(onednn_desc a, onednn_desc b) {
    return dnnl_memory_desc_equal(a, b) != 0;
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

static onednn_desc query(const onednn_call *call, int argument) {
    int index;
    dnnl_query_t what = query_of(argument, &index);
    return dnnl_primitive_desc_query_md(call->description, what, index);
}

onednn_desc onednn_call_desc(const onednn_call *call, int argument) {
    return query(call, argument);
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
    onednn_desc scratchpad = query(call, DNNL_ARG_SCRATCHPAD);
    call->scratchpad_bytes = scratchpad ? dnnl_memory_desc_get_size(scratchpad) : 0;
    return call->scratchpad_bytes ? add_argument(self, call, DNNL_ARG_SCRATCHPAD, error) : LS_OK;
}

static int fuse_relu(dnnl_primitive_attr_t attributes, ls_error *error) {
    dnnl_post_ops_t post;
    LS_TRY(check(dnnl_post_ops_create(&post), "creating post-ops", error));
    dnnl_status_t status = onednn_append_relu(post);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(attributes, post);
    dnnl_post_ops_destroy(post);
    return check(status, "fusing the ReLU", error);
}

/* fp32 is fp32, whatever the environment sets as the default. */
static int attributes(bool relu, dnnl_primitive_attr_t *out, ls_error *error) {
    LS_TRY(check(dnnl_primitive_attr_create(out), "creating attributes", error));
    LS_TRY(check(dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user),
                 "asking for the scratchpad", error));
    LS_TRY(check(dnnl_primitive_attr_set_fpmath_mode(*out, dnnl_fpmath_mode_strict),
                 "asking for fp32", error));
    LS_TRY(check(onednn_ask_same_bits(*out), "asking for the same bits", error));
    return relu ? fuse_relu(*out, error) : LS_OK;
}

static const int forward_names[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST, 0};
static const int forward_bare_names[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, 0};
static const int data_names[] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST, 0};
static const int weights_names[] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS,
                                    DNNL_ARG_DIFF_DST, 0};
static const int weights_bare_names[] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST, 0};
static const int product_names[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, 0};

typedef enum { CONVOLUTION, LINEAR, PRODUCT } kind;

/* What is to be made, but for the algorithm of a convolution. */
typedef struct request {
    kind kind;
    const char *what;
    onednn_operation operation;
    onednn_window window;
    bool relu;
    const int *names;
} request;

static bool is_described(const request *wanted) {
    const onednn_operation *o = &wanted->operation;
    bool has_bias = wanted->kind == LINEAR && o->direction != dnnl_backward_data;
    return o->x && o->weights && o->y && (o->bias || !has_bias);
}

static dnnl_status_t describe(onednn *self, const request *wanted, dnnl_alg_kind_t algorithm,
                              dnnl_primitive_attr_t attribute, dnnl_primitive_desc_t *out) {
    onednn_operation operation = wanted->operation;
    operation.attributes = attribute;
    switch (wanted->kind) {
    case CONVOLUTION:
        return onednn_describe_convolution(self->engine, &operation, algorithm, wanted->window,
                                           out);
    case LINEAR:
        return onednn_describe_linear(self->engine, &operation, out);
    default:
        return onednn_describe_product(self->engine, &operation, out);
    }
}

static int create(onednn *self, const request *wanted, dnnl_alg_kind_t algorithm, onednn_call *out,
                  ls_error *error) {
    dnnl_primitive_attr_t attribute = NULL;
    if (!is_described(wanted))
        return ls_fail(error, LS_FAILED, "oneDNN: %s: it refused to describe the memory",
                       wanted->what);
    int status = attributes(wanted->relu, &attribute, error);
    if (status == LS_OK)
        status = check(describe(self, wanted, algorithm, attribute, &out->description),
                       wanted->what, error);
    if (attribute)
        dnnl_primitive_attr_destroy(attribute);
    return status == LS_OK ? finish(self, out, wanted->names, error) : status;
}

/* ---- convolutions. Which algorithm is oneDNN's to choose, but for one case: weights that were
 * blocked for another batch size may suit only the algorithm that was chosen for that, and what is
 * left is the reference, a thousand times slower: then the others are asked for. */

/* By its name: "ref:any", or "gemm:ref", products by plain code, where no library has better ones
 * (aarch64 without SVE). */
bool onednn_is_reference(const onednn_call *call) {
    const char *name = call->implementation, *last = strrchr(name, ':');
    return strncmp(name, "ref", strlen("ref")) == 0 || (last && strcmp(last, ":ref") == 0);
}

static int create_convolution(onednn *self, const request *wanted, onednn_call *out,
                              ls_error *error) {
    static const dnnl_alg_kind_t others[] = {dnnl_convolution_winograd, dnnl_convolution_direct};
    static const dnnl_alg_kind_t algorithms[] = {[ONEDNN_BEST] = dnnl_convolution_auto,
                                                 [ONEDNN_DIRECT] = dnnl_convolution_direct,
                                                 [ONEDNN_WINOGRAD] = dnnl_convolution_winograd};
    LS_TRY(create(self, wanted, algorithms[wanted->window.algorithm], out, error));
    if (wanted->window.algorithm != ONEDNN_BEST)
        return LS_OK;
    for (size_t index = 0; onednn_is_reference(out) && index < sizeof others / sizeof others[0];
         index++) {
        onednn_call other = {0};
        ls_error refused = {0};
        int status = create(self, wanted, others[index], &other, &refused);
        bool better = status == LS_OK && !onednn_is_reference(&other);
        onednn_call_release(better ? out : &other);
        if (better)
            *out = other;
    }
    return LS_OK;
}

int onednn_convolution_forward(onednn *self, onednn_desc x, onednn_desc weights, onednn_desc bias,
                               onednn_desc y, onednn_window window, bool relu, onednn_call *out,
                               ls_error *error) {
    request wanted = {.kind = CONVOLUTION,
                      .what = "convolution forward",
                      .operation = {dnnl_forward_training, x, weights, bias, y, NULL, NULL},
                      .window = window,
                      .relu = relu,
                      .names = bias ? forward_names : forward_bare_names};
    return create_convolution(self, &wanted, out, error);
}

int onednn_convolution_backward_data(onednn *self, onednn_desc dx, onednn_desc weights,
                                     onednn_desc dy, onednn_window window,
                                     const onednn_call *forward, onednn_call *out,
                                     ls_error *error) {
    request wanted = {
        .kind = CONVOLUTION,
        .what = "convolution backward (data)",
        .operation = {dnnl_backward_data, dx, weights, NULL, dy, forward->description, NULL},
        .window = window,
        .names = data_names};
    return create_convolution(self, &wanted, out, error);
}

int onednn_convolution_backward_weights(onednn *self, onednn_desc x, onednn_desc dweights,
                                        onednn_desc dbias, onednn_desc dy, onednn_window window,
                                        const onednn_call *forward, onednn_call *out,
                                        ls_error *error) {
    request wanted = {
        .kind = CONVOLUTION,
        .what = "convolution backward (weights)",
        .operation = {dnnl_backward_weights, x, dweights, dbias, dy, forward->description, NULL},
        .window = window,
        .names = dbias ? weights_names : weights_bare_names};
    return create_convolution(self, &wanted, out, error);
}

/* ---- linear layers and products */

int onednn_linear_forward(onednn *self, onednn_desc x, onednn_desc weights, onednn_desc bias,
                          onednn_desc y, bool relu, onednn_call *out, ls_error *error) {
    request wanted = {.kind = LINEAR,
                      .what = "linear forward",
                      .operation = {dnnl_forward_training, x, weights, bias, y, NULL, NULL},
                      .relu = relu,
                      .names = forward_names};
    return create(self, &wanted, dnnl_alg_kind_undef, out, error);
}

int onednn_linear_backward_data(onednn *self, onednn_desc dx, onednn_desc weights, onednn_desc dy,
                                const onednn_call *forward, onednn_call *out, ls_error *error) {
    request wanted = {
        .kind = LINEAR,
        .what = "linear backward (data)",
        .operation = {dnnl_backward_data, dx, weights, NULL, dy, forward->description, NULL},
        .names = data_names};
    return create(self, &wanted, dnnl_alg_kind_undef, out, error);
}

int onednn_linear_backward_weights(onednn *self, onednn_desc x, onednn_desc dweights,
                                   onednn_desc dbias, onednn_desc dy, const onednn_call *forward,
                                   onednn_call *out, ls_error *error) {
    request wanted = {
        .kind = LINEAR,
        .what = "linear backward (weights)",
        .operation = {dnnl_backward_weights, x, dweights, dbias, dy, forward->description, NULL},
        .names = weights_names};
    return create(self, &wanted, dnnl_alg_kind_undef, out, error);
}

int onednn_product(onednn *self, onednn_desc a, onednn_desc b, onednn_desc c, onednn_call *out,
                   ls_error *error) {
    request wanted = {.kind = PRODUCT,
                      .what = "matrix product",
                      .operation = {dnnl_forward_training, a, b, NULL, c, NULL, NULL},
                      .names = product_names};
    return create(self, &wanted, dnnl_alg_kind_undef, out, error);
}

int onednn_reorder(onednn *self, onednn_desc from, onednn_desc to, onednn_call *out,
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
