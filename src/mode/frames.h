/* Memory through which what lies in a file (mode/offload_file.h) is used: a few frames of one size,
 * each for one page at a time. Pages that were announced are read ahead, in that order, as frames
 * come free; what was changed is written behind, and its frame is another page's at once. */
#ifndef LOCKSTEP_MODE_FRAMES_H
#define LOCKSTEP_MODE_FRAMES_H

#include "mode/offload_file.h"

typedef struct frames frames;

/* Bytes [at, at + bytes) of the file; they lie `before` bytes behind the frame's beginning. */
typedef struct frame_page {
    size_t at, bytes, before;
} frame_page;

/* `memory`: [count * frame_bytes], borrowed, as the file is. */
int frames_create(offload_file *file, char *memory, int count, size_t frame_bytes, frames **out,
                  ls_error *error);
void frames_destroy(frames *self); /* NULL is fine */

/* The page will be lent, after those that were announced before. */
int frames_expect(frames *self, frame_page page, ls_error *error);
/* Where the page lies until it is returned; with `reads` what the file has of it, else anything.
 * LS_FAILED where all frames are lent. */
int frames_lend(frames *self, frame_page page, bool reads, char **out, ls_error *error);
/* `memory` that was lent; with `writes` it becomes the file's. Of other memory: nothing. */
int frames_return(frames *self, const char *memory, bool writes, ls_error *error);
/* What was announced will not be lent. */
void frames_forget(frames *self);

#endif
