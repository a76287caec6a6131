/* A file for what does not fit into memory: a thread reads ahead and writes behind, one call after
 * the other in the order in which they were asked for. So what was written is what is read later,
 * and memory that is being written may be asked to be read into at once.
 *
 * The file has no name: whatever ends the process, nothing is left. Its pages belong to no process;
 * the system keeps what memory is free for and gives it up first. Room for all of it is taken when
 * it is opened, where the file system can. */
#ifndef LOCKSTEP_MODE_OFFLOAD_FILE_H
#define LOCKSTEP_MODE_OFFLOAD_FILE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct offload_file offload_file;

/* What was asked for, counted: 1, 2, ...; 0: nothing. */
typedef uint64_t offload_ticket;

typedef struct offload_totals {
    uint64_t read_bytes, written_bytes;
    double waited_seconds; /* the caller stood still in offload_wait */
} offload_totals;

/* `folder` is there; zeroes. LS_BAD_INPUT where it cannot be used, LS_FAILED where it has no room
 * for `bytes`. Used by one thread at a time. */
int offload_open(const char *folder, size_t bytes, offload_file **out, ls_error *error);
/* Waits for what the thread is at; the rest is dropped. NULL is fine. */
void offload_close(offload_file *self);

/* Bytes [at, at + bytes) of the file, from and to `memory`, which is the file's until the ticket
 * was waited for. They fail where the thread has failed. */
int offload_read(offload_file *self, size_t at, size_t bytes, void *memory, offload_ticket *out,
                 ls_error *error);
int offload_write(offload_file *self, size_t at, size_t bytes, const void *memory,
                  offload_ticket *out, ls_error *error);
/* It is done, and all before it. Every call after the thread has failed fails with its line. */
int offload_wait(offload_file *self, offload_ticket ticket, ls_error *error);

offload_totals offload_totals_of(const offload_file *self);

#endif
