#include "weights/positions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Keys' kernel, a = -1/2. */
static double cubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/* Of the places of one line that an output is made of. */
typedef struct window {
    int first, count;
    double *weights; /* [count] */
} window;

/* weights: room for `from` of them. */
static window window_at(int at, int from, int to, double *weights) {
    double scale = (double)from / to, wide = scale > 1 ? scale : 1, support = 2 * wide,
           centre = scale * (at + 0.5), sum = 0;
    int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
    first = centre - support + 0.5 < 0 ? 0 : first;
    end = end > from ? from : end;
    for (int place = first; place < end; place++)
        sum += weights[place - first] = cubic((place - centre + 0.5) / wide);
    for (int place = first; place < end; place++)
        weights[place - first] /= sum;
    return (window){first, end - first, weights};
}

/* [before, from, behind] -> [before, to, behind] */
static void resample(const float *in, float *out, int before, int from, int to, int behind,
                     double *weights) {
    for (int at = 0; at < to; at++) {
        window w = window_at(at, from, to, weights);
        for (int line = 0; line < before; line++)
            for (int channel = 0; channel < behind; channel++) {
                const float *x = in + ((size_t)line * from + w.first) * behind + channel;
                double sum = 0;
                for (int place = 0; place < w.count; place++)
                    sum += w.weights[place] * x[(size_t)place * behind];
                out[((size_t)line * to + at) * behind + channel] = (float)sum;
            }
    }
}

int positions_interpolate(const float *from, position_grid from_grid, float *out,
                          position_grid to_grid, int channels, ls_error *error) {
    int most = from_grid.rows > from_grid.columns ? from_grid.rows : from_grid.columns;
    double *weights = malloc((size_t)most * sizeof *weights);
    float *between = malloc((size_t)from_grid.rows * to_grid.columns * channels * sizeof *between);
    int status = weights && between ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK) {
        resample(from, between, from_grid.rows, from_grid.columns, to_grid.columns, channels,
                 weights);
        resample(between, out, 1, from_grid.rows, to_grid.rows, to_grid.columns * channels,
                 weights);
    }
    free(weights), free(between);
    return status;
}
