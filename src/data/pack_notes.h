/* Inside packing: lists of files, a line each: path, tab, what there is to say. */
#ifndef LOCKSTEP_DATA_PACK_NOTES_H
#define LOCKSTEP_DATA_PACK_NOTES_H

#include "base/text_buffer.h"

/* Control characters, backslashes and bytes that are no UTF-8 become \xNN, in path and text. A
 * text that begins with the path, as errors do, is cut to what follows it. */
void note_add(text_buffer *out, const char *path, const char *text);

#endif
