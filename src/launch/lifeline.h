/* The lifeline: a TCP connection from every rank to rank 0, served by a thread of its own, by
 * which no rank ever waits for a dead one. The kernel closes a dead process's socket, so a rank
 * that is killed is seen within milliseconds, with any launcher; a rank that stops answering
 * (stopped, swapped out, host gone) is seen when its heartbeats stay away; a rank that fails or is
 * interrupted says so through it, so that one line stands once and all ranks leave with one exit
 * code. The address travels by MPI, with a secret that a connection must present first. */
#ifndef LOCKSTEP_LAUNCH_LIFELINE_H
#define LOCKSTEP_LAUNCH_LIFELINE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* What this rank is doing, for the text about it when it dies: "set-up", "warm-up", "training",
 * "evaluation". Two relaxed stores: meant for the hot loop. `phase` must be a string literal.
 * A rank that stays at one place for LOCKSTEP_STALL_SECONDS (default 600) ends the job, whatever
 * the phase, and the rank that is furthest behind is named. */
void lifeline_at(const char *phase, int epoch, long step);

/* The same as a text: " in training, epoch 1, step 37", " in set-up", "" before any phase. Safe
 * from any thread. */
void lifeline_where(char *out, size_t capacity);

/* Called on any rank by its own thread when the job must end because of a peer (or a signal, or
 * this rank's own lifeline_fail): removes temporary files, before the process leaves with `code`.
 * It may be called twice. */
typedef void (*lifeline_leave)(int code);

/* Collective, after MPI is up. A heartbeat every second; silence for LOCKSTEP_SILENCE_SECONDS
 * (default 20) is death. When it fails on some ranks it fails on all, and only the lowest of those
 * has a text. */
int lifeline_start(int rank, int size, const char *host, ls_error *error);

/* LS_BAD_INPUT names a variable LOCKSTEP_..._SECONDS that is no time, and what it is. For ranks
 * that are joined: the line then stands once. */
int lifeline_check_seconds(ls_error *error);

/* How to have the launcher end what no rank can: a peer that is stopped, or whose host does not
 * answer, reads no message. Called at most once, when such a peer has ended the job, and given a
 * second or two before this process leaves anyway. launch_start sets it to PMIx_Abort. */
void lifeline_on_silence(void (*abort_job)(int code));

/* Set before launch_start. The lifeline then ends the process by _exit. */
void lifeline_on_leave(lifeline_leave leave);

/* This rank failed: rank 0 prints the line of the lowest rank that failed within a short window
 * ("lockstep: rank 3 (host n2): TEXT"; without rank and host where `everyone` is true: a
 * problem of the command line or the input that is no one rank's) and every rank leaves with the
 * code. Does not return. Alone (or before lifeline_start): prints the line on stderr and leaves.
 * An empty text prints nothing: another rank says it. */
_Noreturn void lifeline_fail(const ls_error *error, int everyone);

/* True from lifeline_start, with more than one rank, to lifeline_stop: lifeline_fail then speaks
 * for all ranks. Any thread that was started, or calls a library, in that time. */
bool lifeline_joins_ranks(void);

/* Catches the signals of base/signals.h and ignores SIGPIPE: from now on one of them makes the
 * lifeline's thread, which this starts, end the whole job (or, alone, this process) with one line
 * ("interrupted by SIGTERM in training, epoch 2, step 37"), no temporary files left, and code 128
 * + its number, also where launch_start is never called (report) or has not come far. launch_start
 * calls it, and again after MPI's start. The lifeline's thread takes these signals: the caller, and
 * every thread that it starts, blocks them. */
int lifeline_install_signals(ls_error *error);

/* From now on the first SIGTERM, SIGINT or SIGUSR1 that reaches this rank does not end it:
 * lifeline_asked is its number from then on, and the run may end in its own time. One that comes
 * within a second of it is the same request; a later one ends the job as ever. */
void lifeline_ask_first(void);
int lifeline_asked(void); /* 0: nobody has */

/* Collective: an orderly end, after which a closed connection means nothing. It needs no MPI (so
 * it stands after MPI_Finalize, and a rank that dies in there is still missed) and is a barrier. */
int lifeline_stop(ls_error *error);

#endif
