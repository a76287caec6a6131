#include "weights/config.h"
#include "model/graph.h"
#include "safetensors/json_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* By erf, as without a word of it, or the approximation by tanh, which has two names. */
static int read_activation(const json_file *file, const char *path, bool *tanh, ls_error *error) {
    const char *activation = "gelu";
    if (json_file_has(file, "hidden_act"))
        LS_TRY(json_file_text(file, "hidden_act", &activation, error));
    *tanh = strcmp(activation, "gelu_new") == 0 || strcmp(activation, "gelu_pytorch_tanh") == 0;
    if (*tanh || strcmp(activation, "gelu") == 0)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: expected \"hidden_act\": \"gelu\" or \"gelu_pytorch_tanh\", found '%.40s'",
                   path, activation);
}

static int read_huggingface(const json_file *file, const char *path, weights_config *out,
                            ls_error *error) {
    static const struct {
        const char *name;
        int64_t otherwise;
    } numbers[] = {{"hidden_size", 768},
                   {"num_hidden_layers", 12},
                   {"num_attention_heads", 12},
                   {"intermediate_size", 3072},
                   {"patch_size", 16}};
    enum { COUNT = sizeof numbers / sizeof *numbers };
    int64_t found[COUNT];
    for (int index = 0; index < COUNT; index++) {
        found[index] = numbers[index].otherwise;
        if (json_file_has(file, numbers[index].name))
            LS_TRY(json_file_integer(file, numbers[index].name, 1, 1 << 20, &found[index], error));
    }
    out->epsilon = WEIGHTS_HUGGINGFACE_EPSILON;
    if (json_file_has(file, "layer_norm_eps"))
        LS_TRY(json_file_real(file, "layer_norm_eps", 1e-30, 1, &out->epsilon, error));
    vit_facts facts = {.width = (int)found[0],
                       .blocks = (int)found[1],
                       .heads = (int)found[2],
                       .hidden = (int)found[3],
                       .patch = (int)found[4]};
    LS_TRY(read_activation(file, path, &facts.tanh, error));
    if (model_vit_named(&facts, out->model))
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: expected a model as %s, found one of width %d, %d blocks, %d heads, %d in "
                   "the MLP, patches of %d",
                   path, "vit-ti16, vit-s14, vit-b16, vit-l32", facts.width, facts.blocks,
                   facts.heads, facts.hidden, facts.patch);
}

/* "vit_small_patch16_224.augreg_in21k" -> "vit-s16"; what is no such name says nothing. */
static void read_timm(const char *architecture, bool mean, weights_config *out) {
    static const struct {
        const char *theirs, *own;
    } sizes[] = {{"vit_tiny_patch", "vit-ti"},
                 {"vit_small_patch", "vit-s"},
                 {"vit_base_patch", "vit-b"},
                 {"vit_large_patch", "vit-l"}};
    for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++) {
        size_t length = strlen(sizes[size].theirs);
        long patch = strncmp(architecture, sizes[size].theirs, length) == 0
                         ? strtol(architecture + length, NULL, 10)
                         : 0;
        if (patch > 0 && patch < 1000)
            snprintf(out->model, sizeof out->model, "%s%ld%s", sizes[size].own, patch,
                     mean ? "-mean" : "");
    }
}

static int read_object(const json_file *file, const char *path, weights_config *out,
                       ls_error *error) {
    const char *text;
    if (json_file_has(file, "model_type")) {
        LS_TRY(json_file_text(file, "model_type", &text, error));
        if (strcmp(text, "vit") == 0)
            return read_huggingface(file, path, out, error);
        return ls_fail(error, LS_BAD_INPUT, "%s: expected \"model_type\": \"vit\", found '%.40s'",
                       path, text);
    }
    if (!json_file_has(file, "architecture"))
        return LS_OK;
    LS_TRY(json_file_text(file, "architecture", &text, error));
    const char *pool = "token";
    if (json_file_has(file, "global_pool"))
        LS_TRY(json_file_text(file, "global_pool", &pool, error));
    if (!json_file_has(file, "model_args")) /* they may change what the name says */
        read_timm(text, strcmp(pool, "avg") == 0, out);
    return LS_OK;
}

int weights_config_read(const char *path, weights_config *out, ls_error *error) {
    json_file *file = NULL;
    *out = (weights_config){0};
    LS_TRY(json_file_open(path, &file, error));
    int status = read_object(file, path, out, error);
    json_file_close(file);
    return status;
}
