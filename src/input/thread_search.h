/* How many threads a loader needs: found while a run trains, from how it keeps up. A pure function
 * of what was measured; how many threads fetch changes no bit of a batch. */
#ifndef LOCKSTEP_INPUT_THREAD_SEARCH_H
#define LOCKSTEP_INPUT_THREAD_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

/* What was seen over some batches with one number of threads. */
typedef struct thread_window {
    int64_t batches;
    double seconds;        /* from the first of them to the last */
    double waited_seconds; /* in which the next batch was asked for and not there */
    double busy_seconds;   /* of the threads, summed: the rest of their time the ring was full */
} thread_window;

typedef struct thread_search {
    int threads; /* to use now */
    bool settled;
    int windows; /* that were judged */
    /* The best number so far and its batches a second; 0: none yet. Fewer than `least` or more than
     * `most` are no better. */
    int kept, least, most;
    double kept_rate;
} thread_search;

/* From a first estimate, within 1 to `most`. */
void thread_search_start(thread_search *self, int first, int most);

/* After a window with self->threads: chooses self->threads anew. Where the steps waited, more are
 * tried, by what the threads had to do in the time that the steps left them, but no more than twice
 * as many, and kept if batches came faster by 2%; where they did not, as few as were busy with a
 * quarter to spare, kept if batches came no slower by 2% and nobody waited. A number that was not
 * kept bounds the search, so it ends: `settled`. */
void thread_search_next(thread_search *self, const thread_window *seen);

#endif
