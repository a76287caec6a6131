/* What the stand-ins for cuBLASLt and cuDNN refuse on demand. Each call of a kind has a number,
 * from 1; calls in a range of numbers answer a status and do nothing. Told by emulated_refuse, or
 * by the environment:
 *
 *     LOCKSTEP_EMULATED_REFUSE=KIND:FIRST[-[LAST]][:STATUS],...
 *
 * "blas-query:3", "dnn-run:5-" (the fifth and all later), "blas-query:1-9:7" (status 7 in place of
 * NOT_SUPPORTED; 0, of a query: success, and no answer). */
#ifndef LOCKSTEP_TESTS_EMULATED_REFUSALS_H
#define LOCKSTEP_TESTS_EMULATED_REFUSALS_H

#include <stdbool.h>

typedef enum {
    BLAS_DESCRIBE, /* descriptors, layouts, preferences and their attributes */
    BLAS_QUERY,    /* the heuristic */
    BLAS_RUN,      /* cublasLtMatmul */
    DNN_DESCRIBE,  /* descriptors are made, attributes set */
    DNN_QUERY,     /* descriptors are finalised, attributes read */
    DNN_RUN,       /* cudnnSetStream and cudnnBackendExecute */
    REFUSABLE_CALLS
} refusable_call;

/* From now on: of calls number first .. last of this kind. Counts begin anew, of all kinds.
 * first 0: none. status -1: the library's own NOT_SUPPORTED. */
void emulated_refuse(refusable_call kind, int first, int last, int status);
int emulated_calls(refusable_call kind); /* since then */

/* The stand-ins': whether this call is refused, and with which status. */
bool emulated_is_refused(refusable_call kind, int not_supported, int *status);

#endif
