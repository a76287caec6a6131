#include "product_fixture.h"

#include "base/float16.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST_WORK(call)                                                                            \
    do {                                                                                           \
        ls_error error = {0};                                                                      \
        if ((call) != LS_OK) {                                                                     \
            printf("Bail out! %s\n", error.text);                                                  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static uint32_t state = 12345;

static float draw(void) {
    state = state * 1664525u + 1013904223u;
    return (float)((int)(state >> 26) - 32) / 16.0f;
}

/* All values here are exact in bf16 and fp16: no rounding is needed. */
static uint16_t narrow(dtype type, float value) {
    if (type == DTYPE_F16)
        return fp16_of_float(value);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static float widen(dtype type, uint16_t bits) {
    float value;
    uint32_t wide = (uint32_t)bits << 16;
    memcpy(&value, &wide, sizeof value);
    return type == DTYPE_F16 ? fp16_to_float(bits) : value;
}

array array_new(device *gpu, device_stream *stream, dtype type, size_t count, size_t offset) {
    array self = {.type = type, .count = count};
    size_t bytes = dtype_bytes(type);
    char *packed = malloc(count * bytes);
    self.values = malloc(count * sizeof *self.values);
    for (size_t i = 0; i < count; i++) {
        self.values[i] = draw();
        uint16_t bits = narrow(type, self.values[i]);
        memcpy(packed + i * bytes, type == DTYPE_F32 ? (void *)&self.values[i] : (void *)&bits,
               bytes);
    }
    MUST_WORK(gpu->is->allocate(gpu, (count + offset) * bytes, "a matrix", &self.memory, &error));
    self.device = (char *)self.memory + offset * bytes;
    MUST_WORK(gpu->is->copy(gpu, stream, self.device, packed, count * bytes, COPY_HOST_TO_DEVICE,
                            &error));
    free(packed);
    return self;
}

void array_read(device *gpu, device_stream *stream, array *self) {
    size_t bytes = dtype_bytes(self->type);
    char *packed = malloc(self->count * bytes);
    MUST_WORK(gpu->is->copy(gpu, stream, packed, self->device, self->count * bytes,
                            COPY_DEVICE_TO_HOST, &error));
    MUST_WORK(gpu->is->stream_synchronize(gpu, stream, &error));
    for (size_t i = 0; i < self->count; i++) {
        uint16_t bits;
        memcpy(&bits, packed + i * bytes, sizeof bits);
        if (self->type == DTYPE_F32)
            memcpy(&self->values[i], packed + i * bytes, bytes);
        else
            self->values[i] = widen(self->type, bits);
    }
    free(packed);
}

void array_free(device *gpu, array *self) {
    gpu->is->release(gpu, self->memory);
    free(self->values);
}

bool rounded_once(dtype type, double found, double expected) {
    double unit = type == DTYPE_F32 ? 0x1p-24 : type == DTYPE_BF16 ? 0x1p-8 : 0x1p-11;
    return fabs(found - expected) <= unit * fabs(expected);
}
