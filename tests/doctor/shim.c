/* Faults that this machine cannot have by itself, put between a program and its C library by
 * LD_PRELOAD: a file system without locks, a host whose clock is wrong, a machine that was asleep.
 *
 *   SHIM_FLOCK_ERRNO=N     flock(2) fails with errno N; 0: it never returns
 *   SHIM_CLOCK_SECONDS=X   CLOCK_REALTIME is X s ahead
 *   SHIM_ASLEEP=FILE       10 s of sleep end when FILE is there: CLOCK_BOOTTIME has gone on, the
 *                          others have not */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int flock(int descriptor, int operation);

/* POSIX: a function's address fits a void pointer. */
static void find(const char *name, void *out) {
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(out, &found, sizeof found);
}

int flock(int descriptor, int operation) {
    const char *wanted = getenv("SHIM_FLOCK_ERRNO");
    int (*real)(int, int);
    find("flock", &real);
    if (!wanted)
        return real(descriptor, operation);
    while (atoi(wanted) == 0)
        pause();
    errno = atoi(wanted);
    return -1;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    const char *ahead = getenv("SHIM_CLOCK_SECONDS");
    if (!real)
        find("clock_gettime", &real);
    int status = real(clock, out);
    if (ahead && clock == CLOCK_REALTIME)
        out->tv_sec += atol(ahead);
    const char *asleep = getenv("SHIM_ASLEEP");
    if (asleep && clock == CLOCK_BOOTTIME && access(asleep, F_OK) == 0)
        out->tv_sec += 10;
    return status;
}
