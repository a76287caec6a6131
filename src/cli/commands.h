/* One file a command; each defines its entry here. A command's run() returns 0 or the exit code,
 * with the line in *error; main() prints it. */
#ifndef LOCKSTEP_CLI_COMMANDS_H
#define LOCKSTEP_CLI_COMMANDS_H

#include "base/option.h"

extern const command command_train;
extern const command command_pack;
extern const command command_evaluate;
extern const command command_report;
extern const command command_doctor;
extern const command command_forecast;
extern const command command_checkpoint;

#endif
