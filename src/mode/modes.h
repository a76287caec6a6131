/* The list of modes, by name. A mode is a file and a line in modes.c. */
#ifndef LOCKSTEP_MODE_MODES_H
#define LOCKSTEP_MODE_MODES_H

#include "mode/mode.h"

/* NULL: there is none of that name, LS_BAD_INPUT. */
const mode_interface *mode_find(const char *name, ls_error *error);

/* "single and ddp": the modes that can, in `out`, which it returns. */
const char *modes_that(bool (*can)(const mode_interface *mode), char *out, size_t capacity);

#endif
