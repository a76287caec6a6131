/* Picks the command. The only place that ends the process with an exit code of its own accord
 * (the lifeline does for a peer that died or failed). */
#include "base/atomic_file.h"
#include "base/claim.h"
#include "base/error.h"
#include "base/local_limits.h"
#include "base/option.h"
#include "cli/commands.h"
#include "launch/lifeline.h"
#include "report/run/attempts.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const command *const commands[] = {&command_train,     &command_evaluate, &command_pack,
                                          &command_report,    &command_doctor,   &command_forecast,
                                          &command_checkpoint};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_usage(FILE *out) {
    fprintf(out, "usage: lockstep COMMAND [OPTION...]\n\nTrains image classifiers with data "
                 "parallelism and measures what the parallelism bought.\n\nCommands:\n");
    for (int index = 0; index < COMMANDS; index++)
        fprintf(out, "  %-12s%s\n", commands[index]->name, commands[index]->summary);
    fprintf(out,
            "  %-12sShow this text and leave.\n  %-12sShow the version and leave.\n\n"
            "`lockstep COMMAND --help` lists a command's options.\n",
            "--help", "--version");
}

/* oneDNN takes the copies of a product's operands for each call and gives them back. glibc raises
 * its threshold for mappings by what is given back, so that they come to lie in the heap, between
 * small pieces that stay, and it grows by one after the other. */
static void map_large_blocks(void) {
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}

/* A process that is stopped and continued gets SIGCONT; blocked, it is kept for the thread that
 * asks for it (monitor/pulse.h). Every thread has this mask from here. */
static void keep_continuations(void) {
    sigset_t continued;
    sigemptyset(&continued);
    sigaddset(&continued, SIGCONT);
    sigprocmask(SIG_BLOCK, &continued, NULL);
}

static const command *find(const char *name) {
    for (int index = 0; index < COMMANDS; index++)
        if (strcmp(commands[index]->name, name) == 0)
            return commands[index];
    return NULL;
}

/* The lifeline's thread calls this when a peer's end must end this process too. Nothing here may
 * wait for the main thread: no flush, whose lock it may hold (the log is flushed line by line). */
static void leave(int code) {
    attempts_leave(code);
    atomic_file_discard_all();
    claim_release_all();
}

static void run(int argc, char **argv, ls_error *error) {
    if (strcmp(argv[1], "--help") == 0) {
        print_usage(stdout);
        return;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("lockstep %s\n", LOCKSTEP_VERSION);
        return;
    }
    const command *chosen = find(argv[1]);
    if (!chosen)
        ls_fail(error, LS_BAD_INPUT, "unknown command '%s' (lockstep --help lists them)", argv[1]);
    else
        chosen->run(chosen, argc - 1, argv + 1, error);
}

int main(int argc, char **argv) {
    ls_error error = {0};
    map_large_blocks();
    limits_prepare();
    lifeline_on_leave(leave);
    keep_continuations();
    signal(SIGXFSZ, SIG_IGN); /* a limit on files' sizes is an error with a line, as a full disk */
    if (argc < 2) {
        print_usage(stderr);
        return LS_BAD_INPUT;
    }
    run(argc, argv, &error);
    errno = 0; /* of an earlier write that failed the reason is not known any more */
    if (error.code == LS_OK && (fflush(stdout) != 0 || ferror(stdout)))
        ls_fail_errno(&error, LS_FAILED, "standard output: cannot write");
    if (error.code != LS_OK)
        lifeline_fail(&error, error.code != LS_FAILED);
    return LS_OK;
}
