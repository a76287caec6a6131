#include "bare_chain_parts.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>

bare_chain *bare_chain_open(int batch, const float *parameters) {
    bare_chain *self = calloc(1, sizeof *self);
    if (!self)
        abort();
    self->batch = batch;
    MUST(dnnl_engine_create(&self->engine, dnnl_cpu, 0));
    MUST(dnnl_stream_create(&self->stream, self->engine, dnnl_stream_default_flags));
    chain_plan_layers(self);
    chain_place_parameters(self, parameters);
    chain_build(self);
    chain_run(self, &self->refresh);
    return self;
}

static void list_close(list *self) {
    for (int i = 0; i < self->count; i++)
        dnnl_primitive_destroy(self->nodes[i].primitive);
}

/* The memory objects of a bench go with the process. */
void bare_chain_close(bare_chain *self) {
    list_close(&self->forward), list_close(&self->backward), list_close(&self->refresh);
    free(self->parameters), free(self->gradients);
    free(self->first_moment), free(self->second_moment);
    free(self);
}

/* --- a step */

static double loss(bare_chain *self, const int32_t *labels) {
    void *from, *to;
    double sum = 0;
    MUST(dnnl_memory_get_data_handle(self->logits, &from));
    MUST(dnnl_memory_get_data_handle(self->dlogits, &to));
    for (int n = 0; n < self->batch; n++) {
        const float *row = (const float *)from + n * CLASSES;
        float *gradient = (float *)to + n * CLASSES, largest = row[0], total = 0;
        for (int c = 1; c < CLASSES; c++)
            largest = fmaxf(largest, row[c]);
        for (int c = 0; c < CLASSES; c++)
            total += gradient[c] = expf(row[c] - largest);
        for (int c = 0; c < CLASSES; c++)
            gradient[c] = (gradient[c] / total - (c == labels[n])) / (float)self->batch;
        sum += (double)(logf(total) + largest - row[labels[n]]);
    }
    return sum / self->batch;
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("default", "avx2", "avx512f"), optimize("O3")))
#endif
static void
adam_part(float *restrict w, const float *restrict g, float *restrict m, float *restrict v,
          size_t count, float rate, float correction) {
    for (size_t i = 0; i < count; i++) {
        m[i] = 0.9f * m[i] + 0.1f * g[i];
        v[i] = 0.999f * v[i] + 0.001f * g[i] * g[i];
        w[i] -= rate * m[i] / (sqrtf(v[i]) * correction + 1e-8f);
    }
}

static void adam(bare_chain *self) {
    self->step++;
    float rate = (float)(1e-3 / (1 - pow(0.9, self->step)));
    float correction = (float)(1 / sqrt(1 - pow(0.999, self->step)));
    enum { PART = 4096 };
#pragma omp parallel for schedule(static)
    for (size_t at = 0; at < self->parameter_count; at += PART) {
        size_t left = self->parameter_count - at;
        adam_part(self->parameters + at, self->gradients + at, self->first_moment + at,
                  self->second_moment + at, left < PART ? left : PART, rate, correction);
    }
}

double bare_chain_step(bare_chain *self, const float *images, const int32_t *labels) {
    MUST(dnnl_memory_set_data_handle(self->input, (void *)images));
    chain_run(self, &self->forward);
    double mean = loss(self, labels);
    chain_run(self, &self->backward);
    adam(self);
    chain_run(self, &self->refresh);
    return mean;
}

double sgemm_seconds(int size) {
    static float *a, *b, *c;
    size_t bytes = (size_t)size * (size_t)size * sizeof(float);
    if (!a) {
        a = aligned_alloc(64, bytes), b = aligned_alloc(64, bytes), c = aligned_alloc(64, bytes);
        if (!a || !b || !c)
            abort();
        for (size_t i = 0; i < bytes / sizeof(float); i++)
            a[i] = 1.0f + (float)(i % 7), b[i] = 1.0f / (float)(1 + i % 5), c[i] = 0;
    }
    double start = clock_seconds();
    MUST(dnnl_sgemm('N', 'N', size, size, size, 1, a, size, b, size, 0, c, size));
    return clock_seconds() - start;
}
