#include "launch/arrival.h"

#include "base/clock.h"
#include "base/thread.h"
#include "launch/lifeline.h"
#include "launch/lifeline_state.h"
#include "launch/sources.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The answers of ranks that are here come within milliseconds. */
static const double START_SECONDS = 120, ANSWER_SECONDS = 3;

/* For the rank that speaks: it may have begun to wait later than this one, and asks first. */
static const double SPEAKER_SECONDS = 15;

/* How often the thread looks whether MPI has started PMIx; and how long past the deadline. */
static const double LOOK_SECONDS = 0.01, SLOW_START_SECONDS = 15;

enum { NAMED_RANKS = 8 };

static struct {
    launch me; /* size 0: not known before MPI has started PMIx */
    double seconds;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool runs, complete;
} watch = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- what is said */

static size_t add(char *out, size_t used, size_t capacity, const char *text) {
    int length = used < capacity ? snprintf(out + used, capacity - used, "%s", text) : 0;
    return used + (length > 0 ? (size_t)length : 0);
}

/* "rank 1 (host b), rank 3 (host b) and 4 more": those that are (not) here. */
static int name_ranks(const arrival *all, int size, bool (*wanted)(const arrival *), char *out,
                      size_t capacity) {
    int count = 0;
    size_t used = 0;
    out[0] = '\0';
    for (int rank = 0; rank < size; rank++) {
        char one[320];
        if (!wanted(&all[rank]))
            continue;
        if (++count > NAMED_RANKS)
            continue;
        if (all[rank].host[0])
            snprintf(one, sizeof one, "%srank %d (host %.200s)", count > 1 ? ", " : "", rank,
                     all[rank].host);
        else
            snprintf(one, sizeof one, "%srank %d", count > 1 ? ", " : "", rank);
        used = add(out, used, capacity, one);
    }
    if (count > NAMED_RANKS) {
        char more[32];
        snprintf(more, sizeof more, " and %d more", count - NAMED_RANKS);
        add(out, used, capacity, more);
    }
    return count;
}

static bool is_missing(const arrival *rank) {
    return !rank->here;
}

/* Of this host's ranks: stopped by a signal or a debugger ("T (stopped)", "t (tracing stop)"). */
static bool is_stopped(const arrival *rank) {
    char path[64], line[128];
    bool stopped = false;
    if (!rank->here || strcmp(rank->host, watch.me.host) != 0)
        return false;
    snprintf(path, sizeof path, "/proc/%ld/status", rank->process);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "State:", 6) == 0)
            stopped = strpbrk(line + 6, "Tt") == line + 6 + strspn(line + 6, " \t");
    if (file)
        fclose(file);
    return stopped;
}

static void describe(const arrival *all, char *out, size_t capacity) {
    char names[700];
    int size = watch.me.size;
    int missing = name_ranks(all, size, is_missing, names, sizeof names);
    if (missing) {
        snprintf(out, capacity,
                 "%d of %d ranks did not arrive within %g s: %s: see there whether the program can "
                 "be read and started (ps, dmesg), or wait longer: LOCKSTEP_START_SECONDS",
                 missing, size, watch.seconds, names);
        return;
    }
    if (name_ranks(all, size, is_stopped, names, sizeof names))
        snprintf(out, capacity, "MPI did not start within %g s, for a rank is stopped: %s",
                 watch.seconds, names);
    else
        snprintf(out, capacity,
                 "MPI did not start within %g s, though all %d ranks are there: can their hosts "
                 "reach each other (OMPI_MCA_btl_tcp_if_include=NETWORK/BITS names the network to "
                 "use), and is none of them stopped?",
                 watch.seconds, size);
}

/* ---- who says it */

/* The lowest rank that is here. Most jobs have a rank 0, so it is asked for alone first. */
static bool speaks(arrival *all) {
    if (watch.me.rank == 0)
        return true;
    pmix_arrivals(0, 1, ANSWER_SECONDS, all);
    if (all[0].here || watch.me.rank == 1)
        return !all[0].here;
    pmix_arrivals(1, watch.me.rank - 1, ANSWER_SECONDS, all + 1);
    for (int rank = 1; rank < watch.me.rank; rank++)
        if (all[rank].here)
            return false;
    return true;
}

/* False where it was complete first. */
static bool sleep_until_overdue(double seconds) {
    struct timespec until = thread_deadline(seconds);
    pthread_mutex_lock(&watch.mutex);
    int status = 0;
    while (!watch.complete && status != ETIMEDOUT)
        status = pthread_cond_timedwait(&watch.changed, &watch.mutex, &until);
    bool overdue = !watch.complete;
    pthread_mutex_unlock(&watch.mutex);
    return overdue;
}

/* Who this rank is, and that it is here, as soon as MPI has started PMIx, for which it needs no
 * other rank: a rank that is slow to come so far goes past a short deadline, since MPI fails where
 * somebody else starts PMIx before it. Where MPI never comes so far, PMIx is started all the same:
 * this run ends, and somebody must say why. False where MPI was complete first, or there is one
 * rank. */
static bool introduce(double began) {
    ls_error error = {0};
    while (!pmix_is_up() && clock_seconds() - began < watch.seconds + SLOW_START_SECONDS)
        if (!sleep_until_overdue(LOOK_SECONDS))
            return false;
    if (pmix_start(&watch.me, &error) != LS_OK ||
        (watch.me.size > 1 && pmix_announce(&watch.me, &error) != LS_OK))
        lifeline_abort(error.text, error.code);
    return watch.me.size > 1;
}

static void *run(void *unused) {
    (void)unused;
    char text[1024] = "";
    double began = clock_seconds();
    if (watch.me.size == 0 && !introduce(began))
        return NULL;
    if (!sleep_until_overdue(fmax(watch.seconds - (clock_seconds() - began), 0)))
        return NULL;
    int size = watch.me.size;
    arrival *all = calloc((size_t)size, sizeof *all);
    if (all && speaks(all)) {
        pmix_arrivals(0, size, ANSWER_SECONDS, all);
        describe(all, text, sizeof text);
    } else if (!sleep_until_overdue(SPEAKER_SECONDS)) {
        free(all);
        return NULL;
    }
    /* The last rank may have come while this one asked. */
    if (sleep_until_overdue(0))
        lifeline_abort(text, LS_BAD_LAUNCH);
    return NULL;
}

/* ---- from and to */

int arrival_watch(const launch *self, ls_error *error) {
    if (self && self->size == 1)
        return LS_OK;
    if (self) {
        LS_TRY(pmix_announce(self, error));
        watch.me = *self;
    }
    watch.seconds = lifeline_seconds("LOCKSTEP_START_SECONDS", START_SECONDS);
    thread_condition_init(&watch.changed);
    LS_TRY(thread_start(&watch.thread, "start-up deadline", NULL, 0, run, NULL, error));
    watch.runs = true;
    return LS_OK;
}

void arrival_complete(void) {
    if (!watch.runs)
        return;
    pthread_mutex_lock(&watch.mutex);
    watch.complete = true;
    pthread_cond_signal(&watch.changed);
    pthread_mutex_unlock(&watch.mutex);
    pthread_join(watch.thread, NULL);
    watch.runs = false;
}
