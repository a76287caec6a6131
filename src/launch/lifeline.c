/* The lifeline's thread, its start and stop between the ranks, and signals. The talk between the
 * ranks is in lifeline_hub.c and lifeline_spoke.c, what all stand on in lifeline_state.c. */
#include "launch/lifeline.h"

#include "base/clock.h"
#include "base/local_limits.h"
#include "base/signals.h"
#include "base/thread.h"
#include "launch/lifeline_state.h"

#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Silence: long enough for a rank that the system starves for a while, short enough for a job's
 * patience. */
static const double CONNECT_PATIENCE_SECONDS = 5, SILENCE_SECONDS = 20, STALL_SECONDS = 600,
                    MOST_SECONDS = 1e7;

static bool thread_runs;          /* the main thread's */
static atomic_bool between_ranks; /* written by the main thread */

/* ---- the end, between the ranks */

static void wake(uint8_t byte) {
    while (write(lifeline.wake[1], &byte, 1) < 0 && errno == EINTR)
        ;
}

_Noreturn void lifeline_fail(const ls_error *error, int everyone) {
    if (!between_ranks)
        lifeline_end_alone(error->text, error->code);
    pthread_mutex_lock(&lifeline.mutex);
    lifeline.failure = *error;
    lifeline.failure_everyone = everyone;
    pthread_mutex_unlock(&lifeline.mutex);
    wake(WAKE_FAILED);
    lifeline_wait_for_the_end();
}

bool lifeline_joins_ranks(void) {
    return between_ranks;
}

/* ---- signals and the thread */

static void on_signal(int signal_number) {
    int saved_errno = errno;
    wake((uint8_t)signal_number);
    errno = saved_errno;
}

/* Before the ranks are joined each of them is interrupted on its own: the first one speaks. */
static bool speaks_before_the_start(void) {
    const char *rank = getenv("PMIX_RANK");
    return !rank || strcmp(rank, "0") == 0;
}

/* One rank, or not joined yet: a signal ends this process. True when the ranks are joined. */
static bool wait_alone(void) {
    struct pollfd pipe = {.fd = lifeline.wake[0], .events = POLLIN};
    uint8_t byte;
    if (poll(&pipe, 1, -1) < 1 || lifeline_wakes(&byte, 1) < 1)
        return false;
    if (byte == WAKE_START)
        return true;
    if (lifeline_is_end(byte)) {
        char text[256];
        place here = lifeline_here();
        int code = lifeline_describe_signal(byte, &here, text, sizeof text);
        lifeline_end_alone(speaks_before_the_start() ? text : "", code);
    }
    return false;
}

static void *run_thread(void *unused) {
    (void)unused;
    for (;;) {
        if (!wait_alone())
            continue;
        if (lifeline.rank == 0)
            lifeline_run_hub();
        else
            lifeline_run_spoke();
        pthread_mutex_lock(&lifeline.mutex);
        lifeline.stopped = true;
        pthread_cond_broadcast(&lifeline.changed);
        pthread_mutex_unlock(&lifeline.mutex);
    }
    return NULL;
}

/* The signals that end a run are taken by this thread alone: every other one blocks them, those
 * that are started later by inheritance. oneDNN's AVX-512 kernels do not survive a handler that
 * runs on their stack (2.6.3: with a signal each 0.5 ms the heap is corrupt within a step; with
 * handlers on an alternate stack, or AVX2, it is not). The thread keeps the whole mask of cores
 * that the process inherited: it is started before anything is bound, so it does not share a core
 * with the compute thread where it can. */
static int start_thread(ls_error *error) {
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t others, after;
    if (thread_runs)
        return LS_OK;
    if (pipe2(lifeline.wake, O_CLOEXEC | O_NONBLOCK) < 0)
        return ls_fail_errno(error, LS_FAILED, "cannot make the lifeline's pipe");
    sigfillset(&others);
    signals_remove(&others);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &others, &after);
    int failed = pthread_create(&thread, &attributes, run_thread, NULL);
    signals_add(&after);
    pthread_sigmask(SIG_SETMASK, &after, NULL);
    pthread_attr_destroy(&attributes);
    if (failed)
        return thread_fail(error, "lifeline", failed);
    thread_runs = true;
    return LS_OK;
}

int lifeline_install_signals(ls_error *error) {
    LS_TRY(start_thread(error));
    signals_catch(on_signal);
    signal(SIGPIPE, SIG_IGN);
    return LS_OK;
}

/* ---- start and stop between the ranks */

/* Fails on every rank where it failed on one; the lowest of those keeps its text. */
static int agree(int status, ls_error *error) {
    int mine = status == LS_OK ? lifeline.size : lifeline.rank, lowest = 0;
    if (MPI_Allreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD) != MPI_SUCCESS)
        return ls_fail(error, LS_FAILED, "MPI_Allreduce failed while the lifeline started");
    if (lowest == lifeline.size)
        return LS_OK;
    int code = error->code;
    if (MPI_Bcast(&code, 1, MPI_INT, lowest, MPI_COMM_WORLD) != MPI_SUCCESS)
        code = LS_FAILED;
    if (lowest != lifeline.rank)
        *error = (ls_error){.code = code};
    return error->code;
}

/* Where they are too few, connections that fail look like a network's fault. */
static int check_open_files(ls_error *error) {
    long open_now = limits_files_open_now(), limit = limits_open_files();
    long more = (lifeline.rank == 0 ? lifeline.size : 1) + SPARE_FILES;
    if (open_now + more <= limit)
        return LS_OK;
    return ls_fail(error, LS_BAD_LAUNCH,
                   "rank %d (host %s) may have %ld open files, has %ld, and needs %ld more for %d "
                   "ranks: raise the hard limit (ulimit -Hn; LimitNOFILE of slurmd)",
                   lifeline.rank, lifeline.host, limit, open_now, more, lifeline.size);
}

static int listen_for_others(wire_endpoint *mine, ls_error *error) {
    LS_TRY(check_open_files(error));
    return wire_listen(lifeline.host, &lifeline.listener, mine, error);
}

static int exchange_endpoints(ls_error *error) {
    wire_endpoint mine;
    LS_TRY(agree(listen_for_others(&mine, error), error));
    lifeline.endpoints = calloc((size_t)lifeline.size, sizeof mine);
    bool ready = lifeline.endpoints &&
                 (lifeline.rank != 0 || getrandom(lifeline.secret, sizeof lifeline.secret, 0) ==
                                            (ssize_t)sizeof lifeline.secret);
    if (!ready)
        ls_fail_errno(error, LS_FAILED, "cannot prepare the lifeline");
    LS_TRY(agree(error->code, error));
    if (MPI_Bcast(lifeline.secret, WIRE_SECRET_BYTES, MPI_BYTE, 0, MPI_COMM_WORLD) ||
        MPI_Allgather(&mine, (int)sizeof mine, MPI_BYTE, lifeline.endpoints, (int)sizeof mine,
                      MPI_BYTE, MPI_COMM_WORLD))
        return ls_fail(error, LS_FAILED, "MPI failed while the lifeline started");
    return LS_OK;
}

static int connect_to_hub(ls_error *error) {
    wire_message hello;
    char tried[700];
    lifeline_beat(&hello);
    hello.type = WIRE_HELLO;
    memcpy(hello.secret, lifeline.secret, sizeof hello.secret);
    if (wire_connect(&lifeline.endpoints[0], &lifeline.endpoints[lifeline.rank], &hello,
                     CONNECT_PATIENCE_SECONDS, &lifeline.hub, tried, sizeof tried))
        return ls_fail(error, LS_FAILED,
                       "rank %d (host %s) cannot reach rank 0 (host %s) over TCP: tried %s",
                       lifeline.rank, lifeline.host, lifeline.endpoints[0].host, tried);
    return LS_OK;
}

static bool read_seconds(const char *text, double *out) {
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value > 0 && value <= MOST_SECONDS))
        return false;
    *out = value;
    return true;
}

double lifeline_seconds(const char *name, double otherwise) {
    const char *text = getenv(name);
    double value = otherwise;
    if (text)
        read_seconds(text, &value);
    return value;
}

int lifeline_check_seconds(ls_error *error) {
    static const char *const names[] = {"LOCKSTEP_START_SECONDS", "LOCKSTEP_SILENCE_SECONDS",
                                        "LOCKSTEP_STALL_SECONDS"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        const char *text = getenv(names[index]);
        double value;
        if (text && !read_seconds(text, &value))
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: expected a number of seconds above 0 and up to %.0f, found '%.80s'",
                           names[index], MOST_SECONDS, text);
    }
    return LS_OK;
}

int lifeline_start(int rank, int size, const char *host, ls_error *error) {
    lifeline.rank = rank;
    lifeline.size = size;
    lifeline.deadline_seconds = lifeline_seconds("LOCKSTEP_SILENCE_SECONDS", SILENCE_SECONDS);
    lifeline.stall_seconds = lifeline_seconds("LOCKSTEP_STALL_SECONDS", STALL_SECONDS);
    snprintf(lifeline.host, sizeof lifeline.host, "%s", host);
    if (!lifeline_here().phase[0])
        lifeline_at("set-up", 0, 0);
    LS_TRY(start_thread(error));
    if (size == 1)
        return LS_OK;
    LS_TRY(exchange_endpoints(error));
    if (rank == 0)
        wake(WAKE_START);
    LS_TRY(agree(rank == 0 ? LS_OK : connect_to_hub(error), error));
    if (rank != 0)
        wake(WAKE_START);
    between_ranks = true;
    return LS_OK;
}

int lifeline_stop(ls_error *error) {
    (void)error;
    if (!between_ranks)
        return LS_OK;
    wake(WAKE_STOP);
    pthread_mutex_lock(&lifeline.mutex);
    while (!lifeline.stopped) /* a rank that dies meanwhile ends this process */
        pthread_cond_wait(&lifeline.changed, &lifeline.mutex);
    pthread_mutex_unlock(&lifeline.mutex);
    between_ranks = false;
    free(lifeline.endpoints);
    lifeline.endpoints = NULL;
    return LS_OK;
}
