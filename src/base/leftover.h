/* What a killed process leaves: temporary files. Their names say whose they are, so that the next
 * process that writes into the folder can remove those whose owner is gone. */
#ifndef LOCKSTEP_BASE_LEFTOVER_H
#define LOCKSTEP_BASE_LEFTOVER_H

#include <stddef.h>

/* ".NAME.PID-START-PLACE.tmp": this process, when it was started (in ticks since the boot), and a
 * hash of the boot and the name space in which its number means something. */
void leftover_name(const char *name, char *out, size_t capacity);

/* Removes the files in `folder` with such names whose process has ended, or cannot be seen from
 * here (another host, an earlier boot, hidden) and has not written to them for a day.
 * Another program's files are left, and so is what cannot be removed. Looks at most once at each of
 * the last few folders. */
void leftover_sweep(const char *folder);

#endif
