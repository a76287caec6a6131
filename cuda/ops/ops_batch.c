/* The batch maker on the cuda device. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"

int cuda_make_batch(device *self, device_stream *stream, const batch_arguments *arguments,
                    ls_error *error) {
    cuda_enter(self);
    const batch_arguments *a = arguments;
    if (a->layout != LAYOUT_NHWC && a->layout != LAYOUT_NHWC_PADDED)
        return ls_fail(error, LS_FAILED, "cuda make_batch: expected a channels-last batch");
    make_batch_arguments to_kernel = {.images = a->images,
                                      .labels = a->labels,
                                      .order = a->order,
                                      .ids = a->ids,
                                      .state = a->state,
                                      .count = a->count,
                                      .height = a->height,
                                      .width = a->width,
                                      .channels = a->channels,
                                      .out_channels = layout_channels(a->layout, a->channels),
                                      .scale = a->scale,
                                      .shift = a->shift,
                                      .by_channel = a->by_channel,
                                      .scales = {a->scales[0], a->scales[1], a->scales[2]},
                                      .shifts = {a->shifts[0], a->shifts[1], a->shifts[2]},
                                      .seed = a->augment.seed,
                                      .crop_padding = a->augment.crop_padding,
                                      .flip = a->augment.flip,
                                      .out = a->out,
                                      .out_labels = a->out_labels};
    CUDA_TRY(kernel_make_batch(cuda_stream(stream), a->type, &to_kernel), "make_batch");
    return LS_OK;
}
