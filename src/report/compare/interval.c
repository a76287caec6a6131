#include "report/compare/interval.h"

#include <math.h>
#include <stdlib.h>

/* P(|T| <= t) for t = sqrt(degrees) * tan(angle): A&S 26.7.3 (odd) and 26.7.4 (even degrees). The
 * series has degrees / 2 terms, each the one before times cos^2 and a fraction. */
static double probability_within(double angle, size_t degrees) {
    double squared = cos(angle) * cos(angle);
    double term = degrees % 2 ? cos(angle) : 1, sum = degrees == 1 ? 0 : term;
    for (size_t k = degrees % 2 ? 2 : 1; k + 2 <= degrees - 1; k += 2) {
        term *= squared * (double)k / (double)(k + 1);
        sum += term;
    }
    sum *= sin(angle);
    return degrees % 2 ? M_2_PI * (angle + sum) : sum;
}

double student_t(double confidence, size_t degrees) {
    if (!(confidence > 0 && confidence < 1) || degrees < 1)
        return NAN;
    double low = 0, high = M_PI_2;
    for (;;) {
        double middle = (low + high) / 2;
        if (middle <= low || middle >= high)
            return sqrt((double)degrees) * tan(middle);
        if (probability_within(middle, degrees) < confidence)
            low = middle;
        else
            high = middle;
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *values, size_t count) {
    if (count == 0)
        return NAN;
    qsort(values, count, sizeof *values, by_value);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static double log_ratio(const double *numerators, const double *denominators, size_t pair) {
    return log(numerators[pair]) - log(denominators[pair]);
}

interval interval_of_ratio(const double *numerators, const double *denominators, size_t pairs) {
    if (pairs == 0)
        return (interval){NAN, NAN, NAN};
    double mean = 0, squares = 0, n = (double)pairs;
    for (size_t pair = 0; pair < pairs; pair++)
        mean += log_ratio(numerators, denominators, pair) / n;
    if (pairs == 1)
        return (interval){exp(mean), NAN, NAN};
    for (size_t pair = 0; pair < pairs; pair++) {
        double off = log_ratio(numerators, denominators, pair) - mean;
        squares += off * off;
    }
    double half = student_t(INTERVAL_CONFIDENCE, pairs - 1) * sqrt(squares / (n - 1) / n);
    return (interval){exp(mean), exp(mean - half), exp(mean + half)};
}

interval interval_of_slope(const double *x, const double *y, size_t count) {
    double n = (double)count, mean_x = 0, mean_y = 0, xx = 0, xy = 0, residual = 0;
    for (size_t i = 0; i < count; i++) {
        mean_x += x[i] / n;
        mean_y += y[i] / n;
    }
    for (size_t i = 0; i < count; i++) {
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        xy += (x[i] - mean_x) * (y[i] - mean_y);
    }
    if (!(xx > 0))
        return (interval){NAN, NAN, NAN};
    double slope = xy / xx;
    if (count < 3)
        return (interval){slope, NAN, NAN};
    for (size_t i = 0; i < count; i++) {
        double off = y[i] - mean_y - slope * (x[i] - mean_x);
        residual += off * off;
    }
    double half = student_t(INTERVAL_CONFIDENCE, count - 2) * sqrt(residual / (n - 2) / xx);
    return (interval){slope, slope - half, slope + half};
}
