/* Another program, run to its end. */
#ifndef LOCKSTEP_BASE_CHILD_H
#define LOCKSTEP_BASE_CHILD_H

enum { CHILD_INPUT = 0, CHILD_OUTPUT, CHILD_MESSAGES, CHILD_STREAMS };

typedef enum {
    CHILD_ENDED,   /* *status is waitpid's */
    CHILD_MISSING, /* the PATH has no such program */
    CHILD_LATE,    /* it was killed at its deadline */
    CHILD_FAILED   /* no process could be made: errno */
} child_end;

/* Runs `arguments` (NULL-terminated, the program's name first) with these files as its streams 0 to
 * 2, for `deadline_seconds` at most. It ends with this process. */
child_end child_run(char *const arguments[], const int files[CHILD_STREAMS],
                    double deadline_seconds, int *status);

#endif
