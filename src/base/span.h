/* A span of time on a row of a profile: what src/trace records and src/report writes. */
#ifndef LOCKSTEP_BASE_SPAN_H
#define LOCKSTEP_BASE_SPAN_H

#include <stdint.h>

typedef enum { ROW_COMPUTE, ROW_COMMUNICATION, ROW_LOADER, SPAN_ROWS } span_row;

typedef struct span {
    char name[32];
    int32_t rank, row; /* a span_row */
    int32_t step;      /* of the profile: 0, 1, ... */
    int32_t depth;     /* 0: not inside another span of its row */
    int64_t bytes;     /* of a collective: on this rank; else 0 */
    double begin, end; /* seconds of some clock */
} span;

#endif
