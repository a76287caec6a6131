/* Vision transformers (Dosovitskiy et al., "An Image is Worth 16x16 Words", 2020) as timm has
 * them: its names of tensors, its beginnings, layer norms before each branch with an epsilon of
 * 1e-6, GELU in its erf form, the class token pooled. With 1000 classes at 224 x 224: vit-ti16 has
 * 5,717,416 parameters, vit-s16 22,050,664, vit-b16 86,567,656, vit-l16 304,326,632.
 *
 * The last norm comes behind the pooling, which is the same where that takes the class token: it
 * goes token by token. Behind a mean it is another model, and another name: "fc_norm", as timm has
 * it with global_pool='avg'. */
#include "model/layer_name.h"
#include "model/models.h"

#include <stdio.h>
#include <string.h>

static const double EPSILON = 1e-6;

typedef struct vit_size {
    const char *name;
    int width, blocks, heads;
} vit_size;

static const vit_size sizes[] = {
    {"vit-ti", 192, 12, 3}, {"vit-s", 384, 12, 6}, {"vit-b", 768, 12, 12}, {"vit-l", 1024, 24, 16}};

static const int sides[] = {4, 8, 14, 16, 32};

enum { HIDDEN = 4 }; /* of an MLP, over the width */
enum { SIZES = sizeof sizes / sizeof *sizes, SIDES = sizeof sides / sizeof *sides };

/* All that a name says: the size, the side of its patches behind it, then what is not as usual:
 * "vit-ti16-mean-tanh". */
typedef struct vit {
    const vit_size *size;
    int side;
    bool mean, tanh;
} vit;

static void write_name(const vit *of, char out[MODEL_NAME_BYTES]) {
    snprintf(out, MODEL_NAME_BYTES, "%s%d%s%s", of->size->name, of->side, of->mean ? "-mean" : "",
             of->tanh ? "-tanh" : "");
}

static bool find(const char *name, vit *out) {
    enum { FORMS = 4 };
    for (int i = 0; i < SIZES * SIDES * FORMS; i++) {
        char whole[MODEL_NAME_BYTES];
        int form = i % FORMS;
        *out = (vit){.size = &sizes[i / FORMS / SIDES],
                     .side = sides[i / FORMS % SIDES],
                     .mean = form & 1,
                     .tanh = form & 2};
        write_name(out, whole);
        if (strcmp(whole, name) == 0)
            return true;
    }
    return false;
}

static int take_side(int wanted, vit *out, ls_error *error) {
    for (int i = 0; i < SIDES; i++)
        if (sides[i] == wanted) {
            out->side = wanted;
            return LS_OK;
        }
    return ls_fail(error, LS_BAD_INPUT, "--patch: expected 4, 8, 14, 16 or 32, found %d", wanted);
}

bool model_vit_facts(const char *name, vit_facts *out) {
    vit of;
    if (!find(name, &of))
        return false;
    *out = (vit_facts){.patch = of.side,
                       .width = of.size->width,
                       .blocks = of.size->blocks,
                       .heads = of.size->heads,
                       .hidden = HIDDEN * of.size->width,
                       .mean = of.mean,
                       .tanh = of.tanh};
    return true;
}

bool model_vit_named(const vit_facts *facts, char out[MODEL_NAME_BYTES]) {
    for (int i = 0; i < SIZES; i++) {
        const vit of = {&sizes[i], facts->patch, facts->mean, facts->tanh};
        vit_facts found;
        write_name(&of, out);
        if (model_vit_facts(out, &found) && found.width == facts->width &&
            found.blocks == facts->blocks && found.heads == facts->heads &&
            found.hidden == facts->hidden)
            return true;
    }
    return false;
}

int model_vit_like(const char *name, const vit_form *wanted, char out[MODEL_NAME_BYTES],
                   ls_error *error) {
    vit of;
    if (!find(name, &of))
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected a vision transformer (--model vit-ti16, ...), found "
                       "--model %s",
                       wanted->side   ? "--patch"
                       : wanted->pool ? "--pool"
                                      : "--gelu",
                       name);
    if (wanted->side)
        LS_TRY(take_side(wanted->side, &of, error));
    if (wanted->pool)
        of.mean = strcmp(wanted->pool, "mean") == 0;
    if (wanted->gelu)
        of.tanh = strcmp(wanted->gelu, "tanh") == 0;
    write_name(&of, out);
    return LS_OK;
}

/* A block of one that is built: its name, and what it leaves out. */
typedef struct vit_block {
    const vit *of;
    char name[32];
    double dropout, path;
} vit_block;

static vit_block block_of(const vit *of, int number, const model_drops *drops) {
    vit_block self = {.of = of, .dropout = drops->dropout};
    snprintf(self.name, sizeof self.name, "blocks.%d", number);
    self.path = drops->path * number / (of->size->blocks - 1);
    return self;
}

static int attention_branch(graph *g, const vit_block *self, int x) {
    const vit_size *size = self->of->size;
    int y = graph_layernorm(g, name_of(self->name, "norm1").text, x, EPSILON);
    y = graph_linear(g, name_of(self->name, "attn.qkv").text, y, 3 * size->width, ACTIVATION_NONE);
    y = graph_attention(g, name_of(self->name, "attn").text, y, size->heads);
    y = graph_linear(g, name_of(self->name, "attn.proj").text, y, size->width, ACTIVATION_NONE);
    y = graph_dropout(g, name_of(self->name, "attn.proj_drop").text, y, self->dropout, false);
    y = graph_dropout(g, name_of(self->name, "drop_path1").text, y, self->path, true);
    return graph_join(g, name_of(self->name, "join1").text, x, y, ACTIVATION_NONE);
}

static int mlp_branch(graph *g, const vit_block *self, int x) {
    const vit_size *size = self->of->size;
    activation gelu = self->of->tanh ? ACTIVATION_GELU_TANH : ACTIVATION_GELU;
    int y = graph_layernorm(g, name_of(self->name, "norm2").text, x, EPSILON);
    y = graph_linear(g, name_of(self->name, "mlp.fc1").text, y, HIDDEN * size->width, gelu);
    y = graph_dropout(g, name_of(self->name, "mlp.drop1").text, y, self->dropout, false);
    y = graph_linear(g, name_of(self->name, "mlp.fc2").text, y, size->width, ACTIVATION_NONE);
    y = graph_dropout(g, name_of(self->name, "mlp.drop2").text, y, self->dropout, false);
    y = graph_dropout(g, name_of(self->name, "drop_path2").text, y, self->path, true);
    return graph_join(g, name_of(self->name, "join2").text, x, y, ACTIVATION_NONE);
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

static int build(graph *g, const vit *of, const model_drops *drops, int height, int width,
                 int channels, int classes) {
    int x = graph_input(g, height, width, channels);
    x = graph_patches(g, "patch_embed", x, of->side);
    x = graph_patch_linear(g, "patch_embed.proj", x, of->size->width, of->side);
    x = graph_embedding(g, "embedding", x);
    x = graph_dropout(g, "pos_drop", x, drops->dropout, false);
    for (int number = 0; number < of->size->blocks; number++) {
        vit_block block = block_of(of, number, drops);
        graph_begin_block(g);
        x = attention_branch(g, &block, x);
        x = mlp_branch(g, &block, x);
        graph_end_block(g);
    }
    x = graph_tokenpool(g, "pool", x, of->mean);
    x = graph_layernorm(g, of->mean ? "fc_norm" : "norm", x, EPSILON);
    x = graph_linear(g, "head", x, classes, ACTIVATION_NONE);
    begin_as_timm(g);
    return x;
}

bool model_vit(graph *g, const char *name, const model_drops *drops, int height, int width,
               int channels, int classes, int *logits) {
    vit of;
    if (!find(name, &of))
        return false;
    *logits = build(g, &of, drops, height, width, channels, classes);
    return true;
}
