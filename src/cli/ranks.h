/* How a command begins that every rank runs: train, evaluate, doctor, forecast --measure-network.
 */
#ifndef LOCKSTEP_CLI_RANKS_H
#define LOCKSTEP_CLI_RANKS_H

#include "base/option.h"
#include "launch/launch.h"

/* Signals, then launch_start. */
int ranks_start(launch *me, ls_error *error);

/* After launch_start: option_parse. Where --help was asked for, rank 0 prints it, the launch is
 * finished, and *over: the command is. LS_BAD_INPUT where only some ranks were asked for help: the
 * others would wait for them. Collective. */
int ranks_parse(const command *self, launch *me, int argc, char **argv, void *settings,
                operands *rest, bool *over, ls_error *error);

#endif
