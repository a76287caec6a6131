/* Adam and SGD on the cuda device: ranges are put into launches of up to UPDATE_RANGES. */
#include "kernels.h"
#include "ops_cuda.h"

/* Elements in one range of a launch, at most: chunks are counted in 32 bits. */
static const size_t MOST_IN_RANGE = (size_t)1 << 34;

/* Takes ranges from number *range, element *done of it on, until a launch is full or there are no
 * more, and moves both on. */
static void take_ranges(const parameter_range *ranges, int count, int *range, size_t *done,
                        update_ranges *out) {
    out->count = 0;
    while (*range < count && out->count < UPDATE_RANGES) {
        const parameter_range *from = &ranges[*range];
        const cuda_plan *packing =
            from->packing ? (const cuda_plan *)cuda_plan_of(from->packing) : NULL;
        dtype type = packing ? packing->packed_type : DTYPE_BF16;
        bool packs = packing && packing->packed_bytes > 0 && from->packed;
        size_t left = from->count - *done;
        update_range *to = &out->of[out->count];
        *to = (update_range){.first = from->first + *done,
                             .count = left < MOST_IN_RANGE ? left : MOST_IN_RANGE,
                             .packed =
                                 packs ? (char *)from->packed + *done * dtype_bytes(type) : NULL,
                             .learning_rate = from->learning_rate,
                             .weight_decay = from->weight_decay,
                             .packed_type = type};
        *done += to->count;
        if (to->count > 0)
            out->count++;
        if (*done == from->count) {
            (*range)++;
            *done = 0;
        }
    }
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
    const cuda_device *cuda = cuda_enter(self);
    update_ranges launch;
    size_t done = 0;
    for (int range = 0; range < range_count;) {
        take_ranges(ranges, range_count, &range, &done, &launch);
        CUDA_TRY(kernel_adam(cuda_stream(stream), cuda->multiprocessors, &update, &launch), "adam");
    }
    return LS_OK;
}

int cuda_sgd(device *self, device_stream *stream, const sgd_arguments *arguments,
             const parameter_range *ranges, int range_count, ls_error *error) {
    sgd_update update = {.parameters = arguments->parameters,
                         .velocity = arguments->velocity,
                         .gradients = arguments->gradients,
                         .momentum = arguments->momentum,
                         .state = arguments->state};
    const cuda_device *cuda = cuda_enter(self);
    update_ranges launch;
    size_t done = 0;
    for (int range = 0; range < range_count;) {
        take_ranges(ranges, range_count, &range, &done, &launch);
        CUDA_TRY(kernel_sgd(cuda_stream(stream), cuda->multiprocessors, &update, &launch), "sgd");
    }
    return LS_OK;
}
