/* The options of a run: the room's own, and the order in which those of all rooms are shown. */
#include "report/tensorboard/events_file.h"
#include "train/train.h"

#include <stddef.h>

#define AT(field) offsetof(train_settings, field)

static const option training[] = {
    {"epochs", OPTION_INTEGER, AT(epochs), "N", "10", NULL, 1, 100000,
     "Pass N times over the training images.", false},
    {"validate-every", OPTION_INTEGER, AT(validate_every), "N", "1", NULL, 1, 100000,
     "Evaluate on the test images after each Nth epoch, and after the last.", false},
    {"batch-per-rank", OPTION_INTEGER, AT(batch_per_rank), "N|auto|auto:throughput", NULL,
     "auto|auto:throughput", 1, 1 << 20,
     "Take N images a rank and step (64 when no batch is given); auto: the most that fit into "
     "memory; auto:throughput: of those that fit, the fastest.",
     false},
    {"global-batch", OPTION_INTEGER, AT(global_batch), "N", NULL, NULL, 1, 1 << 24,
     "Take N images a step, all ranks together.", false},
    {"label-smoothing", OPTION_REAL, AT(label_smoothing), "X", "0", NULL, 0, 1,
     "Train on labels of which the share X is spread evenly over all classes.", false},
    {"seed", OPTION_INTEGER, AT(seed), "N", "1", NULL, 0, 9007199254740992.0,
     "Draw the initial parameters and the order of the images from N.", false},
    {0}};

/* Choosing algorithms (plan_choices.c). */
static const option choosing[] = {
    {"plan-cache", OPTION_TEXT, AT(plan_cache), "FILE", NULL, NULL, 0, 0,
     "Keep measured choices of algorithms in FILE between runs; off: nowhere.", true},
    {"plan-seconds", OPTION_REAL, AT(plan_seconds), "SECONDS", "10", NULL, 0.001, 86400,
     "Time algorithms for at most so long, all layers together; then take the first offers.", true},
    {0}};

static const option output[] = {
    {"results", OPTION_TEXT, AT(results), "DIR", NULL, NULL, 0, 0,
     "Make DIR for this run: summary.csv, epochs.csv, log.txt.", false},
    {"step-log", OPTION_FLAG, AT(step_log), NULL, NULL, NULL, 0, 0,
     "Write steps.csv, the loss of every step (costs time).", false},
    {"sample-cores", OPTION_FLAG, AT(sample_cores), NULL, NULL, NULL, 0, 0,
     "Write cpu.csv, as gpu.csv is on GPUs: each second, how busy a rank's cores are and what "
     "memory "
     "it holds.",
     false},
    {"tensorboard", OPTION_CHOICE, AT(tensorboard), "CHOICE", event_files_default, "on|off", 0, 0,
     "Write an event file for TensorBoard into --results, after each epoch.", false},
    {"certificate", OPTION_CHOICE, AT(certificate), "CHOICE", "on", "on|off", 0, 0,
     "Write certificate.csv: hashes of each step's samples and of the parameters.", false},
    {"certificate-every", OPTION_INTEGER, AT(certificate_every), "N", "64", NULL, 0, 1 << 30,
     "Hash the parameters each N steps; 0: at the epochs' ends only.", false},
    {0}};

static const option diagnosis[] = {
    {"profile", OPTION_INTEGER, AT(profile), "N", NULL, NULL, 1, 100000,
     "Record N steps in the middle of epoch 1: trace.json, layers.csv and a table.", false},
    {"ablate", OPTION_CHOICE, AT(ablate), "WHAT", "none", ABLATE_CHOICES, 0, 0,
     "Leave out the collectives, the loader, or all but the loader, to measure them: no training.",
     false},
    {"no-graph", OPTION_FLAG, AT(no_graph), NULL, NULL, NULL, 0, 0,
     "Launch each kernel of a step by itself, not the step as one CUDA graph.", false},
    {"graph-steps", OPTION_INTEGER, AT(graph_steps), "N", "8", NULL, 1, 64,
     "Launch N steps as one CUDA graph where the images are on the GPU.", false},
    {"verbose", OPTION_FLAG, AT(verbose), NULL, NULL, NULL, 0, 0,
     "Print the implementation that runs each layer.", true},
    {0}};

static int add(option_groups *list, const char *heading, const option *options, ls_error *error) {
    return option_add_group(list, (option_group){heading, options, 0}, error);
}

int train_add_rank_options(option_groups *list, ls_error *error) {
    LS_TRY(device_add_options(list, AT(device), error));
    LS_TRY(comm_add_options(list, AT(comm), error));
    return add(list, "Ranks and devices", choosing, error);
}

int train_add_options(option_groups *list, ls_error *error) {
    LS_TRY(input_add_options(list, AT(input), error));
    LS_TRY(model_add_options(list, AT(model), error));
    LS_TRY(weights_add_options(list, AT(weights), error));
    LS_TRY(add(list, "Training", training, error));
    LS_TRY(optimizer_add_options(list, AT(optimizer), error));
    LS_TRY(schedule_add_options(list, AT(schedule), error));
    LS_TRY(mode_add_options(list, AT(mode), error));
    LS_TRY(checkpoint_add_options(list, AT(checkpoints), error));
    LS_TRY(upload_add_options(list, AT(upload), error));
    LS_TRY(train_add_rank_options(list, error));
    LS_TRY(add(list, "Output", output, error));
    return add(list, "Diagnosis", diagnosis, error);
}

int train_check_options(train_settings *settings, ls_error *error) {
    LS_TRY(model_check_options(&settings->model, error));
    LS_TRY(weights_check_options(&settings->weights, error));
    LS_TRY(input_check_options(&settings->input, error));
    if (!settings->results)
        return ls_fail(error, LS_BAD_INPUT,
                       "--results: expected a folder for this run, found nothing");
    return LS_OK;
}

int train_default_settings(train_settings *out, ls_error *error) {
    option_group groups[TRAIN_MOST_GROUPS] = {{0}};
    option_groups list = {groups, TRAIN_MOST_GROUPS};
    const command train = {.name = "train", .groups = groups};
    char *argv[] = {(char *)train.name, NULL};
    operands rest;
    *out = (train_settings){0};
    LS_TRY(train_add_options(&list, error));
    return option_parse(&train, 1, argv, out, &rest, error);
}
