/* The table "convolution -> engine and knobs": what choosing by time has found, kept so that every
 * rank of a run, and the next run, builds the same plans without timing. Text, one line a choice:
 *
 *     GPU <tab> cuDNN <tab> shape <tab> choice <tab> checksum
 *     NVIDIA H200  91900  forward n64 h32 w32 c3 k64 r3 s1 p1 bf16 relu  bf16 10 2=4 13=0  9f...
 *
 * shape: conv_shape_text(). choice: the type of bias or dw (conv_graph.h), the engine's index,
 * its knobs as type=value. checksum: FNV-1a of all before it, 16 hex digits. The first line names
 * the format. A line that is not of this form, or whose checksum is wrong, is left out. */
#ifndef LOCKSTEP_CUDA_CHOICES_H
#define LOCKSTEP_CUDA_CHOICES_H

#include "conv_engine.h"

typedef struct conv_choices conv_choices;

typedef struct conv_choice {
    dtype parameter_type;
    conv_engine engine;
} conv_choice;

enum { CONV_SHAPE_TEXT_BYTES = 128, CONV_CHOICE_TEXT_BYTES = 800 };

/* "forward n64 h32 w32 c3 k64 r3 s1 p1 bf16 relu": the key of a choice, and what a text names. */
void conv_shape_text(const conv2d_shape *shape, conv_direction direction,
                     char text[CONV_SHAPE_TEXT_BYTES]);

/* A table for this model of GPU and version of cuDNN, with what the cache file `path` ("" or NULL:
 * none) has for them. A file that is absent, damaged or not to be read makes an empty table and a
 * note, never a failure. */
int conv_choices_create(const char *gpu, size_t dnn_version, const char *path, conv_choices **out,
                        ls_error *error);
void conv_choices_destroy(conv_choices *self); /* NULL is fine */

/* What is wrong with the cache file ("FILE: 1 of its 2 lines are damaged"), or "". */
const char *conv_choices_note(const conv_choices *self);

bool conv_choices_find(const conv_choices *self, const char *shape, conv_choice *out);
/* Overwrites. `lasting`: worth a line in the cache file (it was timed). */
int conv_choices_put(conv_choices *self, const char *shape, const conv_choice *choice, bool lasting,
                     ls_error *error);

/* All choices as text (the caller frees it), and the other end: overwrites what it names, and from
 * then on the table is another rank's (conv_choices_imported). LS_FAILED where the text is damaged
 * or of another version of cuDNN than this rank's: ranks that differ would train differently. Lines
 * of another GPU are left out: a rank with another GPU takes cuDNN's first offer. */
int conv_choices_export(const conv_choices *self, char **out, ls_error *error);
int conv_choices_import(conv_choices *self, const char *text, ls_error *error);
bool conv_choices_imported(const conv_choices *self);

/* Writes the cache file where there is one and choices were made since it was read; what it has
 * for other GPUs and versions stays in it. Never fails a run: a failure becomes the note. */
void conv_choices_save(conv_choices *self);

#endif
