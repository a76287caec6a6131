/* A file of tensors. */
#include "fuzz.h"

#include "safetensors/safetensors.h"

#include <stdlib.h>

static bool read_tensor(const safetensors *self, const safetensors_tensor *tensor) {
    bool real = tensor->type >= SAFETENSORS_F16;
    void *values = malloc((size_t)tensor->elements * sizeof(int64_t) + 1);
    ls_error error = {0};
    if (!values)
        abort();
    int status = real ? safetensors_read_floats(self, tensor, values, &error)
                      : safetensors_read_integers(self, tensor, values, &error);
    free(values);
    if (status != LS_OK && status != LS_BAD_INPUT)
        abort();
    return status == LS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    safetensors *self = NULL;
    ls_error error = {0};
    int status = safetensors_open(fuzz_file("x.safetensors", bytes, size), &self, &error);
    fuzz_accepted = status == LS_OK;
    if (!fuzz_accepted && status != LS_BAD_INPUT)
        abort();
    for (int index = 0; fuzz_accepted && index < safetensors_count(self); index++) {
        const safetensors_tensor *tensor = safetensors_at(self, index);
        fuzz_accepted = read_tensor(self, tensor) && safetensors_find(self, tensor->name);
    }
    if (self) {
        safetensors_about(self, "format");
        safetensors_close(self);
    }
    return 0;
}

bool fuzz_seed(int number, const char *path) {
    static const unsigned char bytes[40];
    const safetensors_tensor tensors[] = {
        {.name = "fc1.weight", .type = SAFETENSORS_F32, .dim_count = 2, .dims = {2, 3}},
        {.name = "count", .type = SAFETENSORS_I64},
        {.name = "half", .type = SAFETENSORS_BF16, .dim_count = 1, .dims = {4}}};
    const safetensors_text about[] = {{"format", "pt"}};
    safetensors_writer *writer;
    ls_error error = {0};
    if (number > 0)
        return false;
    if (safetensors_create(path, tensors, 3, about, 1, &writer, &error) != LS_OK ||
        safetensors_put(writer, bytes, sizeof bytes, &error) != LS_OK ||
        safetensors_finish(writer, &error) != LS_OK)
        abort();
    return true;
}
