/* Layer normalisation, rows at a time: layernorm.h. The bodies are inlined with a constant type. */
#include "device/cpu/layernorm.h"

#include "device/cpu/cpu.h"
#include "device/cpu/values.h"

#include <math.h>

enum { STEP = LAYERNORM_LANES, VECTORS = STEP / LANES };

typedef struct lanes {
    floats of[VECTORS];
} lanes;

/* Two by two; what is left of a row goes to the first lanes before. */
static float added_up(const lanes *self) {
    float sums[STEP];
    memcpy(sums, self, sizeof sums);
    CPU_UNROLL(5)
    for (int half = STEP / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            sums[i] += sums[i + half];
    return sums[0];
}

/* The first `count` values from `index` on, zeros behind them. Not inlined, nor unrolled: it is a
 * row's end. */
static __attribute__((noinline)) lanes load_part(bool bf16, const void *array, size_t index,
                                                 size_t count) {
    lanes part;
    for (size_t v = 0; v < VECTORS; v++) {
        size_t from = v * LANES, left = count > from ? count - from : 0;
        part.of[v] = load_values(bf16, array, index + from, left < LANES ? left : LANES);
    }
    return part;
}

static __attribute__((noinline)) void store_part(bool bf16, void *array, size_t index, size_t count,
                                                 const lanes *values) {
    for (size_t v = 0; v * LANES < count; v++) {
        size_t from = v * LANES, left = count - from;
        store_values(bf16, false, array, index + from, left < LANES ? left : LANES, &values->of[v]);
    }
}

/* Elements `at` to at + STEP of a row of `channels` that begins at `row`; zeros behind its end. */
ALWAYS_INLINE void load_step(bool bf16, const void *array, size_t row, size_t at, size_t channels,
                             lanes *out) {
    if (channels - at < STEP) {
        *out = load_part(bf16, array, row + at, channels - at);
        return;
    }
    CPU_UNROLL(8)
    for (int v = 0; v < VECTORS; v++)
        out->of[v] = load_values(bf16, array, row + at + (size_t)(v * LANES), LANES);
}

ALWAYS_INLINE void store_step(bool bf16, void *array, size_t row, size_t at, size_t channels,
                              const lanes *values) {
    if (channels - at < STEP) {
        lanes part = *values; /* values itself stays in registers */
        store_part(bf16, array, row + at, channels - at, &part);
        return;
    }
    CPU_UNROLL(8)
    for (int v = 0; v < VECTORS; v++)
        store_values(bf16, false, array, row + at + (size_t)(v * LANES), LANES, &values->of[v]);
}

/* Values behind the row's end, which count nothing, made zero. */
ALWAYS_INLINE void cut(lanes *self, size_t at, size_t channels) {
    for (size_t i = channels > at ? channels - at : 0; i < STEP; i++)
        self->of[i / LANES][i % LANES] = 0;
}

ALWAYS_INLINE float mean_of(bool bf16, const void *x, size_t row, size_t channels) {
    lanes sum = {0}, part;
    for (size_t at = 0; at < channels; at += STEP) {
        load_step(bf16, x, row, at, channels, &part);
        CPU_UNROLL(8)
        for (int v = 0; v < VECTORS; v++)
            sum.of[v] += part.of[v];
    }
    return added_up(&sum) / (float)channels;
}

ALWAYS_INLINE float variance_of(bool bf16, const void *x, size_t row, float mean, size_t channels) {
    lanes sum = {0}, part;
    for (size_t at = 0; at < channels; at += STEP) {
        load_step(bf16, x, row, at, channels, &part);
        CPU_UNROLL(8)
        for (int v = 0; v < VECTORS; v++)
            part.of[v] = (part.of[v] - mean) * (part.of[v] - mean);
        if (at + STEP > channels)
            cut(&part, at, channels);
        CPU_UNROLL(8)
        for (int v = 0; v < VECTORS; v++)
            sum.of[v] += part.of[v];
    }
    return added_up(&sum) / (float)channels;
}

ALWAYS_INLINE void normalise(bool bf16, const layernorm_job *self, size_t row, float mean,
                             float inverse) {
    size_t channels = (size_t)self->shape.channels;
    lanes x, gamma, beta;
    for (size_t at = 0; at < channels; at += STEP) {
        load_step(bf16, self->x, row, at, channels, &x);
        load_step(false, self->gamma, 0, at, channels, &gamma);
        load_step(false, self->beta, 0, at, channels, &beta);
        CPU_UNROLL(8)
        for (int v = 0; v < VECTORS; v++)
            x.of[v] = (x.of[v] - mean) * inverse * gamma.of[v] + beta.of[v];
        store_step(bf16, self->y, row, at, channels, &x);
    }
}

ALWAYS_INLINE void forward(bool bf16, const layernorm_job *self, size_t row, size_t end) {
    size_t channels = (size_t)self->shape.channels;
    for (; row < end; row++) {
        float mean = mean_of(bf16, self->x, row * channels, channels);
        float variance = variance_of(bf16, self->x, row * channels, mean, channels);
        float inverse = (float)(1 / sqrt((double)variance + self->shape.epsilon));
        self->mean[row] = mean;
        self->inverse[row] = inverse;
        normalise(bf16, self, row * channels, mean, inverse);
    }
}

void cpu_layernorm_forward(const layernorm_job *self, size_t row, size_t end) {
    if (self->shape.type == DTYPE_BF16)
        forward(true, self, row, end);
    else
        forward(false, self, row, end);
}

/* --- backward: with g = dy * gamma and z the normalised x, dx = (g - the mean of g - z * the mean
 * of g * z) / std. */

typedef struct means {
    float g, product;
} means;

/* Of one row, which is also added to partial: dy * z, and dy. */
ALWAYS_INLINE means sum_row(bool bf16, const layernorm_job *self, size_t row, float mean,
                            float inverse, float *partial) {
    size_t channels = (size_t)self->shape.channels;
    lanes g = {0}, product = {0}, x, dy, gamma, dgamma, dbeta;
    for (size_t at = 0; at < channels; at += STEP) {
        load_step(bf16, self->x, row, at, channels, &x);
        load_step(bf16, self->dy, row, at, channels, &dy);
        load_step(false, self->gamma, 0, at, channels, &gamma);
        load_step(false, partial, 0, at, channels, &dgamma);
        load_step(false, partial, channels, at, channels, &dbeta);
        CPU_UNROLL(8)
        for (int v = 0; v < VECTORS; v++) {
            floats z = (x.of[v] - mean) * inverse, scaled = dy.of[v] * gamma.of[v];
            g.of[v] += scaled; /* behind the row's end dy is zero */
            product.of[v] += scaled * z;
            dgamma.of[v] += dy.of[v] * z;
            dbeta.of[v] += dy.of[v];
        }
        store_step(false, partial, 0, at, channels, &dgamma);
        store_step(false, partial, channels, at, channels, &dbeta);
    }
    return (means){added_up(&g) / (float)channels, added_up(&product) / (float)channels};
}

ALWAYS_INLINE void write_dx(bool bf16, const layernorm_job *self, size_t row, float mean,
                            float inverse, means of) {
    size_t channels = (size_t)self->shape.channels;
    lanes x, dy, gamma;
    for (size_t at = 0; at < channels; at += STEP) {
        load_step(bf16, self->x, row, at, channels, &x);
        load_step(bf16, self->dy, row, at, channels, &dy);
        load_step(false, self->gamma, 0, at, channels, &gamma);
        CPU_UNROLL(8)
        for (int v = 0; v < VECTORS; v++) {
            floats z = (x.of[v] - mean) * inverse;
            dy.of[v] = (dy.of[v] * gamma.of[v] - of.g - z * of.product) * inverse;
        }
        store_step(bf16, self->dx, row, at, channels, &dy);
    }
}

ALWAYS_INLINE void backward(bool bf16, const layernorm_job *self, size_t row, size_t end,
                            float *partial) {
    size_t channels = (size_t)self->shape.channels;
    memset(partial, 0, 2 * channels * sizeof *partial);
    for (; row < end; row++) {
        float mean = self->mean[row], inverse = self->inverse[row];
        means of = sum_row(bf16, self, row * channels, mean, inverse, partial);
        if (self->dx)
            write_dx(bf16, self, row * channels, mean, inverse, of);
    }
}

void cpu_layernorm_backward(const layernorm_job *self, size_t row, size_t end, float *partial) {
    if (self->shape.type == DTYPE_BF16)
        backward(true, self, row, end, partial);
    else
        backward(false, self, row, end, partial);
}
