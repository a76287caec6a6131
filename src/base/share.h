/* How a batch is split: rank r of R takes positions [rB/R, (r+1)B/R) of a global batch of B. */
#ifndef LOCKSTEP_BASE_SHARE_H
#define LOCKSTEP_BASE_SHARE_H

#include <stdint.h>

typedef struct share {
    int64_t first, count;
} share;

static inline share share_of(int64_t total, int rank, int size) {
    int64_t first = total * rank / size;
    int64_t end = total * (rank + 1) / size;
    return (share){first, end - first};
}

#endif
