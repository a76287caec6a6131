/* What `pack` prints: how far it is, what is damaged, what came of it. */
#ifndef LOCKSTEP_CLI_PACK_SHOW_H
#define LOCKSTEP_CLI_PACK_SHOW_H

#include "data/pack.h"

/* A pack_progress; context: the verb, "packing". On a terminal a bar, with images and bytes a
 * second and the time that is left; elsewhere a line a minute. */
void pack_show_progress(void *context, const pack_state *state);

/* The line that the bar leaves, before anything else is printed. */
void pack_clear_progress(void);

void pack_show_complaint(const char *text); /* a pack_complaint */

/* Of a data set in `folder`; `ignored`: names that were not read, "" for none. */
void pack_show_result(const char *verb, const char *folder, const manifest *packed,
                      const char *ignored, double seconds);

#endif
