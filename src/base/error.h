/* Errors: a function that can fail returns an int status (0, or the process's exit code) and
 * writes one line of text into an error that its caller owns. LS_TRY passes a status up. Only
 * main() (and the lifeline, for a dead or failing peer) ends the process. */
#ifndef LOCKSTEP_BASE_ERROR_H
#define LOCKSTEP_BASE_ERROR_H

#include <stdbool.h>

/* Exit codes, fixed for users; a signal's are signals_exit_code's (base/signals.h). */
enum {
    LS_OK = 0,
    LS_FAILED = 1,     /* a failure while running */
    LS_BAD_INPUT = 2,  /* a bad option, file or value */
    LS_BAD_LAUNCH = 3, /* a wrong launch, or a missing device */
    LS_STOPPED = 4 /* a run was told to end, and has saved its state: started again, it goes on */
};

typedef struct ls_error {
    int code;        /* one of the above; 0 while nothing failed */
    char text[1024]; /* one line, no newline: what failed, what was expected, what was found */
    bool no_room;    /* a device's memory is too small for what was asked: less of it would fit */
} ls_error;

/* Records a failure and returns `code`, so that `return ls_fail(...)` reads well. The text is cut
 * to one line: control characters become '?'. The first failure recorded is kept. */
int ls_fail(ls_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As ls_fail, with ": strerror(errno)" at the end, and the limit of this process that explains it.
 */
int ls_fail_errno(ls_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The code of a place that could not be written to, by its errno: LS_BAD_INPUT where it is unusable
 * whatever the disk holds (rights, a file where a folder should be), LS_FAILED where the disk is
 * full or broken. */
int ls_place_code(int number);

/* Passes a non-zero status up. */
#define LS_TRY(call)                                                                               \
    do {                                                                                           \
        int ls_status_ = (call);                                                                   \
        if (ls_status_ != LS_OK)                                                                   \
            return ls_status_;                                                                     \
    } while (0)

#endif
