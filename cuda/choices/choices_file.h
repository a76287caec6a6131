/* The lines of choices.h's table as a file, or as the text that rank 0 sends. */
#ifndef LOCKSTEP_CUDA_CHOICES_CHOICES_FILE_H
#define LOCKSTEP_CUDA_CHOICES_CHOICES_FILE_H

#include "base/error.h"
#include "cuda/choices/choice_line.h"

#define CHOICES_FIRST_LINE "lockstep choices 2"
/* Of files that knew cuDNN only, or of it convolutions only: choice_line_read takes their lines.
 * Read, not written. */
#define CHOICES_FIRST_LINE_OF_CUDNN        "lockstep cuDNN choices 1"
#define CHOICES_FIRST_LINE_OF_CONVOLUTIONS "lockstep convolution choices 1"

typedef struct choices_file {
    choice_line *lines; /* the good ones */
    int count, capacity;
    char comments[4096]; /* lines that begin with #, which are written back; more are dropped */
    char problem[160];   /* "": every line was good; else what was not */
} choices_file;

/* Any bytes: what is not a good line is left out and told in `problem`, as is a file that is too
 * large to be ours or not to be read. One that is not there yet is an empty one. */
void choices_file_parse(const char *text, size_t length, choices_file *out);
void choices_file_read(const char *path, choices_file *out);
/* Overwrites the line of the same GPU, version and key. A file has a limit: the oldest lines
 * make room. */
void choices_file_put(choices_file *self, const choice_line *line);
/* Atomic, its folder made where it is missing. */
int choices_file_write(const choices_file *self, const char *path, ls_error *error);
void choices_file_free(choices_file *self);

#endif
