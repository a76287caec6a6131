/* One line of choices.h's table: to text and back. A file of its own, because what comes back may
 * be damaged in any way. What a choice says is its client's: here it is text. */
#ifndef LOCKSTEP_CUDA_CHOICES_CHOICE_LINE_H
#define LOCKSTEP_CUDA_CHOICES_CHOICE_LINE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    CHOICE_GPU_BYTES = 128,
    CHOICE_KEY_BYTES = 128,
    CHOICE_TEXT_BYTES = 800,
    CHOICE_MEASURE_BYTES = 64,
    CHOICE_LINE_BYTES = 1280
};

/* Whose algorithms they are: a choice is of one version of its library. */
typedef enum { CHOICE_CUDNN, CHOICE_CUBLASLT, CHOICE_LIBRARIES } choice_library;

const char *choice_library_name(choice_library library); /* "cuDNN" */

typedef struct choice_line {
    char gpu[CHOICE_GPU_BYTES];
    choice_library library;
    size_t version;
    char key[CHOICE_KEY_BYTES];
    char text[CHOICE_TEXT_BYTES];
    /* "12.34 us": timed. "offer ...": it was not, the library's heuristic names it first, and what
     * else is known of it. Other words: it was chosen, with no word of the time. */
    char measure[CHOICE_MEASURE_BYTES];
} choice_line;

/* Someone chose it, rather than that it is offered alone. */
bool choice_line_is_chosen(const choice_line *line);

/* With its newline. */
void choice_line_write(const choice_line *line, char text[CHOICE_LINE_BYTES]);

/* text[length] without its newline; also as the first format had it. False: damaged; *out is then
 * undefined. */
bool choice_line_read(const char *text, size_t length, choice_line *out);

#endif
