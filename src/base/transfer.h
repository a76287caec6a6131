/* All bytes that are asked for, however many calls the system takes for them: a call may move a
 * part of them and say why it stopped only when it is asked for the rest. */
#ifndef LOCKSTEP_BASE_TRANSFER_H
#define LOCKSTEP_BASE_TRANSFER_H

#include <stdbool.h>
#include <sys/types.h>

/* False: errno says why; a part may have been written. */
bool write_whole(int file, const void *bytes, size_t length);

/* From the place where `file` stands. How many bytes there were, at most `capacity`; -1: errno says
 * why. */
ssize_t read_whole(int file, void *out, size_t capacity);

#endif
