/* The table of choices of algorithms: what choosing by time has found, kept so that every rank of a
 * run, and the next run, takes the same without timing; and what the program brings along
 * (shipped.txt). Text, one line a choice:
 *
 *     GPU <tab> library and version <tab> key <tab> choice <tab> measure <tab> checksum
 *     NVIDIA H200  cuDNN 91900  forward n64 h32 w32 c3 k64 r3 s1 p1 bf16 relu  bf16 10 2=4 13=0
 *         12.34 us  9f...
 *
 * key, choice: the client's (cuda/dnn/dnn_problem.h, cuda/blas/product_choice.h). measure:
 * choice_line.h. checksum: FNV-1a of all before it, 16 hex digits. The first line names the format;
 * one that begins with # is a comment. A line that is not of this form, or whose checksum is wrong,
 * is left out. */
#ifndef LOCKSTEP_CUDA_CHOICES_CHOICES_H
#define LOCKSTEP_CUDA_CHOICES_CHOICES_H

#include "base/error.h"
#include "cuda/choices/choice_line.h"

typedef struct choices choices;

enum { CHOICE_SOURCE_BYTES = 32 };

typedef struct choice {
    char text[CHOICE_TEXT_BYTES];
    char source[CHOICE_SOURCE_BYTES]; /* "known", "shipped", "rank 0's", "best of 16" */
} choice;

/* A table for this model of GPU and these versions of the libraries, with what `shipped` (text; "":
 * nothing) and the cache file `path` ("" or NULL: none) have for them, the second over the first. A
 * file that is absent, damaged or not to be read makes an empty table and a note, never a failure.
 */
int choices_create(const char *gpu, const size_t versions[CHOICE_LIBRARIES], const char *shipped,
                   const char *path, choices **out, ls_error *error);
void choices_destroy(choices *self); /* NULL is fine */

extern const char choices_shipped[]; /* shipped.txt, as the program was built with it */

/* What is wrong with the cache file ("FILE: 1 of its 2 lines are damaged"), or "". */
const char *choices_note(const choices *self);

/* What was chosen, here or elsewhere. */
bool choices_find(const choices *self, choice_library library, const char *key, choice *out);
/* What no one has chosen, and the library's heuristic would offer first. */
bool choices_find_offer(const choices *self, choice_library library, const char *key, choice *out);
/* Overwrites. `measure`: choice_line.h; NULL: not timed, and so not worth a line in the cache
 * file, which is written at once where one is and the last time was a while ago: what was timed
 * outlives a run that is killed. */
int choices_put(choices *self, choice_library library, const char *key, const choice *chosen,
                const char *measure, ls_error *error);

/* All choices as text (the caller frees it), and the other end: overwrites what it names, and from
 * then on the table is every rank's (choices_imported; rank 0 takes in what it gave away).
 * LS_FAILED where the text is damaged or of another version of cuDNN than this rank's: ranks that
 * differ would train differently. Lines of another GPU or cuBLASLt are left out: a rank that has
 * these takes the library's first offer. */
int choices_export(const choices *self, char **out, ls_error *error);
int choices_import(choices *self, const char *text, ls_error *error);
bool choices_imported(const choices *self);

/* Writes the cache file where there is one and choices were made since it was read; what it has
 * for other GPUs and versions stays in it. Never fails a run: a failure becomes the note. */
void choices_save(choices *self);

#endif
