/* The transforms of Winograd's convolutions along one line, as they follow from the points at which
 * the polynomials are taken (A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural
 * Networks, CVPR 2016; S. Winograd, Arithmetic Complexity of Computations, 1980): with points 0, p,
 * -p, q, -q and infinity for 4 outputs, and 0, 1, -1 and infinity for 2. Sums of a point and its
 * negative share their even and their odd part.
 *
 * 4 outputs: p = 5/8 and q = 3/2 instead of the usual 1 and 2. Every constant of the transforms of
 * inputs and outputs is exact in fp32, and none is large, so that less is lost where large terms
 * cancel (B. Barabasz, A. Anderson, K. Soodhalter, D. Gregg, Error Analysis and Improving the
 * Accuracy of Winograd Convolution, ACM TOMS 46(4), 2020, on the choice of points).
 *
 * Each takes and gives vectors `step` apart; to be inlined with a constant `size`. */
#ifndef LOCKSTEP_DEVICE_CPU_WINOGRAD_LINES_H
#define LOCKSTEP_DEVICE_CPU_WINOGRAD_LINES_H

#define LINE static inline __attribute__((always_inline))

#define P  0.625f
#define Q  1.5f
#define P2 (P * P)
#define Q2 (Q * Q)
/* 1 over the product of a point's distances to the others. */
#define SCALE_0 (1 / (P2 * Q2))
#define SCALE_P (1 / (2 * P2 * (P2 - Q2)))
#define SCALE_Q (1 / (2 * Q2 * (Q2 - P2)))

/* Of size + 2 inputs, as many elements: B transposed. */
LINE void input_line(const int size, const vector *d, const int step, vector *v,
                     const int to_step) {
    vector d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step];
    if (size == 2) {
        v[0] = d0 - d2;
        v[to_step] = d1 + d2;
        v[2 * to_step] = d2 - d1;
        v[3 * to_step] = d3 - d1;
        return;
    }
    vector d4 = d[4 * step], d5 = d[5 * step];
    vector even = d4 - Q2 * d2, odd = d3 - Q2 * d1;
    v[to_step] = even + P * odd;
    v[2 * to_step] = even - P * odd;
    even = d4 - P2 * d2, odd = d3 - P2 * d1;
    v[3 * to_step] = even + Q * odd;
    v[4 * to_step] = even - Q * odd;
    v[0] = d4 - (P2 + Q2) * d2 + P2 * Q2 * d0;
    v[5 * to_step] = d5 - (P2 + Q2) * d3 + P2 * Q2 * d1;
}

/* Of size + 2 elements, `size` outputs: A transposed. */
LINE void output_line(const int size, const vector *m, const int step, vector *y,
                      const int to_step) {
    vector even = m[step] + m[2 * step], odd = m[step] - m[2 * step];
    if (size == 2) {
        y[0] = m[0] + even;
        y[to_step] = odd + m[3 * step];
        return;
    }
    vector even_q = m[3 * step] + m[4 * step], odd_q = m[3 * step] - m[4 * step];
    y[0] = m[0] + even + even_q;
    y[to_step] = P * odd + Q * odd_q;
    y[2 * to_step] = P2 * even + Q2 * even_q;
    y[3 * to_step] = m[5 * step] + P2 * P * odd + Q2 * Q * odd_q;
}

/* Of the gradients of `size` outputs, those of size + 2 elements: A. */
LINE void gradient_line(const int size, const vector *y, const int step, vector *w,
                        const int to_step) {
    vector y0 = y[0], y1 = y[step];
    w[0] = y0;
    if (size == 2) {
        w[to_step] = y0 + y1;
        w[2 * to_step] = y0 - y1;
        w[3 * to_step] = y1;
        return;
    }
    vector y2 = y[2 * step], y3 = y[3 * step];
    vector even = y0 + P2 * y2, odd = y1 + P2 * y3;
    w[to_step] = even + P * odd;
    w[2 * to_step] = even - P * odd;
    even = y0 + Q2 * y2, odd = y1 + Q2 * y3;
    w[3 * to_step] = even + Q * odd;
    w[4 * to_step] = even - Q * odd;
    w[5 * to_step] = y3;
}

/* Of 3 taps, size + 2 elements: G. */
LINE void filter_line(const int size, const vector *g, const int step, vector *u,
                      const int to_step) {
    vector g0 = g[0], g1 = g[step], g2 = g[2 * step];
    if (size == 2) {
        vector even = 0.5f * (g0 + g2), odd = 0.5f * g1;
        u[0] = g0;
        u[to_step] = even + odd;
        u[2 * to_step] = even - odd;
        u[3 * to_step] = g2;
        return;
    }
    vector even = SCALE_P * g0 + SCALE_P * P2 * g2, odd = SCALE_P * P * g1;
    u[0] = SCALE_0 * g0;
    u[to_step] = even + odd;
    u[2 * to_step] = even - odd;
    even = SCALE_Q * g0 + SCALE_Q * Q2 * g2, odd = SCALE_Q * Q * g1;
    u[3 * to_step] = even + odd;
    u[4 * to_step] = even - odd;
    u[5 * to_step] = g2;
}

/* Of the gradients of size + 2 elements, those of 3 taps: G transposed. */
LINE void filter_gradient_line(const int size, const vector *u, const int step, vector *g,
                               const int to_step) {
    vector even = u[step] + u[2 * step], odd = u[step] - u[2 * step];
    if (size == 2) {
        g[0] = u[0] + 0.5f * even;
        g[to_step] = 0.5f * odd;
        g[2 * to_step] = u[3 * step] + 0.5f * even;
        return;
    }
    vector even_q = u[3 * step] + u[4 * step], odd_q = u[3 * step] - u[4 * step];
    g[0] = SCALE_0 * u[0] + SCALE_P * even + SCALE_Q * even_q;
    g[to_step] = SCALE_P * P * odd + SCALE_Q * Q * odd_q;
    g[2 * to_step] = u[5 * step] + SCALE_P * P2 * even + SCALE_Q * Q2 * even_q;
}

#endif
