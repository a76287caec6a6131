/* lockstep checkpoint export and import: weights to and from what other programs read. */
#include "weights/checkpoint_weights.h"
#include "checkpoint/checkpoint.h"
#include "cli/checkpoint_verbs.h"
#include "input/samples.h"
#include "weights/export.h"
#include "weights/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TIMM_EPSILON = 1e-6;

/* Parameters, then buffers. */
static float *memory_of(const graph *graph) {
    return malloc((graph->parameter_count + graph->buffer_count + 1) * sizeof(float));
}

static int build(const weights_model *model, graph *out, ls_error *error) {
    LS_TRY(model_build(model->name, model->height, model->width, model->channels, model->classes,
                       out, error));
    return graph_set_layernorm_epsilon(out, model->epsilon, error);
}

/* Batches that the model has seen, as PyTorch's norms count them: micro-batches. A checkpoint that
 * import made has seen none. */
static int64_t batches_of(const checkpoint *from) {
    const record_value *options = record_find(&from->manifest.state, "options");
    const record_value *number = record_find(&from->manifest.state, "micro_batches");
    const char *found =
        options && options->kind == RECORD_TEXT ? strstr(options->of.text, "\naccumulate=") : NULL;
    int64_t parts = found ? strtoll(strchr(found, '=') + 1, NULL, 10) : 1, batches;
    if (number && number->kind == RECORD_INTEGERS && number->count == 1)
        parts = number->of.integers[0];
    return __builtin_mul_overflow(from->manifest.step, parts, &batches) ? 0 : batches;
}

/* A file for one whose name says so, else a folder. */
static int write_to(const weights_export *self, const char *format, const char *to,
                    ls_error *error) {
    if (!weights_is_file(to))
        return weights_export_folder(self, format, to, error);
    return weights_save(self->graph, NAMING_OWN, to, self->about, self->about_count, self->batches,
                        self->parameters, self->buffers, error);
}

/* timm's constructors have no argument in config.json for it. */
static void tell_epsilon(const weights_model *model, const char *format) {
    if (format && strcmp(format, "timm") == 0 && model->epsilon > 0 &&
        model->epsilon != TIMM_EPSILON)
        printf("layer norms' epsilon is %g: timm.create_model(..., "
               "norm_layer=functools.partial(torch.nn.LayerNorm, eps=%g))\n",
               model->epsilon, model->epsilon);
}

static int write_out(const checkpoint *from, const weights_model *model, const char *format,
                     const char *to, ls_error *error) {
    static graph graph;
    char step[32], epoch[32], epsilon[32];
    float *values = NULL;
    snprintf(step, sizeof step, "%lld", (long long)from->manifest.step);
    snprintf(epoch, sizeof epoch, "%lld", (long long)from->manifest.epoch);
    format_plain(epsilon, sizeof epsilon, "%.17g", model->epsilon);
    const safetensors_text about[] = {{"format", "pt"},
                                      {"lockstep", LOCKSTEP_VERSION},
                                      {WEIGHTS_MODEL, model->name},
                                      {"step", step},
                                      {"epoch", epoch},
                                      {WEIGHTS_EPSILON, epsilon}};
    weights_export out = {.graph = &graph,
                          .model = model,
                          .about = about,
                          .about_count = sizeof about / sizeof about[0] - (model->epsilon == 0),
                          .batches = batches_of(from)};
    int status = build(model, &graph, error);
    if (status == LS_OK)
        status = weights_check_checkpoint(&graph, from, error);
    if (status == LS_OK && !(values = memory_of(&graph)))
        status = ls_fail(error, LS_FAILED, "out of memory");
    float *buffers = values ? values + graph.parameter_count : NULL;
    out.parameters = values;
    out.buffers = buffers;
    if (status == LS_OK)
        status = weights_from_checkpoint(&graph, from, values, buffers, error);
    if (status == LS_OK)
        status = write_to(&out, format, to, error);
    if (status == LS_OK)
        printf("%s: %s of %s, %d tensors, %zu parameters\n", to, model->name, from->folder,
               graph.record_count, graph.parameter_count);
    if (status == LS_OK)
        tell_epsilon(model, format);
    free(values);
    graph_release(&graph);
    return status;
}

/* Which of a file and a folder the format is. */
static int check_name(const char *to, const char *format, ls_error *error) {
    if (weights_is_file(to) ? format && strcmp(format, "huggingface") == 0 : !format)
        return ls_fail(error, LS_BAD_INPUT,
                       format ? "checkpoint export --format %s: expected the name of a folder, "
                                "found '%s'"
                              : "checkpoint export%s: expected a name that ends in .safetensors "
                                "(or --format), found '%s'",
                       format ? format : "", to);
    return LS_OK;
}

int checkpoint_verb_export(char **operands, const checkpoint_settings *settings, ls_error *error) {
    char folder[4096];
    checkpoint from;
    weights_model model;
    LS_TRY(check_name(operands[1], settings->format, error));
    LS_TRY(checkpoint_resolve(operands[0], folder, sizeof folder, error));
    LS_TRY(checkpoint_open(&from, folder, error));
    int status = weights_model_get(&from, &model, error);
    if (status == LS_OK)
        status = write_out(&from, &model, settings->format, operands[1], error);
    checkpoint_close(&from);
    return status;
}

/* The images that the weights are for: those of a data set's folder. */
static int describe(const char *name, const char *data, weights_model *out, ls_error *error) {
    samples *test;
    sample_choices choices = {.augment = "none", .jpegs = JPEGS_DEFAULTS};
    LS_TRY(samples_open(data, "test", &choices, false, &test, error));
    *out = (weights_model){.height = test->facts.height,
                           .width = test->facts.width,
                           .channels = test->facts.channels,
                           .classes = test->facts.classes};
    snprintf(out->name, sizeof out->name, "%s", name);
    weights_model_plain_pixels(out);
    samples_close(test);
    return LS_OK;
}

static int read_source(const graph *graph, const weights_source *from, float *values,
                       ls_error *error) {
    text_buffer notes = {0};
    int status = weights_load(graph, from, (weights_rules){0}, values,
                              values + graph->parameter_count, &notes, error);
    if (status == LS_OK)
        printf("%s", notes.length ? notes.bytes : "");
    text_free(&notes);
    return status;
}

/* Into a checkpoint in `dir`. */
static int import(const weights_source *from, const weights_model *model, const char *dir,
                  ls_error *error) {
    static graph graph;
    char name[CHECKPOINT_FOLDER_BYTES];
    int status = build(model, &graph, error);
    float *values = status == LS_OK ? memory_of(&graph) : NULL;
    if (status == LS_OK && !values)
        status = ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK)
        status = read_source(&graph, from, values, error);
    if (status == LS_OK)
        status = weights_to_checkpoint(&graph, model, dir, values, values + graph.parameter_count,
                                       name, error);
    if (status == LS_OK)
        printf("%s/%s: %s, %d tensors, %zu parameters\n", dir, name, model->name,
               graph.record_count, graph.parameter_count);
    free(values);
    graph_release(&graph);
    return status;
}

int checkpoint_verb_import(char **operands, const checkpoint_settings *settings, ls_error *error) {
    (void)settings;
    weights_model model;
    weights_source from;
    LS_TRY(describe(operands[1], operands[2], &model, error));
    LS_TRY(weights_source_open(operands[0], &from, error));
    model.epsilon = from.epsilon;
    int status = import(&from, &model, operands[3], error);
    weights_source_close(&from);
    return status;
}
