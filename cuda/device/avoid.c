/* LOCKSTEP_CUDA_AVOID: words with commas between them, of what is not to be used. Each takes away
 * what a library may refuse or do wrongly, so that the rest of a run can be seen without it. */
#include "cuda/device/cuda_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *word;
    unsigned flag;
} words[] = {
    {"fused-bias", CUDA_AVOID_FUSED_BIAS},
    {"fused-sums", CUDA_AVOID_FUSED_SUMS},
    {"cublaslt", CUDA_AVOID_CUBLASLT},
    {"cudnn", CUDA_AVOID_CUDNN},
    {"low-biases", CUDA_AVOID_LOW_BIASES},
    {"left-gradients", CUDA_AVOID_LEFT_GRADIENTS},
    {"padded-input", CUDA_AVOID_PADDED_INPUT},
    {"pooled-sums", CUDA_AVOID_POOLED_SUMS},
    {"grouped-updates", CUDA_AVOID_GROUPED_UPDATES},
    {"update-advance", CUDA_AVOID_UPDATE_ADVANCE},
    {"priorities", CUDA_AVOID_PRIORITIES},
    {"relu-bits", CUDA_AVOID_RELU_BITS},
};

static unsigned flag_of(const char *word, size_t length) {
    for (size_t index = 0; index < sizeof words / sizeof words[0]; index++)
        if (strlen(words[index].word) == length && memcmp(words[index].word, word, length) == 0)
            return words[index].flag;
    return 0;
}

/* "fused-bias, fused-sums, cublaslt" */
static const char *all_words(char *out, size_t capacity) {
    size_t used = 0;
    for (size_t index = 0; index < sizeof words / sizeof words[0] && used < capacity; index++)
        used += (size_t)snprintf(out + used, capacity - used, "%s%s", index ? ", " : "",
                                 words[index].word);
    return out;
}

int cuda_read_avoided(unsigned *out, ls_error *error) {
    char known[256];
    const char *text = getenv("LOCKSTEP_CUDA_AVOID");
    *out = 0;
    while (text && *text) {
        size_t length = strcspn(text, ",");
        unsigned flag = flag_of(text, length);
        if (!flag)
            return ls_fail(error, LS_BAD_INPUT,
                           "LOCKSTEP_CUDA_AVOID: unknown word '%.*s' (expected %s, with commas "
                           "between them)",
                           (int)length, text, all_words(known, sizeof known));
        *out |= flag;
        text += length + (text[length] == ',');
    }
    return LS_OK;
}
