/* Adam and SGD on the cuda device: ranges are put into launches of up to UPDATE_RANGES. */
#include "kernels.h"
#include "ops_cuda.h"

/* Elements in one range of a launch, at most: chunks are counted in 32 bits. */
static const size_t MOST_IN_RANGE = (size_t)1 << 34;

/* Where the launches of an update have come to. */
typedef struct range_cursor {
    const parameter_range *ranges;
    int count, range;
    size_t done; /* elements of that range */
} range_cursor;

/* Takes ranges from there on, until a launch is full or there are no more: then false. */
static bool next_launch(range_cursor *at, update_ranges *out) {
    out->count = 0;
    while (at->range < at->count && out->count < UPDATE_RANGES) {
        const parameter_range *from = &at->ranges[at->range];
        const cuda_plan *packing =
            from->packing ? (const cuda_plan *)cuda_plan_of(from->packing) : NULL;
        dtype type = packing ? packing->packed_type : DTYPE_BF16;
        bool packs = packing && packing->packed_bytes > 0 && from->packed;
        size_t left = from->count - at->done;
        update_range *to = &out->of[out->count];
        *to = (update_range){.first = from->first + at->done,
                             .count = left < MOST_IN_RANGE ? left : MOST_IN_RANGE,
                             .packed =
                                 packs ? (char *)from->packed + at->done * dtype_bytes(type) : NULL,
                             .learning_rate = from->learning_rate,
                             .weight_decay = from->weight_decay,
                             .packed_type = type};
        at->done += to->count;
        if (to->count > 0)
            out->count++;
        if (at->done == from->count) {
            at->range++;
            at->done = 0;
        }
    }
    return out->count > 0;
}

/* Gradients and parameters in host memory are for devices that share it. */
static int refuse_host_arrays(const float *added, const float *copied, ls_error *error) {
    if (!added && !copied)
        return LS_OK;
    return ls_fail(error, LS_FAILED,
                   "device cuda: an update with gradients or parameters in host memory (`added`, "
                   "`copied`): expected NULL for both; this device has its own memory only");
}

int cuda_adam(device *self, device_stream *stream, const adam_arguments *arguments,
              const parameter_range *ranges, int range_count, ls_error *error) {
    adam_update update = {.parameters = arguments->parameters,
                          .first_moment = arguments->first_moment,
                          .second_moment = arguments->second_moment,
                          .gradients = arguments->gradients,
                          .beta1 = arguments->beta1,
                          .beta2 = arguments->beta2,
                          .epsilon = arguments->epsilon,
                          .state = arguments->state};
    LS_TRY(refuse_host_arrays(arguments->added, arguments->copied, error));
    const cuda_device *cuda = cuda_enter(self);
    range_cursor at = {.ranges = ranges, .count = range_count};
    for (update_ranges launch; next_launch(&at, &launch);)
        CUDA_TRY(kernel_adam(cuda_stream(stream), cuda->multiprocessors, &update, &launch), "adam");
    return LS_OK;
}

int cuda_sgd(device *self, device_stream *stream, const sgd_arguments *arguments,
             const parameter_range *ranges, int range_count, ls_error *error) {
    sgd_update update = {.parameters = arguments->parameters,
                         .velocity = arguments->velocity,
                         .gradients = arguments->gradients,
                         .momentum = arguments->momentum,
                         .state = arguments->state};
    LS_TRY(refuse_host_arrays(arguments->added, arguments->copied, error));
    const cuda_device *cuda = cuda_enter(self);
    range_cursor at = {.ranges = ranges, .count = range_count};
    for (update_ranges launch; next_launch(&at, &launch);)
        CUDA_TRY(kernel_sgd(cuda_stream(stream), cuda->multiprocessors, &update, &launch), "sgd");
    return LS_OK;
}
