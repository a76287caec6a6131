/* Vision transformers (Dosovitskiy et al., "An Image is Worth 16x16 Words", 2020) as timm has
 * them: its names of tensors, its beginnings, layer norms before each branch with an epsilon of
 * 1e-6, GELU in its erf form. With 1000 classes at 224 x 224: vit-ti16 has 5,717,416 parameters,
 * vit-s16 22,050,664, vit-b16 86,567,656, vit-l16 304,326,632.
 *
 * The last norm comes behind the pooling, which is the same: it goes token by token. */
#include "model/layer_name.h"
#include "model/models.h"

#include <stdio.h>
#include <string.h>

static const double EPSILON = 1e-6;

typedef struct vit {
    const char *name; /* and the side of its patches behind it: "vit-ti16" */
    int width, blocks, heads;
} vit;

static const vit sizes[] = {
    {"vit-ti", 192, 12, 3}, {"vit-s", 384, 12, 6}, {"vit-b", 768, 12, 12}, {"vit-l", 1024, 24, 16}};

static const int sides[] = {4, 8, 14, 16, 32};

enum { HIDDEN = 4 }; /* of an MLP, over the width */
enum { SIZES = sizeof sizes / sizeof *sizes, SIDES = sizeof sides / sizeof *sides };

/* The size that a name begins with, and the side of the patches that it ends with. */
static const vit *find(const char *name, int *side) {
    for (int size = 0; size < SIZES; size++)
        for (int i = 0; i < SIDES; i++) {
            char whole[32];
            snprintf(whole, sizeof whole, "%s%d", sizes[size].name, sides[i]);
            *side = sides[i];
            if (strcmp(whole, name) == 0)
                return &sizes[size];
        }
    return NULL;
}

int model_vit_patch(const char *name, int wanted, char out[MODEL_NAME_BYTES], ls_error *error) {
    int side;
    const vit *of = find(name, &side);
    if (!of)
        return ls_fail(error, LS_BAD_INPUT,
                       "--patch: expected a vision transformer (--model vit-ti16, ...), found "
                       "--model %s",
                       name);
    for (int i = 0; i < SIDES; i++)
        if (sides[i] == wanted) {
            snprintf(out, MODEL_NAME_BYTES, "%s%d", of->name, wanted);
            return LS_OK;
        }
    return ls_fail(error, LS_BAD_INPUT, "--patch: expected 4, 8, 14, 16 or 32, found %d", wanted);
}

bool model_vit_facts(const char *name, vit_facts *out) {
    const vit *of = find(name, &out->patch);
    if (!of)
        return false;
    out->width = of->width;
    out->blocks = of->blocks;
    out->heads = of->heads;
    out->hidden = HIDDEN * of->width;
    return true;
}

bool model_vit_named(const vit_facts *facts, char out[MODEL_NAME_BYTES]) {
    vit_facts found;
    for (int size = 0; size < SIZES; size++) {
        snprintf(out, MODEL_NAME_BYTES, "%s%d", sizes[size].name, facts->patch);
        if (model_vit_facts(out, &found) && memcmp(&found, facts, sizeof found) == 0)
            return true;
    }
    return false;
}

static int attention_branch(graph *g, const char *block, int x, const vit *of) {
    int y = graph_layernorm(g, name_of(block, "norm1").text, x, EPSILON);
    y = graph_linear(g, name_of(block, "attn.qkv").text, y, 3 * of->width, ACTIVATION_NONE);
    y = graph_attention(g, name_of(block, "attn").text, y, of->heads);
    y = graph_linear(g, name_of(block, "attn.proj").text, y, of->width, ACTIVATION_NONE);
    return graph_join(g, name_of(block, "join1").text, x, y, ACTIVATION_NONE);
}

static int mlp_branch(graph *g, const char *block, int x, const vit *of) {
    int y = graph_layernorm(g, name_of(block, "norm2").text, x, EPSILON);
    y = graph_linear(g, name_of(block, "mlp.fc1").text, y, HIDDEN * of->width, ACTIVATION_GELU);
    y = graph_linear(g, name_of(block, "mlp.fc2").text, y, of->width, ACTIVATION_NONE);
    return graph_join(g, name_of(block, "join2").text, x, y, ACTIVATION_NONE);
}

/* Linear layers begin normally distributed, their biases with 0. (timm's distribution ends at 2,
 * which is a hundred deviations.) The patches' convolution begins as PyTorch's do. */
static void begin_as_timm(graph *g) {
    for (int record = 0; record < g->record_count; record++) {
        graph_parameter *weight = &g->parameters[record];
        if (!weight->decays || weight->dim_count != 2)
            continue;
        weight->initialiser = (graph_initialiser){INITIALISE_NORMAL, 0.02f};
        weight[1].initialiser = (graph_initialiser){INITIALISE_CONSTANT, 0};
    }
}

static int build(graph *g, const vit *of, int patch, int height, int width, int channels,
                 int classes) {
    int x = graph_input(g, height, width, channels);
    x = graph_patches(g, "patch_embed", x, patch);
    x = graph_patch_linear(g, "patch_embed.proj", x, of->width, patch);
    x = graph_embedding(g, "embedding", x);
    for (int block = 0; block < of->blocks; block++) {
        char name[32];
        snprintf(name, sizeof name, "blocks.%d", block);
        graph_begin_block(g);
        x = attention_branch(g, name, x, of);
        x = mlp_branch(g, name, x, of);
        graph_end_block(g);
    }
    x = graph_tokenpool(g, "pool", x, false);
    x = graph_layernorm(g, "norm", x, EPSILON);
    x = graph_linear(g, "head", x, classes, ACTIVATION_NONE);
    begin_as_timm(g);
    return x;
}

bool model_vit(graph *g, const char *name, int height, int width, int channels, int classes,
               int *logits) {
    int side;
    const vit *of = find(name, &side);
    if (of)
        *logits = build(g, of, side, height, width, channels, classes);
    return of != NULL;
}
