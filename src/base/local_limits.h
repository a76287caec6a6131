/* This process's limits, and what an error says that one of them is the cause of: far from the
 * place, they look like a network's or a memory's fault. */
#ifndef LOCKSTEP_BASE_LOCAL_LIMITS_H
#define LOCKSTEP_BASE_LOCAL_LIMITS_H

#include <stddef.h>

/* First thing in a process: streams 0 to 2 that are closed become /dev/null, so that no file of
 * ours is given their numbers; the soft limit of open files becomes the hard one (2^20 at most:
 * some libraries walk through all of them). */
void limits_prepare(void);

/* " (at most 64 open files a process: ulimit -Hn)" for an errno that a local limit explains; "" for
 * any other. */
void limits_hint(int number, char *out, size_t capacity);

/* The same for a thread or a process that could not be made. */
void limits_thread_hint(int number, char *out, size_t capacity);

/* Open files: how many this process may have (a large number where there is no limit), and has. */
long limits_open_files(void);
long limits_files_open_now(void);

/* Beside connections, files that a run has open at a time: shards, results, memory of others. */
enum { SPARE_FILES = 16 };

#endif
