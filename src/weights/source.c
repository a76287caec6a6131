#include "weights/source.h"
#include "base/text_buffer.h"
#include "weights/config.h"
#include "weights/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char config_name[] = "config.json";

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

bool weights_is_file(const char *path) {
    return ends_with(path, ".safetensors");
}

static bool is_pickle(const char *path) {
    return ends_with(path, ".bin") || ends_with(path, ".pth") || ends_with(path, ".pt");
}

static bool exists(const char *path, bool folder) {
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode) == folder;
}

/* In a folder that has nothing better: its pickle, or "". */
static void find_pickle(const char *folder, char out[4096]) {
    if (safetensors_set_is(folder) || !exists(folder, true) ||
        snprintf(out, 4096, "%s/pytorch_model.bin", folder) >= 4096 || !exists(out, false))
        out[0] = '\0';
}

bool weights_source_is(const char *path) {
    char pickle[4096];
    find_pickle(path, pickle);
    return safetensors_set_is(path) || is_pickle(path) || pickle[0];
}

/* Two statements that work whatever the file holds but tensors. */
static int refuse_pickle(const char *path, ls_error *error) {
    int stem = (int)(strrchr(path, '.') - path);
    return ls_fail(error, LS_BAD_INPUT,
                   "%.200s: a pickle of PyTorch's, which can run programs and is not read; in "
                   "Python: import torch, safetensors.torch as s; s.save_file({k: "
                   "v.contiguous().clone() for k, v in torch.load('%.200s', "
                   "weights_only=True).items()}, '%.*s.safetensors')",
                   path, path, stem < 200 ? stem : 200, path);
}

/* config.json in the folder that the path is, or is in; false: there is none. */
static bool find_config(const char *path, char out[4096]) {
    const char *name = strrchr(path, '/');
    int length = exists(path, true) ? (int)strlen(path) : name ? (int)(name - path) : 0;
    bool here = length == 0 && path[0] != '/'; /* a name alone */
    int whole = snprintf(out, 4096, "%.*s%s%s", length, path, here ? "" : "/", config_name);
    return whole < 4096 && exists(out, false);
}

/* What the program that saved it says in the file: this one. */
static int read_about(weights_source *self, ls_error *error) {
    const char *model = safetensors_set_about(self->tensors, WEIGHTS_MODEL);
    const char *epsilon = safetensors_set_about(self->tensors, WEIGHTS_EPSILON);
    snprintf(self->model, sizeof self->model, "%s", model ? model : "");
    if (!epsilon)
        return LS_OK;
    char *end;
    self->epsilon = parse_plain(epsilon, &end);
    if (*end == '\0' && self->epsilon >= 1e-30 && self->epsilon <= 1)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: " WEIGHTS_EPSILON ": expected a number up to 1",
                   self->path);
}

/* A name alone says that HuggingFace's layer norms are those of ViTConfig. */
static int describe(weights_source *self, ls_error *error) {
    char path[4096];
    weights_config config = {0};
    self->naming = weights_naming_of(self->tensors);
    LS_TRY(read_about(self, error));
    if (self->model[0])
        return LS_OK;
    if (find_config(self->path, path))
        LS_TRY(weights_config_read(path, &config, error));
    else if (self->naming != NAMING_OWN)
        config.epsilon = WEIGHTS_HUGGINGFACE_EPSILON;
    snprintf(self->model, sizeof self->model, "%s", config.model);
    self->epsilon = config.epsilon;
    return LS_OK;
}

int weights_source_open(const char *path, weights_source *out, ls_error *error) {
    char pickle[4096];
    *out = (weights_source){0};
    find_pickle(path, pickle);
    if (pickle[0] || is_pickle(path))
        return refuse_pickle(pickle[0] ? pickle : path, error);
    snprintf(out->path, sizeof out->path, "%s", path);
    LS_TRY(safetensors_set_open(path, &out->tensors, error));
    int status = describe(out, error);
    if (status != LS_OK)
        weights_source_close(out);
    return status;
}

void weights_source_close(weights_source *self) {
    safetensors_set_close(self->tensors);
    *self = (weights_source){0};
}
