/* The two 16-bit floating-point types, as bit patterns: bf16 (8 bits of exponent, 7 of fraction)
 * and fp16 (IEEE 754 binary16: 5 and 10). Conversions are exact where a value is representable and
 * round to nearest, ties to even, where not; subnormals are kept, a value beyond the largest
 * rounds to infinity, and a NaN stays one (quiet, its sign and upper payload bits kept). */
#ifndef LOCKSTEP_BASE_FLOAT16_H
#define LOCKSTEP_BASE_FLOAT16_H

#include <stdint.h>
#include <string.h>

static inline uint32_t float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float bf16_to_float(uint16_t bits) {
    return float_of_bits((uint32_t)bits << 16);
}

/* A NaN apart: adding to its bits could carry into the exponent or make an infinity of it. Written
 * without a branch on memory, so that loops over it vectorise. */
static inline uint16_t bf16_of_float(float value) {
    uint32_t bits = float_bits(value);
    uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
    uint32_t quiet = bits >> 16 | 0x40;
    return (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded);
}

static inline float fp16_to_float(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    uint32_t exponent = bits >> 10 & 0x1F, fraction = bits & 0x3FF;
    if (exponent == 0x1F)
        return float_of_bits(sign | 0x7F800000u | fraction << 13 | (fraction ? 0x00400000u : 0));
    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24, exact in a float */
        float magnitude = (float)fraction * 0x1p-24f;
        return float_of_bits(sign | float_bits(magnitude));
    }
    return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static inline uint16_t fp16_of_float(float value) {
    uint32_t bits = float_bits(value), magnitude = bits & 0x7FFFFFFFu;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (magnitude > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
    if (magnitude >= 0x477FF000u) /* from 65520 on: infinity */
        return (uint16_t)(sign | 0x7C00);
    if (magnitude < 0x38800000u) /* below 2^-14: subnormal; the addition rounds at 2^-24 */
        return (uint16_t)(sign | (float_bits(float_of_bits(magnitude) + 0.5f) - 0x3F000000u));
    return (uint16_t)(sign | (magnitude - 0x38000000u + 0xFFFu + (magnitude >> 13 & 1)) >> 13);
}

/* A double to a float whose last bit remembers what was cut off ("round to odd"): rounding the
 * result once more, to bf16 or fp16, is then as good as rounding the double directly (Boldo and
 * Melquiond, "When double rounding is odd", 2005). */
static inline float float_odd_of_double(double value) {
    float nearest = (float)value;
    if ((double)nearest == value || value != value)
        return nearest;
    uint32_t bits = float_bits(nearest);
    double beyond = value < 0 ? value - (double)nearest : (double)nearest - value;
    if (beyond > 0) /* away from zero: step back */
        bits -= 1;
    return float_of_bits(bits | 1);
}

#endif
