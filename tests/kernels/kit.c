#include "kit.h"

#include "../unit/check.h"
#include "base/float16.h"
#include "base/random.h"

#include <stdarg.h>
#include <stdlib.h>

void expect(bool truth, const char *format, ...) {
    if (truth)
        return;
    va_list arguments;
    va_start(arguments, format);
    check_failed(format, arguments);
    va_end(arguments);
}

void case_done(const char *format, ...) {
    char name[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    check_case(name);
}

int all_done(void) {
    return check_done();
}

void must_succeed(cudaError_t status, const char *what) {
    if (status == cudaSuccess)
        return;
    printf("Bail out! %s: %s\n", what, cudaGetErrorString(status));
    exit(1);
}

enum { GUARD = 256 };

memory memory_new(size_t bytes, size_t skew, const void *host) {
    memory self = {.skew = skew, .bytes = bytes};
    MUST(cudaMalloc((void **)&self.base, bytes + skew + 2 * GUARD));
    MUST(cudaMemset(self.base, 0xFF, bytes + skew + 2 * GUARD));
    self.at = self.base + GUARD + skew;
    if (host && bytes)
        MUST(cudaMemcpy(self.at, host, bytes, cudaMemcpyHostToDevice));
    MUST(cudaDeviceSynchronize());
    return self;
}

void memory_get(const memory *self, void *host) {
    if (self->bytes)
        MUST(cudaMemcpy(host, self->at, self->bytes, cudaMemcpyDeviceToHost));
}

void memory_free(memory *self) {
    unsigned char guard[GUARD];
    const char *sides[] = {self->at - GUARD, self->at + self->bytes};
    for (int side = 0; side < 2; side++) {
        MUST(cudaMemcpy(guard, sides[side], GUARD, cudaMemcpyDeviceToHost));
        size_t written = 0;
        for (size_t i = 0; i < GUARD; i++)
            written += guard[i] != 0xFF;
        expect(written == 0, "%zu bytes %s an array of %zu were written", written,
               side ? "behind" : "before", self->bytes);
    }
    MUST(cudaFree(self->base));
}

void *zeroed(size_t bytes) {
    void *out = calloc(bytes ? bytes : 1, 1);
    if (!out)
        abort();
    return out;
}

float *random_values(size_t count, uint64_t stream) {
    float *out = zeroed(count * sizeof *out);
    uint32_t bits[4];
    for (size_t i = 0; i < count; i++) {
        if (i % 4 == 0)
            random_block(2026, RANDOM_SYNTHETIC, stream, i / 4, bits);
        out[i] = random_unit(bits[i % 4]) * 2 - 1;
    }
    return out;
}

void put(dtype type, void *array, size_t at, float value) {
    if (type == DTYPE_F32)
        ((float *)array)[at] = value;
    else
        ((uint16_t *)array)[at] = type == DTYPE_BF16 ? bf16_of_float(value) : fp16_of_float(value);
}

float get(dtype type, const void *array, size_t at) {
    if (type == DTYPE_F32)
        return ((const float *)array)[at];
    uint16_t bits = ((const uint16_t *)array)[at];
    return type == DTYPE_BF16 ? bf16_to_float(bits) : fp16_to_float(bits);
}

void *encoded(dtype type, const float *values, size_t count) {
    void *out = zeroed(count * dtype_bytes(type));
    for (size_t i = 0; i < count; i++)
        put(type, out, i, values[i]);
    return out;
}
