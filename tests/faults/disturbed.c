/* What goes wrong from one moment on, put into a program by LD_PRELOAD.
 *
 *   DISTURBED_WHEN=FILE       it begins as soon as there is such a file
 *   DISTURBED_RANK=R          in the process of that rank alone (Open MPI's); else in all
 *   DISTURBED_EXP=N           the next N calls of the exponential function give no number; a row of
 * a loss makes two for each class
 *   DISTURBED_CLOCK=SECONDS   the time of day is that many seconds later, or, below 0, earlier
 *
 * The clock that counts from the machine's start goes on: no administrator can set it. */
#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* POSIX: a function's address fits a void pointer. */
#define REAL(name)                                                                                 \
    __extension__({                                                                                \
        static __typeof__(name) *real_;                                                            \
        void *found_ = real_ ? NULL : dlsym(RTLD_NEXT, #name);                                     \
        if (!real_)                                                                                \
            memcpy(&real_, &found_, sizeof found_);                                                \
        real_;                                                                                     \
    })

static bool is_time(void) {
    const char *file = getenv("DISTURBED_WHEN"), *rank = getenv("DISTURBED_RANK"),
               *own = getenv("OMPI_COMM_WORLD_RANK");
    if (!file || (rank && own && strcmp(rank, own) != 0))
        return false;
    return access(file, F_OK) == 0;
}

static long shift(void) {
    const char *seconds = getenv("DISTURBED_CLOCK");
    return seconds && is_time() ? strtol(seconds, NULL, 10) : 0;
}

double exp(double x) {
    static bool asked, begun;
    static long left;
    static unsigned calls;
    if (!asked) {
        const char *wanted = getenv("DISTURBED_EXP");
        left = wanted ? strtol(wanted, NULL, 10) : 0;
        asked = true;
    }
    if (left > 0 && !begun && ++calls % 64 == 0)
        begun = is_time();
    if (!begun || left == 0)
        return REAL(exp)(x);
    left--;
    return (double)NAN;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    int status = REAL(clock_gettime)(clock, out);
    if (status == 0 && clock == CLOCK_REALTIME)
        out->tv_sec += shift();
    return status;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    int status = REAL(gettimeofday)(out, zone);
    out->tv_sec += shift();
    return status;
}
