/* Where a command writes its text: a file, whole or not at all, or standard output. */
#ifndef LOCKSTEP_CLI_OUTPUT_H
#define LOCKSTEP_CLI_OUTPUT_H

#include "base/error.h"
#include "base/text_buffer.h"

/* A file that cannot be is known before anything is read or measured: LS_BAD_INPUT where `path` is
 * a folder or its folder is not there. NULL is fine. `option` stands in the text ("--output"). */
int output_check(const char *option, const char *path, ls_error *error);

/* path NULL: standard output. */
int output_write(const text_buffer *text, const char *path, ls_error *error);

#endif
