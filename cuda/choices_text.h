/* One line of choices.h's table, to text and back. Its own file, because what comes back may be
 * damaged in any way. */
#ifndef LOCKSTEP_CUDA_CHOICES_TEXT_H
#define LOCKSTEP_CUDA_CHOICES_TEXT_H

#include "choices.h"

#define CHOICES_FIRST_LINE "lockstep convolution choices 1"

enum { CHOICE_GPU_BYTES = 128, CHOICE_LINE_BYTES = 1280 };

typedef struct choice_line {
    char gpu[CHOICE_GPU_BYTES];
    size_t dnn_version;
    char shape[CONV_SHAPE_TEXT_BYTES];
    conv_choice choice;
} choice_line;

/* With its newline. */
void choice_line_write(const choice_line *line, char text[CHOICE_LINE_BYTES]);

/* text[length] without its newline. False: damaged; *out is then undefined. */
bool choice_line_read(const char *text, size_t length, choice_line *out);

#endif
