/* lockstep train: options, launch, the run. */
#include "train/train.h"
#include "cli/commands.h"
#include "comm/tree.h"
#include "launch/launch.h"
#include "launch/lifeline.h"
#include "mode/mode.h"
#include "train/feed.h"
#include "train/optimizer.h"

#include <stddef.h>
#include <stdio.h>

#define AT(field) offsetof(train_settings, field)

static const option options[] = {
    {"data", OPTION_TEXT, AT(data), "DIR", NULL, NULL, 0, 0,
     "Folder of shards that `lockstep pack` wrote.", false},
    {"model", OPTION_CHOICE, AT(model), "NAME", "cnn", model_choices, 0, 0, "What to train.",
     false},
    {"mode", OPTION_CHOICE, AT(mode), "MODE", "single", mode_choices, 0, 0,
     "When the ranks communicate what.", false},
    {"device", OPTION_CHOICE, AT(device), "DEVICE", "auto", "auto|cuda|cpu|ref", 0, 0,
     "Where to compute; auto: the GPU where one was granted, else the cpu.", false},
    {"precision", OPTION_CHOICE, AT(precision), "TYPE", "fp32", PRECISION_CHOICES, 0, 0,
     "Of the computing: parameters and optimizer stay fp32; fp16 scales its loss.", false},
    {"batch-per-rank", OPTION_INTEGER, AT(batch_per_rank), "N", NULL, NULL, 1, 1 << 20,
     "Images a rank and step (64 when no batch is given).", false},
    {"global-batch", OPTION_INTEGER, AT(global_batch), "N", NULL, NULL, 1, 1 << 24,
     "Images a step, all ranks together.", false},
    {"epochs", OPTION_INTEGER, AT(epochs), "N", "10", NULL, 1, 100000,
     "Passes over the training images.", false},
    {"seed", OPTION_INTEGER, AT(seed), "N", "1", NULL, 0, 9007199254740992.0,
     "Of the initial parameters and the order of the images.", false},
    {"optimizer", OPTION_CHOICE, AT(optimizer), "NAME", "adam", optimizer_choices, 0, 0,
     "Rule of the update.", false},
    {"learning-rate", OPTION_REAL, AT(learning_rate), "X", "0.001", NULL, 1e-12, 1e6,
     "Step size of the optimizer.", false},
    {"momentum", OPTION_REAL, AT(momentum), "X", "0", NULL, 0, 0.999999, "Of --optimizer sgd.",
     false},
    {"weight-decay", OPTION_REAL, AT(weight_decay), "X", "0", NULL, 0, 1e6,
     "L2 penalty, added to the gradient.", false},
    {"bucket-mb", OPTION_REAL, AT(bucket_mb), "X|auto", "auto", "auto", 0.001, 65536,
     "Gradient MiB that ddp reduces at once; auto: by the network, measured at start.", false},
    {"grad-comm", OPTION_CHOICE, AT(grad_comm), "TYPE", "fp32", GRADIENT_TYPES, 0, 0,
     "Type of the gradients that ddp sends and sums; bf16: half the bytes, rounded.", false},
    {"factor-comm", OPTION_CHOICE, AT(factor_comm), "CHOICE", "auto", FACTOR_CHOICES, 0, 0,
     "ddp sends linear layers' inputs and deltas, not gradients; auto: where that is faster.",
     false},
    {"strict", OPTION_FLAG, AT(strict), NULL, NULL, NULL, 0, 0,
     "Parameters that have the same bits on any number of ranks and threads (costs time).", false},
    {"lanes", OPTION_INTEGER, AT(lanes), "N", NULL, NULL, 1, TREE_MOST_LEAVES,
     "Of --strict: parts of a batch, a power of two, at least the ranks (4 when none is given).",
     false},
    {"comm", OPTION_CHOICE, AT(comm), "NAME", "auto", COMM_CHOICES, 0, 0,
     "Collectives between the ranks' devices; auto: nccl where each has a GPU of its own.", false},
    {"comm-timeout", OPTION_REAL, AT(comm_timeout), "SECONDS", "300", NULL, 0, 1e6,
     "A collective of a step that takes longer ends the job; 0: never.", false},
    {"augment", OPTION_CHOICE, AT(augment), "NAME", "none", "none|crop-flip", 0, 0,
     "Of training images: a random crop (4 pixels of padding) and mirroring.", false},
    {"data-place", OPTION_CHOICE, AT(data_place), "WHERE", "auto", FEED_PLACES, 0, 0,
     "Where the images lie; auto: on the GPU where they fit.", false},
    {"no-graph", OPTION_FLAG, AT(no_graph), NULL, NULL, NULL, 0, 0,
     "Launch each kernel of a step by itself, not the step as one CUDA graph.", false},
    {"share-gpu", OPTION_FLAG, AT(share_gpu), NULL, NULL, NULL, 0, 0,
     "Allow more ranks on a node than it has GPUs.", false},
    {"plan-cache", OPTION_TEXT, AT(plan_cache), "FILE", NULL, NULL, 0, 0,
     "Measured choices of algorithms, kept between runs; off: none.", true},
    {"threads", OPTION_INTEGER, AT(threads), "N", "0", NULL, 0, 1024,
     "Compute threads a rank; 0: one for each of its cores, within a container's CPU quota.", true},
    {"oversubscribe", OPTION_FLAG, AT(oversubscribe), NULL, NULL, NULL, 0, 0,
     "Allow two ranks on one core (marked in the summary).", false},
    {"step-log", OPTION_FLAG, AT(step_log), NULL, NULL, NULL, 0, 0,
     "Write steps.csv, the loss of every step (costs time).", false},
    {"tensorboard", OPTION_CHOICE, AT(tensorboard), "CHOICE", "on", "on|off", 0, 0,
     "Write an event file for TensorBoard into --results, after each epoch.", false},
    {"certificate", OPTION_CHOICE, AT(certificate), "CHOICE", "on", "on|off", 0, 0,
     "Write certificate.csv: hashes of each step's samples and of the parameters.", false},
    {"certificate-every", OPTION_INTEGER, AT(certificate_every), "N", "64", NULL, 0, 1 << 30,
     "Steps between hashes of the parameters; 0: at the epochs' ends only.", false},
    {"profile", OPTION_INTEGER, AT(profile), "N", NULL, NULL, 1, 100000,
     "Record N steps in the middle of epoch 1: trace.json, layers.csv and a table.", false},
    {"ablate", OPTION_CHOICE, AT(ablate), "WHAT", "none", ABLATE_CHOICES, 0, 0,
     "Leave out the collectives, or the loader, to measure what they cost: no training.", false},
    {"verbose", OPTION_FLAG, AT(verbose), NULL, NULL, NULL, 0, 0,
     "Print the implementation that runs each layer.", true},
    {"results", OPTION_TEXT, AT(results), "DIR", NULL, NULL, 0, 0,
     "Folder of this run, made by it: summary.csv, epochs.csv, log.txt.", false},
    {0}};

static int check(const train_settings *settings, ls_error *error) {
    if (!settings->data)
        return ls_fail(error, LS_BAD_INPUT,
                       "--data: expected a folder of shards, found nothing (lockstep pack makes "
                       "one)");
    if (!settings->results)
        return ls_fail(error, LS_BAD_INPUT,
                       "--results: expected a folder for this run, found nothing");
    return LS_OK;
}

static void join(int argc, char **argv, char *out, size_t capacity) {
    size_t used = (size_t)snprintf(out, capacity, "lockstep");
    for (int index = 0; index < argc && used < capacity; index++)
        used += (size_t)snprintf(out + used, capacity - used, " %s", argv[index]);
}

static int run(const command *self, int argc, char **argv, ls_error *error) {
    static char options_text[8192], command_line[1024];
    train_settings settings = {0};
    launch me;
    operands rest;
    join(argc, argv, command_line, sizeof command_line); /* parsing reorders argv */
    LS_TRY(lifeline_install_signals(error));
    LS_TRY(launch_start(&me, error));
    LS_TRY(option_parse(self, argc, argv, &settings, &rest, error));
    LS_TRY(train_agree_on_help(&me, rest.help, error));
    if (rest.help) {
        if (me.rank == 0)
            option_print_help(self, stdout);
        return launch_finish(&me, error);
    }
    LS_TRY(check(&settings, error));
    option_describe(self, &settings, options_text, sizeof options_text);
    LS_TRY(train_run(&me, &settings, options_text, command_line, error));
    return launch_finish(&me, error);
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
    .options = options,
    .operands_minimum = 0,
    .operands_maximum = 0,
    .run = run,
};
