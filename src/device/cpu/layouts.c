#include "device/cpu/layouts.h"

#include <string.h>

/* A convolution that stands for all of a network's: 3 x 3, of whole planes of any width, or of the
 * input's three channels. */
typedef struct sample {
    dtype type;
    int in_channels;
    tensor_layout in, out;
    char slow[64]; /* out: the first direction's implementation that is a reference */
} sample;

enum { BATCH = 4, SIDE = 16, CHANNELS = 64 };
static const onednn_window window = {.stride = 1, .padding = 1};

static bool is_fast(int status, const onednn_call *call, sample *s) {
    if (status == LS_OK && !onednn_is_reference(call))
        return true;
    memcpy(s->slow, call->implementation, sizeof s->slow);
    return false;
}

/* All three directions; an input's gradient is never needed. */
static bool directions_serve(onednn *engine, onednn_desc x, onednn_desc y, onednn_desc weights,
                             onednn_desc gradient, onednn_desc bias, sample *s) {
    ls_error refused = {0};
    onednn_call forward = {0}, backward[2] = {{0}, {0}};
    bool serves = is_fast(
        onednn_convolution_forward(engine, x, weights, bias, y, window, true, &forward, &refused),
        &forward, s);
    if (serves)
        serves = is_fast(onednn_convolution_backward_weights(engine, x, gradient, bias, y, window,
                                                             &forward, &backward[0], &refused),
                         &backward[0], s);
    if (serves && s->in_channels == CHANNELS)
        serves = is_fast(onednn_convolution_backward_data(engine, x, weights, y, window, &forward,
                                                          &backward[1], &refused),
                         &backward[1], s);
    onednn_call_release(&backward[1]), onednn_call_release(&backward[0]);
    onednn_call_release(&forward);
    return serves;
}

static bool serves(onednn *engine, sample *s) {
    onednn_desc x = onednn_activation(s->type, s->in, BATCH, SIDE, SIDE, s->in_channels);
    onednn_desc y = onednn_activation(s->type, s->out, BATCH, SIDE, SIDE, CHANNELS);
    onednn_desc weights = onednn_filter_any(s->type, CHANNELS, s->in_channels, 3);
    onednn_desc gradient = onednn_filter_any(DTYPE_F32, CHANNELS, s->in_channels, 3);
    onednn_desc bias = onednn_vector(CHANNELS);
    bool answer = directions_serve(engine, x, y, weights, gradient, bias, s);
    onednn_desc made[] = {x, y, weights, gradient, bias};
    for (size_t index = 0; index < sizeof made / sizeof made[0]; index++)
        onednn_desc_release(made[index]);
    return answer;
}

static void name_reference(onednn *engine, dtype type, char out[64]) {
    sample asked = {type, CHANNELS, LAYOUT_NHWC, LAYOUT_NHWC, ""};
    serves(engine, &asked);
    memcpy(out, asked.slow, sizeof asked.slow);
}

/* The first of each order that serves. In fp32 planes of a vector's channels are 6 to 10% faster
 * than channels last; in bf16 all is channels last: what AMX has convolutions for. Where nothing
 * serves, channels last it is: our own loops are for that too. */
cpu_layouts cpu_layouts_ask(onednn *engine, dtype type) {
    static const tensor_layout orders[2][LAYOUT_COUNT] = {
        {LAYOUT_NCHW16C, LAYOUT_NCHW8C, LAYOUT_NHWC, LAYOUT_NCHW},
        {LAYOUT_NHWC, LAYOUT_NCHW16C, LAYOUT_NCHW8C, LAYOUT_NCHW}};
    static const tensor_layout inputs[] = {LAYOUT_NCHW, LAYOUT_NHWC};
    const tensor_layout *order = orders[type == DTYPE_BF16];
    cpu_layouts made = {LAYOUT_NHWC, LAYOUT_NHWC, ""};
    int index = 0;
    while (index < LAYOUT_COUNT &&
           !serves(engine, &(sample){type, CHANNELS, order[index], order[index], ""}))
        index++;
    if (index < LAYOUT_COUNT)
        made.image = order[index];
    else
        name_reference(engine, type, made.reference);
    for (index = 1; index >= 0; index--)
        if (serves(engine, &(sample){type, 3, inputs[index], made.image, ""}))
            made.input = inputs[index];
    return made;
}

/* What is flattened lies as the canonical weights count it. */
tensor_layout cpu_layouts_choose(const cpu_layouts *self, layout_role role, int channels) {
    int lanes = layout_plane_channels(self->image);
    if (role == LAYOUT_ROLE_FLAT)
        return LAYOUT_NHWC;
    if (lanes == 0 || channels % lanes == 0)
        return role == LAYOUT_ROLE_INPUT && lanes == 0 ? self->input : self->image;
    return role == LAYOUT_ROLE_INPUT ? self->input : LAYOUT_NHWC;
}
