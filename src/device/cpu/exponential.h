/* Exponentials of a form's vectors (forms.h), and the normal distribution. */
#ifndef LOCKSTEP_DEVICE_CPU_EXPONENTIAL_H
#define LOCKSTEP_DEVICE_CPU_EXPONENTIAL_H

#include "device/cpu/vectors.h"

/* *x = exp(*x) of what is at most 88, within 2 units in the last place; 0 below -87. x is cut into
 * n log 2, whose power of two is a number's exponent, and a rest of at most log 2 / 2, of which
 * Taylor's series has 8 terms. log 2 is taken away in two parts, the first of few bits, so that n
 * times it is exact (Cody and Waite, "Software Manual for the Elementary Functions", 1980). */
ALWAYS_INLINE void exponential(floats *x) {
    const float least = -87, log2_e = 0x1.715476p+0f, to_nearest = 0x1.8p+23f;
    const float log_2_high = 0x1.62ep-1f, log_2_low = 0x1.0bfbe8p-15f;
    words tiny = (words)(*x < least);
    floats bounded = (floats)(((words)*x & ~tiny) | ((words)((floats){0} + least) & tiny));
    floats shifted = bounded * log2_e + to_nearest, n = shifted - to_nearest;
    floats r = (bounded - n * log_2_high) - n * log_2_low;
    floats sum = r * (1 / 5040.0f) + 1 / 720.0f;
    sum = sum * r + 1 / 120.0f;
    sum = sum * r + 1 / 24.0f;
    sum = sum * r + 1 / 6.0f;
    sum = sum * r + 0.5f;
    sum = sum * r + 1;
    sum = sum * r + 1;
    words exponent = ((words)shifted << 23) + (127u << 23); /* n is in shifted's last bits */
    *x = (floats)((words)(sum * (floats)exponent) & ~tiny);
}

/* *up_to = the part of the normal distribution up to *x; *bell = exp(-x^2 / 2). Above |x| lies bell
 * * t * q(t) with t = 1 / (1 + 0.36 |x|): a function of t that is smooth on [0, 1], of which q is
 * the polynomial through Chebyshev's eleven points, good to 2 * 10^-8 of it. */
ALWAYS_INLINE void normal_distribution(const floats *x, floats *up_to, floats *bell) {
    static const float q[] = {0.143619224f,  0.143618777f,  0.125026241f,  0.0874030665f,
                              0.0429523699f, -0.028683167f, 0.0502062179f, -0.213012651f,
                              0.250161082f,  -0.125374407f, 0.0240832623f};
    const uint32_t sign = 0x80000000u;
    floats away = (floats)((words)*x & ~sign), t = 1 / (1 + 0.36f * away);
    floats sum = t * q[10] + q[9];
    CPU_UNROLL(9)
    for (int power = 8; power >= 0; power--)
        sum = sum * t + q[power];
    *bell = *x * *x * -0.5f;
    exponential(bell);
    floats above = *bell * t * sum;
    words below = (words)(*x < 0);
    *up_to = (floats)(((words)above & below) | ((words)(1 - above) & ~below));
}

#endif
