#include "model/models.h"

#include <string.h>

static const struct {
    const char *name;
    int (*build)(graph *g, int height, int width, int channels, int classes);
} models[] = {{"cnn", model_cnn},
              {"resnet18", model_resnet18},
              {"resnet34", model_resnet34},
              {"resnet50", model_resnet50},
              {"resnet18-small", model_resnet18_small}};

const char model_choices[] =
    "cnn|resnet18|resnet34|resnet50|resnet18-small|vit-ti16|vit-s16|vit-b16|vit-l16";

int model_build(const char *name, int height, int width, int channels, int classes, graph *out,
                ls_error *error) {
    return model_build_dropping(name, &(model_drops){0}, height, width, channels, classes, out,
                                error);
}

int model_build_dropping(const char *name, const model_drops *drops, int height, int width,
                         int channels, int classes, graph *out, ls_error *error) {
    int logits;
    *out = (graph){0};
    if (model_vit(out, name, drops, height, width, channels, classes, &logits))
        return graph_finish(out, logits, error);
    if (drops->dropout > 0 || drops->path > 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--%s: expected a vision transformer (--model vit-ti16, ...), found --model "
                       "%s",
                       drops->dropout > 0 ? "dropout" : "drop-path", name);
    for (size_t index = 0; index < sizeof models / sizeof models[0]; index++)
        if (strcmp(models[index].name, name) == 0)
            return graph_finish(out, models[index].build(out, height, width, channels, classes),
                                error);
    return ls_fail(error, LS_BAD_INPUT, "--model: expected one of %s, found '%s'", model_choices,
                   name);
}
