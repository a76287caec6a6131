#include "base/local_limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MOST_OPEN_FILES = 1 << 20 };

static void open_streams(void) {
    for (int stream = 0; stream <= STDERR_FILENO; stream++)
        if (fcntl(stream, F_GETFD) < 0 && errno == EBADF) {
            int got = open("/dev/null", O_RDWR); /* the lowest that is free: this one */
            if (got > stream)
                close(got);
        }
}

static void raise_open_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= MOST_OPEN_FILES)
        return;
    limit.rlim_cur = limit.rlim_max < MOST_OPEN_FILES ? limit.rlim_max : MOST_OPEN_FILES;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void limits_prepare(void) {
    open_streams();
    raise_open_files();
}

/* The soft limit; LONG_MAX where there is none. */
static long limit_of(__rlimit_resource_t resource) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur > LONG_MAX)
        return LONG_MAX;
    return (long)limit.rlim_cur;
}

long limits_open_files(void) {
    return limit_of(RLIMIT_NOFILE);
}

long limits_files_open_now(void) {
    long count = -1; /* the folder itself is open too */
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

void limits_hint(int number, char *out, size_t capacity) {
    long space = limit_of(RLIMIT_AS), data = limit_of(RLIMIT_DATA);
    out[0] = '\0';
    if (number == EMFILE)
        snprintf(out, capacity,
                 " (at most %ld open files a process: raise the hard limit, ulimit -Hn)",
                 limits_open_files());
    else if (number == ENFILE)
        snprintf(out, capacity, " (of the whole machine: sysctl fs.file-max)");
    else if (number == ENOMEM && space != LONG_MAX)
        snprintf(out, capacity, " (the address space is limited to %ld MiB: ulimit -v unlimited)",
                 space >> 20);
    else if (number == ENOMEM && data != LONG_MAX)
        snprintf(out, capacity, " (data memory is limited to %ld MiB: ulimit -d unlimited)",
                 data >> 20);
    else if (number == EADDRNOTAVAIL || number == EADDRINUSE)
        snprintf(out, capacity, " (no port is free: sysctl net.ipv4.ip_local_port_range)");
}

void limits_thread_hint(int number, char *out, size_t capacity) {
    long processes = limit_of(RLIMIT_NPROC);
    limits_hint(ENOMEM, out, capacity); /* a stack that finds no room is EAGAIN as well */
    if (number != EAGAIN || out[0])
        return;
    if (processes != LONG_MAX)
        snprintf(out, capacity,
                 " (this user's processes and threads are limited to %ld: ulimit -u, or the "
                 "cgroup's pids.max)",
                 processes);
    else
        snprintf(out, capacity,
                 " (too many processes and threads: the cgroup's pids.max, or "
                 "sysctl kernel.threads-max)");
}
