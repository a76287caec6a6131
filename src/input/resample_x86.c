/* A vector of AVX2 holds two pixels' channels as 32 bit numbers; one of SSE4.1 holds one. */
#include "input/resample_kernels.h"

#include <immintrin.h>
#include <string.h>

enum { PIXEL = 4, PAIR = 8 };

#define AVX2  __attribute__((target("avx2")))
#define SSE41 __attribute__((target("sse4.1")))

AVX2 static inline __m256i two_pixels(const uint8_t *from) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)from));
}

AVX2 static inline __m256i add_product(__m256i sum, const uint8_t *from, __m256i weight) {
    return _mm256_add_epi32(sum, _mm256_mullo_epi32(two_pixels(from), weight));
}

AVX2 static inline void store_pixel(__m256i sum, uint8_t *out) {
    __m128i both = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    both = _mm_srai_epi32(_mm_add_epi32(both, _mm_set1_epi32(RESAMPLE_HALF)), RESAMPLE_BITS);
    both = _mm_packus_epi16(_mm_packus_epi32(both, both), both);
    int pixel = _mm_cvtsi128_si32(both);
    memcpy(out, &pixel, sizeof pixel);
}

AVX2 static void columns_avx2(const uint8_t *source, size_t stride, int outputs, const int *first,
                              const int *count, const int32_t *weights, int most, uint8_t *out,
                              size_t out_stride) {
    for (int x = 0; x < outputs; x++, out += PIXEL) {
        const uint8_t *from = source + (size_t)first[x] * PIXEL;
        const int32_t *weight = weights + (size_t)x * (size_t)most * PIXEL;
        __m256i sum0 = _mm256_setzero_si256(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
        for (int tap = 0; tap < count[x]; tap += 2, from += PAIR, weight += PAIR) {
            __m256i both = _mm256_loadu_si256((const __m256i *)(const void *)weight);
            sum0 = add_product(sum0, from, both);
            sum1 = add_product(sum1, from + stride, both);
            sum2 = add_product(sum2, from + 2 * stride, both);
            sum3 = add_product(sum3, from + 3 * stride, both);
        }
        store_pixel(sum0, out);
        store_pixel(sum1, out + out_stride);
        store_pixel(sum2, out + 2 * out_stride);
        store_pixel(sum3, out + 3 * out_stride);
    }
}

/* Two vectors of 8 rounded values -> 16 bytes. */
AVX2 static inline void store_16(__m256i low, __m256i high, uint8_t *out) {
    __m256i half = _mm256_set1_epi32(RESAMPLE_HALF);
    low = _mm256_srai_epi32(_mm256_add_epi32(low, half), RESAMPLE_BITS);
    high = _mm256_srai_epi32(_mm256_add_epi32(high, half), RESAMPLE_BITS);
    __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xD8);
    __m128i bytes =
        _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)(void *)out, bytes);
}

AVX2 static void rows_avx2(const uint8_t *source, size_t stride, const int *weights, int count,
                           uint8_t *out) {
    for (size_t at = 0; at < stride; at += (size_t)4 * PAIR) {
        const uint8_t *from = source + at;
        __m256i sum0 = _mm256_setzero_si256(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
        for (int tap = 0; tap < count; tap++, from += stride) {
            __m256i weight = _mm256_set1_epi32(weights[tap]);
            sum0 = add_product(sum0, from, weight);
            sum1 = add_product(sum1, from + PAIR, weight);
            sum2 = add_product(sum2, from + 2 * PAIR, weight);
            sum3 = add_product(sum3, from + 3 * PAIR, weight);
        }
        store_16(sum0, sum1, out + at);
        store_16(sum2, sum3, out + at + 2 * PAIR);
    }
}

SSE41 static inline __m128i one_product(const uint8_t *from, __m128i weight) {
    int pixel;
    memcpy(&pixel, from, sizeof pixel);
    return _mm_mullo_epi32(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(pixel)), weight);
}

SSE41 static inline void store_one(__m128i sum, uint8_t *out) {
    sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(RESAMPLE_HALF)), RESAMPLE_BITS);
    sum = _mm_packus_epi16(_mm_packus_epi32(sum, sum), sum);
    int pixel = _mm_cvtsi128_si32(sum);
    memcpy(out, &pixel, sizeof pixel);
}

SSE41 static void columns_sse41(const uint8_t *source, size_t stride, int outputs, const int *first,
                                const int *count, const int32_t *weights, int most, uint8_t *out,
                                size_t out_stride) {
    for (int x = 0; x < outputs; x++, out += PIXEL) {
        const uint8_t *from = source + (size_t)first[x] * PIXEL;
        const int32_t *weight = weights + (size_t)x * (size_t)most * PIXEL;
        __m128i sum0 = _mm_setzero_si128(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
        for (int tap = 0; tap < count[x]; tap++, from += PIXEL, weight += PIXEL) {
            __m128i each = _mm_loadu_si128((const __m128i *)(const void *)weight);
            sum0 = _mm_add_epi32(sum0, one_product(from, each));
            sum1 = _mm_add_epi32(sum1, one_product(from + stride, each));
            sum2 = _mm_add_epi32(sum2, one_product(from + 2 * stride, each));
            sum3 = _mm_add_epi32(sum3, one_product(from + 3 * stride, each));
        }
        store_one(sum0, out);
        store_one(sum1, out + out_stride);
        store_one(sum2, out + 2 * out_stride);
        store_one(sum3, out + 3 * out_stride);
    }
}

SSE41 static void rows_sse41(const uint8_t *source, size_t stride, const int *weights, int count,
                             uint8_t *out) {
    for (size_t at = 0; at < stride; at += (size_t)4 * PIXEL) {
        const uint8_t *from = source + at;
        __m128i sum0 = _mm_setzero_si128(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
        for (int tap = 0; tap < count; tap++, from += stride) {
            __m128i weight = _mm_set1_epi32(weights[tap]);
            sum0 = _mm_add_epi32(sum0, one_product(from, weight));
            sum1 = _mm_add_epi32(sum1, one_product(from + PIXEL, weight));
            sum2 = _mm_add_epi32(sum2, one_product(from + 2 * PIXEL, weight));
            sum3 = _mm_add_epi32(sum3, one_product(from + 3 * PIXEL, weight));
        }
        store_one(sum0, out + at);
        store_one(sum1, out + at + PIXEL);
        store_one(sum2, out + at + 2 * PIXEL);
        store_one(sum3, out + at + 3 * PIXEL);
    }
}

static const resample_kernels avx2 = {.columns = columns_avx2, .rows = rows_avx2};
static const resample_kernels sse41 = {.columns = columns_sse41, .rows = rows_sse41};

const resample_kernels *resample_kernels_chosen(void) {
    if (__builtin_cpu_supports("avx2"))
        return &avx2;
    return __builtin_cpu_supports("sse4.1") ? &sse41 : &resample_kernels_plain;
}
