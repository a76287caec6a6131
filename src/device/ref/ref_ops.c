/* The tables of the `ref` device's ops. Of those of layers a plan is no more than the shape:
 * weights are used as they are, so nothing is packed and nothing needs scratch memory. */
#include "device/host.h"
#include "device/ref/ref.h"

static tensor_layout ref_choose_layout(const device *self, layout_role role, int channels,
                                       dtype type) {
    (void)self, (void)role, (void)channels, (void)type;
    return LAYOUT_NHWC;
}

extern const op ref_conv2d, ref_linear, ref_maxpool2d, ref_join, ref_batchnorm2d, ref_avgpool2d;
extern const op ref_layernorm, ref_attention, ref_patches, ref_embedding, ref_tokenpool,
    ref_dropout;

/* Every kind: what a device of the host lacks is taken from here. */
const op *const ref_kinds[] = {&ref_conv2d,
                               &ref_linear,
                               &ref_maxpool2d,
                               &ref_join,
                               &ref_batchnorm2d,
                               &ref_avgpool2d,
                               &ref_layernorm,
                               &ref_attention,
                               &ref_patches,
                               &ref_embedding,
                               &ref_tokenpool,
                               &ref_dropout,
                               NULL};

const ops ops_ref = {
    .choose_layout = ref_choose_layout,
    .relu_backward = ref_relu_backward,
    .softmax_cross_entropy = ref_softmax_cross_entropy,
    .make_batch = ref_make_batch,
    .add = ref_add,
    .adam = ref_adam,
    .sgd = ref_sgd,
    .adam_pair = ref_adam_pair,
    .sgd_pair = ref_sgd_pair,
    .average = ref_average,
    .clip_norm = ref_clip_norm,
    .check_finite = ref_check_finite,
    .advance = ref_advance,
    .mix = host_mix,
    .begin_epoch = host_begin_epoch,
    .cast = ref_cast,
    .sums_of_squares = ref_sums_of_squares,
    .fingerprint = ref_fingerprint,
};
