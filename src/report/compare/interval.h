/* Medians, and 95% intervals by Student's t: of a ratio that was measured in pairs, of a slope. */
#ifndef LOCKSTEP_REPORT_COMPARE_INTERVAL_H
#define LOCKSTEP_REPORT_COMPARE_INTERVAL_H

#include <stddef.h>

/* The confidence of every interval that a report prints. */
#define INTERVAL_CONFIDENCE 0.95

typedef struct interval {
    double centre;
    double low, high; /* NAN where too little was measured for an interval */
} interval;

/* The t for which P(|T| <= t) = `confidence`, in (0, 1), at `degrees` >= 1 degrees of freedom; NAN
 * outside. Computed to the last digits from the finite series of Abramowitz and Stegun, Handbook of
 * Mathematical Functions, 26.7.3 and 26.7.4, and bisection. */
double student_t(double confidence, size_t degrees);

/* The median of values[0..count), which are sorted in place; NAN of none. */
double median(double *values, size_t count);

/* numerators[i] / denominators[i], all above 0, measured under the same conditions for each i: the
 * geometric mean of the ratios and the interval of Student's t over their logarithms (each pair has
 * its own conditions, so what pairs share cancels). One pair: its ratio, no interval. None: NAN. */
interval interval_of_ratio(const double *numerators, const double *denominators, size_t pairs);

/* The slope of the least-squares line through (x[i], y[i]) and its interval (the textbook's, on
 * count - 2 degrees of freedom). All NAN below two different x; no interval below three points. */
interval interval_of_slope(const double *x, const double *y, size_t count);

#endif
