/* lockstep train: options, launch, the run. */
#include "train/train.h"
#include "base/text_buffer.h"
#include "cli/commands.h"
#include "cli/ranks.h"
#include "launch/launch.h"

static option_group groups[TRAIN_MOST_GROUPS];

static int join(int argc, char **argv, text_buffer *out, ls_error *error) {
    text_add(out, "lockstep");
    for (int index = 0; index < argc; index++)
        text_add(out, " %s", argv[index]);
    return text_buffer_check(out, error);
}

static int run(const command *self, int argc, char **argv, ls_error *error) {
    static text_buffer options_text, command_line;
    train_settings settings = {0};
    launch me;
    operands rest;
    bool stopped, over;
    LS_TRY(join(argc, argv, &command_line, error)); /* parsing reorders argv */
    LS_TRY(ranks_start(&me, error));
    LS_TRY(train_add_options(&(option_groups){groups, TRAIN_MOST_GROUPS}, error));
    LS_TRY(ranks_parse(self, &me, argc, argv, &settings, &rest, &over, error));
    if (over)
        return LS_OK;
    LS_TRY(train_check_options(&settings, error));
    option_describe(self, &settings, &options_text);
    LS_TRY(text_buffer_check(&options_text, error));
    LS_TRY(train_run(&me, &settings, options_text.bytes, command_line.bytes, &stopped, error));
    LS_TRY(launch_finish(&me, error));
    return stopped ? (error->code = LS_STOPPED) : LS_OK; /* the line stands in the log */
}

const command command_train = {
    .name = "train",
    .usage = "",
    .summary = "Train a model and measure it.",
    .details =
        "Started by srun or mpirun, one process a rank; alone without either. The global batch is\n"
        "the batch per rank times the ranks; rank r of R takes positions [rB/R, (r+1)B/R) of each\n"
        "global batch B. Training time runs from the first real step to the last, loader "
        "included;\n"
        "warm-up, evaluation and set-up have times of their own.",
    .groups = groups,
    .operands_minimum = 0,
    .operands_maximum = 0,
    .run = run,
};
