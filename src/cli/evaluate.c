/* lockstep evaluate: what weights are worth on the test images. */
#include "train/evaluate.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/ranks.h"
#include "launch/launch.h"
#include "model/graph.h"

#include <stddef.h>

#define AT(field) offsetof(evaluate_settings, field)

_Static_assert(AT(run) == 0, "options of train are at the places that its own table says");

static const option options[] = {
    {"data", OPTION_TEXT, AT(run.input.folder), "DIR", NULL, NULL, 0, 0,
     "Read the test images in DIR, which `lockstep pack` wrote.", false},
    {"from", OPTION_TEXT, AT(from), "WEIGHTS", NULL, NULL, 0, 0,
     "Take the weights of this checkpoint, or FILE.safetensors (names as PyTorch's).", false},
    {"model", OPTION_CHOICE, AT(run.model.model), "NAME", NULL, model_choices, 0, 0,
     "They are this model's; without it: what they say of themselves, or cnn.", false},
    {"patch", OPTION_CHOICE, AT(run.model.patch), "N", NULL, MODEL_PATCH_CHOICES, 0, 0,
     "The model, a vision transformer, cuts images into patches of N x N pixels.", false},
    {"pool", OPTION_CHOICE, AT(run.model.pool), "WHAT", NULL, MODEL_POOL_CHOICES, 0, 0,
     "The model, a vision transformer, pools its class token, or the mean of all others.", false},
    {"gelu", OPTION_CHOICE, AT(run.model.gelu), "FORM", NULL, MODEL_GELU_CHOICES, 0, 0,
     "The model, a vision transformer, has a GELU by erf, or its approximation.", false},
    {"precision", OPTION_CHOICE, AT(run.model.precision), "TYPE", "fp32", PRECISION_CHOICES, 0, 0,
     "Compute in this type.", false},
    {"batch-per-rank", OPTION_INTEGER, AT(run.batch_per_rank), "N", "64", NULL, 1, 1 << 20,
     "Take N images a rank at once.", false},
    {"predictions", OPTION_TEXT, AT(predictions), "FILE", NULL, NULL, 0, 0,
     "Write a row an image: index, class, predicted class, its probability.", false},
    {"logits", OPTION_TEXT, AT(logits), "FILE", NULL, NULL, 0, 0,
     "Write the logits of all images as HDF5: /logits [images, classes], /labels.", false},
    {0}};

/* Those, train's of where it runs, and input's of how encoded images are read. */
static option_group groups[8] = {{NULL, options, 0}, {0}};

static int check(const evaluate_settings *settings, ls_error *error) {
    LS_TRY(input_check_options(&settings->run.input, error));
    if (!settings->from)
        return ls_fail(error, LS_BAD_INPUT,
                       "--from: expected a checkpoint or a file of weights, found nothing");
    LS_TRY(output_check("--predictions", settings->predictions, error));
    return output_check("--logits", settings->logits, error);
}

/* --model, or what the weights say; with --patch, its like. */
static int choose_model(evaluate_settings *settings, ls_error *error) {
    static char said[64];
    if (settings->run.model.model)
        return model_check_options(&settings->run.model, error);
    LS_TRY(evaluate_model_of(settings->from, said, sizeof said, error));
    settings->run.model.model = said[0] ? said : "cnn";
    return model_check_options(&settings->run.model, error);
}

static int run(const command *self, int argc, char **argv, ls_error *error) {
    static text_buffer options_text;
    evaluate_settings settings = {0};
    launch me;
    operands rest;
    bool over;
    LS_TRY(ranks_start(&me, error));
    option_groups list = {groups, sizeof groups / sizeof groups[0]};
    LS_TRY(input_add_reading_options(&list, AT(run.input), error));
    LS_TRY(train_add_rank_options(&list, error));
    LS_TRY(train_default_settings(&settings.run, error));
    settings.run.model.model = NULL;
    LS_TRY(ranks_parse(self, &me, argc, argv, &settings, &rest, &over, error));
    if (over)
        return LS_OK;
    LS_TRY(check(&settings, error));
    LS_TRY(choose_model(&settings, error));
    option_describe(self, &settings, &options_text);
    LS_TRY(text_buffer_check(&options_text, error));
    LS_TRY(evaluate_run(&me, &settings, options_text.bytes, error));
    return launch_finish(&me, error);
}

const command command_evaluate = {
    .name = "evaluate",
    .usage = "",
    .summary = "Test a trained model.",
    .details = "Test loss, top-1 and top-5 accuracy of weights. Started as train is: alone, or by\n"
               "srun or mpirun, a process a rank. Each test image is computed once, whatever the\n"
               "number of ranks, and the result says so or fails.",
    .groups = groups,
    .operands_minimum = 0,
    .operands_maximum = 0,
    .run = run,
};
