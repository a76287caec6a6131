#include "cli/ranks.h"
#include "comm/comm.h"
#include "launch/lifeline.h"

int ranks_start(launch *me, ls_error *error) {
    LS_TRY(lifeline_install_signals(error));
    return launch_start(me, error);
}

static int agree_on_help(const launch *me, bool help, ls_error *error) {
    comm *control = NULL;
    int theirs = help;
    comm_settings settings = {.rank = me->rank, .size = me->size, .host = me->host};
    LS_TRY(comm_open("auto", &settings, &control, error));
    LS_TRY(comm_broadcast_bytes(control, &theirs, sizeof theirs, 0, error));
    if (theirs != (int)help)
        return ls_fail(
            error, LS_BAD_INPUT, "the ranks differ: --help was %s rank %d (host %s) and %s rank 0",
            help ? "given to" : "not given to", me->rank, me->host, help ? "not to" : "to");
    LS_TRY(control->is->barrier(control, error));
    comm_close(control);
    return LS_OK;
}

int ranks_parse(const command *self, launch *me, int argc, char **argv, void *settings,
                operands *rest, bool *over, ls_error *error) {
    LS_TRY(option_parse(self, argc, argv, settings, rest, error));
    LS_TRY(agree_on_help(me, rest->help, error));
    *over = rest->help;
    if (!rest->help)
        return LS_OK;
    if (me->rank == 0)
        option_print_help(self, stdout);
    return launch_finish(me, error);
}
