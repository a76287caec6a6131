/* Exponentials of a form's vectors (forms.h), and the normal distribution. */
#ifndef LOCKSTEP_DEVICE_CPU_EXPONENTIAL_H
#define LOCKSTEP_DEVICE_CPU_EXPONENTIAL_H

#include "device/cpu/vectors.h"

/* Vectors at once, at most: one's operations wait for each other, several's fill the units. */
enum { EXPONENTIALS = 4 };

/* x[i] = exp(x[i]) of `count` vectors, a constant, of what is at most 88, within 2 units in the
 * last place; 0 below -87. x is cut into n log 2, whose power of two is a number's exponent, and a
 * rest of at most log 2 / 2, of which Taylor's series has 8 terms. log 2 is taken away in two
 * parts, the first of few bits, so that n times it is exact (Cody and Waite, "Software Manual for
 * the Elementary Functions", 1980). */
ALWAYS_INLINE void exponentials_of(const int count, floats *x) {
    const float least = -87, log2_e = 0x1.715476p+0f, to_nearest = 0x1.8p+23f;
    const float log_2_high = 0x1.62ep-1f, log_2_low = 0x1.0bfbe8p-15f;
    const float terms[] = {1 / 720.0f, 1 / 120.0f, 1 / 24.0f, 1 / 6.0f, 0.5f, 1, 1};
    enum { TERMS = sizeof terms / sizeof *terms };
    words tiny[EXPONENTIALS];
    floats shifted[EXPONENTIALS], r[EXPONENTIALS], sum[EXPONENTIALS];
    CPU_UNROLL(4)
    for (int i = 0; i < count; i++) {
        tiny[i] = (words)(x[i] < least);
        floats bounded =
            (floats)(((words)x[i] & ~tiny[i]) | ((words)((floats){0} + least) & tiny[i]));
        shifted[i] = bounded * log2_e + to_nearest;
        floats n = shifted[i] - to_nearest;
        r[i] = (bounded - n * log_2_high) - n * log_2_low;
        sum[i] = r[i] * (1 / 5040.0f) + terms[0];
    }
    CPU_UNROLL(8)
    for (int term = 1; term < TERMS; term++) {
        CPU_UNROLL(4)
        for (int i = 0; i < count; i++)
            sum[i] = sum[i] * r[i] + terms[term];
    }
    CPU_UNROLL(4)
    for (int i = 0; i < count; i++) { /* n is in shifted's last bits */
        words exponent = ((words)shifted[i] << 23) + (127u << 23);
        x[i] = (floats)((words)(sum[i] * (floats)exponent) & ~tiny[i]);
    }
}

/* up_to[i] = the part of the normal distribution up to x[i]; bell[i] = exp(-x[i]^2 / 2). Above |x|
 * lies bell * t * q(t) with t = 1 / (1 + 0.36 |x|): a function of t that is smooth on [0, 1], of
 * which q is the polynomial through Chebyshev's eleven points, good to 2 * 10^-8 of it. */
ALWAYS_INLINE void normal_distributions(const int count, const floats *x, floats *up_to,
                                        floats *bell) {
    const float q[] = {0.143619224f,  0.143618777f,  0.125026241f,  0.0874030665f,
                       0.0429523699f, -0.028683167f, 0.0502062179f, -0.213012651f,
                       0.250161082f,  -0.125374407f, 0.0240832623f};
    const uint32_t sign = 0x80000000u;
    floats t[EXPONENTIALS], sum[EXPONENTIALS];
    CPU_UNROLL(4)
    for (int i = 0; i < count; i++) {
        floats away = (floats)((words)x[i] & ~sign);
        t[i] = 1 / (1 + 0.36f * away);
        sum[i] = t[i] * q[10] + q[9];
        bell[i] = x[i] * x[i] * -0.5f;
    }
    CPU_UNROLL(9)
    for (int power = 8; power >= 0; power--) {
        CPU_UNROLL(4)
        for (int i = 0; i < count; i++)
            sum[i] = sum[i] * t[i] + q[power];
    }
    exponentials_of(count, bell);
    CPU_UNROLL(4)
    for (int i = 0; i < count; i++) {
        floats above = bell[i] * t[i] * sum[i];
        words below = (words)(x[i] < 0);
        up_to[i] = (floats)(((words)above & below) | ((words)(1 - above) & ~below));
    }
}

#endif
