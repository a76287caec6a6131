/* What needs no device: planned memory never shared by what lives together, the models' records,
 * and with which numbers they begin. */
#include "../check.h"
#include "base/random.h"
#include "model/arena.h"
#include "model/graph.h"
#include "model/network.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_arena(void) {
    for (int trial = 0; trial < 200; trial++) {
        arena_buffer buffers[24];
        uint32_t block[4];
        size_t largest_alive = 0;
        for (int index = 0; index < 24; index++) {
            random_block(5, RANDOM_SYNTHETIC, (uint64_t)trial, (uint64_t)index, block);
            buffers[index].bytes = block[0] % 5000;
            buffers[index].first = (int)(block[1] % 30);
            buffers[index].last = buffers[index].first + (int)(block[2] % 10);
        }
        ls_error error = {0};
        size_t total = 0;
        CHECK(arena_plan(buffers, 24, &total, &error) == LS_OK, "%s", error.text);
        for (int moment = 0; moment < 40; moment++) {
            size_t alive = 0;
            for (int index = 0; index < 24; index++)
                if (buffers[index].first <= moment && moment <= buffers[index].last)
                    alive += (buffers[index].bytes + 255) & ~(size_t)255;
            largest_alive = alive > largest_alive ? alive : largest_alive;
        }
        CHECK(total >= largest_alive && total < 2 * largest_alive + 1, "%zu for %zu", total,
              largest_alive);
        for (int a = 0; a < 24; a++)
            for (int b = 0; b < a; b++) {
                bool live =
                    buffers[a].first <= buffers[b].last && buffers[b].first <= buffers[a].last;
                bool share = buffers[a].offset < buffers[b].offset + buffers[b].bytes &&
                             buffers[b].offset < buffers[a].offset + buffers[a].bytes;
                CHECK(!(live && share), "buffers %d and %d share memory", a, b);
            }
    }
}

/* Records: PyTorch's names, one block a unit, nothing between them. */
static void check_records(const graph *g) {
    static const char *const names[] = {"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                        "fc1.weight",   "fc1.bias",   "fc2.weight",   "fc2.bias"};
    size_t end = 0;
    CHECK(g->record_count == 8 && g->buffer_count == 0, "%d records", g->record_count);
    for (int record = 0; record < g->record_count && record < 8; record++) {
        const graph_parameter *p = &g->parameters[record];
        bool weight = record % 2 == 0;
        CHECK(strcmp(p->name, names[record]) == 0, "%s for %s", p->name, names[record]);
        CHECK(p->trained && p->decays == weight && p->unit == record / 2, "%s", p->name);
        CHECK(p->dim_count == (weight ? (record < 4 ? 4 : 2) : 1), "%s: %d dims", p->name,
              p->dim_count);
        CHECK(p->first == end, "%s begins at %zu", p->name, p->first);
        if (weight)
            CHECK(g->units[p->unit].first == p->first, "%s opens its unit", p->name);
        else
            CHECK(g->units[p->unit].first + g->units[p->unit].count == p->first + p->count,
                  "%s ends its unit", p->name);
        end = p->first + p->count;
    }
    CHECK(end == g->parameter_count, "the records end at %zu", end);
}

static void check_model(void) {
    static graph g;
    ls_error error = {0};
    CHECK(model_build("cnn", 32, 32, 3, 10, &g, &error) == LS_OK, "%s", error.text);
    CHECK(g.parameter_count == 4275594, "%zu parameters", g.parameter_count);
    check_records(&g);
    graph_release(&g);
    CHECK(model_build("cnn", 2, 2, 3, 10, &g, &error) == LS_BAD_INPUT, "%s", error.text);
    error.code = LS_OK;
    graph_release(&g);
    CHECK(model_build("none", 32, 32, 3, 10, &g, &error) == LS_BAD_INPUT, "%s", error.text);
}

static const graph_parameter *record_of(const graph *g, const char *name) {
    for (int record = 0; record < g->record_count; record++)
        if (strcmp(g->parameters[record].name, name) == 0)
            return &g->parameters[record];
    CHECK(false, "no record %s", name);
    return &g->parameters[0];
}

static void build(graph *g, const char *model, int side, int classes) {
    ls_error error = {0};
    CHECK(model_build(model, side, side, 3, classes, g, &error) == LS_OK, "%s", error.text);
}

/* torchvision's counts: of parameters, of running statistics, of entries of its state_dict without
 * num_batches_tracked (its resnet18 has 122 with the 20 of these). */
static void check_resnets(void) {
    static const struct {
        const char *name;
        size_t parameters, buffers;
        int records, units, last_side;
    } known[] = {{"resnet18", 11689512, 9600, 102, 41, 7},
                 {"resnet34", 21797672, 17024, 182, 73, 7},
                 {"resnet50", 25557032, 53120, 267, 107, 7},
                 {"resnet18-small", 11681832, 9600, 102, 41, 28}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        static graph g;
        build(&g, known[i].name, 224, 1000);
        CHECK(g.parameter_count == known[i].parameters, "%s: %zu parameters", known[i].name,
              g.parameter_count);
        CHECK(g.buffer_count == known[i].buffers, "%s: %zu of buffers", known[i].name,
              g.buffer_count);
        CHECK(g.record_count == known[i].records, "%s: %d records", known[i].name, g.record_count);
        CHECK(g.unit_count == known[i].units, "%s: %d units", known[i].name, g.unit_count);
        const graph_parameter *last = record_of(&g, "layer4.1.bn2.running_var");
        const graph_tensor *y = &g.tensors[g.layers[last->layer].output];
        CHECK(!last->trained && last->unit == -1, "%s", last->name);
        CHECK(y->height == known[i].last_side && y->width == y->height, "%s: %d x %d at the end",
              known[i].name, y->height, y->width);
        graph_release(&g);
    }
    check_case("residual networks have torchvision's parameters");
}

/* timm's counts of parameters and of entries of its state_dict (vit_tiny_patch16_224, ...). */
static void check_vits(void) {
    static const struct {
        const char *name;
        int side;
        size_t parameters;
        int records, tokens;
    } known[] = {{"vit-ti16", 224, 5717416, 152, 197},  {"vit-s16", 224, 22050664, 152, 197},
                 {"vit-b16", 224, 86567656, 152, 197},  {"vit-l16", 224, 304326632, 296, 197},
                 {"vit-s14", 518, 22431976, 152, 1370}, {"vit-b8", 224, 86576872, 152, 785},
                 {"vit-b32", 224, 88224232, 152, 50}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        static graph g;
        build(&g, known[i].name, known[i].side, 1000);
        CHECK(g.parameter_count == known[i].parameters && g.buffer_count == 0, "%s: %zu parameters",
              known[i].name, g.parameter_count);
        CHECK(g.record_count == known[i].records, "%s: %d records", known[i].name, g.record_count);
        const graph_parameter *positions = record_of(&g, "pos_embed");
        CHECK(positions->dims[1] == known[i].tokens && !positions->decays, "%s: %d positions",
              known[i].name, positions->dims[1]);
        graph_release(&g);
    }
    check_case("vision transformers have timm's parameters");
}

static void check_vit_records(void) {
    static graph g;
    ls_error error = {0};
    char name[MODEL_NAME_BYTES];
    build(&g, "vit-ti8", 32, 10);
    const graph_parameter *qkv = record_of(&g, "blocks.3.attn.qkv.weight");
    const graph_parameter *bias = record_of(&g, "blocks.3.attn.qkv.bias");
    const graph_parameter *scale = record_of(&g, "blocks.11.norm2.weight");
    const graph_parameter *patch = record_of(&g, "patch_embed.proj.weight");
    CHECK(qkv->dims[0] == 576 && qkv->dims[1] == 192 && qkv->decays, "%s", qkv->name);
    CHECK(qkv->initialiser.kind == INITIALISE_NORMAL && qkv->initialiser.value == 0.02f,
          "%s begins", qkv->name);
    CHECK(bias->initialiser.kind == INITIALISE_CONSTANT && bias->initialiser.value == 0 &&
              !bias->decays,
          "%s begins", bias->name);
    CHECK(scale->initialiser.value == 1 && !scale->decays, "%s begins", scale->name);
    CHECK(patch->dim_count == 4 && patch->dims[1] == 8 && patch->dims[3] == 3 &&
              patch->initialiser.kind == INITIALISE_UNIFORM,
          "%s", patch->name);
    CHECK(!g.tensors[g.layers[patch->layer].inputs[0]].wants_gradient,
          "nobody wants the gradient of an image's patches");
    graph_release(&g);
    CHECK(model_build("vit-ti16", 28, 32, 3, 10, &g, &error) == LS_BAD_INPUT &&
              strstr(error.text, "28 x 32") && strstr(error.text, "16 x 16"),
          "said: %s", error.text);
    graph_release(&g);
    error = (ls_error){0};
    CHECK(model_vit_like("vit-s16", &(vit_form){.side = 14}, name, &error) == LS_OK &&
              strcmp(name, "vit-s14") == 0,
          "made of it: %s", name);
    CHECK(model_vit_like("vit-s16", &(vit_form){.side = 15}, name, &error) == LS_BAD_INPUT, "15");
    error = (ls_error){0};
    CHECK(model_vit_like("resnet18", &(vit_form){.gelu = "tanh"}, name, &error) == LS_BAD_INPUT &&
              strstr(error.text, "resnet18") && strstr(error.text, "--gelu"),
          "said: %s", error.text);
    check_case("records of a vision transformer; patches that do not fit are refused");
}

/* What else a vision transformer's name says. */
static void check_vit_forms(void) {
    static graph g;
    ls_error error = {0};
    char name[MODEL_NAME_BYTES];
    CHECK(model_vit_like("vit-ti8", &(vit_form){.pool = "mean", .gelu = "tanh"}, name, &error) ==
                  LS_OK &&
              strcmp(name, "vit-ti8-mean-tanh") == 0,
          "made of it: %s", name);
    build(&g, name, 32, 10);
    const graph_parameter *norm = record_of(&g, "fc_norm.weight");
    const graph_parameter *fc1 = record_of(&g, "blocks.0.mlp.fc1.weight");
    CHECK(g.record_count == 152 && norm->count == 192, "%d records", g.record_count);
    CHECK(g.layers[fc1->layer].activation == ACTIVATION_GELU_TANH, "its GELU");
    graph_release(&g);
    CHECK(model_vit_like("vit-ti8-mean-tanh", &(vit_form){.side = 16, .gelu = "erf"}, name,
                         &error) == LS_OK &&
              strcmp(name, "vit-ti16-mean") == 0,
          "made of it: %s", name);
    CHECK(model_vit_like(name, &(vit_form){.pool = "class"}, name, &error) == LS_OK &&
              strcmp(name, "vit-ti16") == 0,
          "made of it: %s", name);
    check_case("a vision transformer that pools the mean, and one with a GELU by tanh");
}

/* Which records decay, and what the norms begin with. */
static void check_resnet_records(void) {
    static graph g;
    ls_error error = {0};
    build(&g, "resnet50", 64, 7);
    const graph_parameter *down = record_of(&g, "layer2.0.downsample.0.weight");
    CHECK(down->dims[0] == 512 && down->dims[1] == 1 && down->dims[3] == 256 && down->decays, "%s",
          down->name);
    CHECK(record_of(&g, "layer3.5.conv2.weight")->dims[1] == 3, "layer3.5.conv2");
    const graph_parameter *scale = record_of(&g, "layer2.0.bn3.weight");
    const graph_parameter *other = record_of(&g, "layer2.0.bn2.weight");
    CHECK(!scale->decays && !record_of(&g, "layer2.0.bn3.bias")->decays, "norms decay");
    CHECK(!record_of(&g, "fc.bias")->decays && record_of(&g, "fc.weight")->decays, "fc");
    CHECK(scale->initialiser.value == 1 && record_of(&g, "bn1.running_var")->initialiser.value == 1,
          "norms begin as the identity");
    CHECK(graph_zero_branches(&g, &error) == LS_OK, "%s", error.text);
    CHECK(scale->initialiser.value == 0 && other->initialiser.value == 1, "the last norm's alone");
    CHECK(record_of(&g, "layer2.0.downsample.1.weight")->initialiser.value == 1, "no shortcut's");
    graph_release(&g);
    build(&g, "cnn", 32, 10);
    CHECK(graph_zero_branches(&g, &error) == LS_BAD_INPUT, "the CNN has no branches");
    graph_release(&g);
    check_case("a residual network's records: what decays, what begins as what");
}

/* A weight's numbers against the normal distribution of that deviation: its first four moments,
 * whose own deviations for `count` numbers are known, and what lies beyond 2 of its deviations; and
 * they are another tensor's no more. */
static void check_normal(void) {
    static graph g;
    build(&g, "resnet18", 64, 10);
    float *values = malloc(g.parameter_count * sizeof *values);
    network_initialise(&g, 11, values);
    const graph_parameter *of = record_of(&g, "layer4.0.conv2.weight");
    const float *drawn = values + of->first;
    double count = (double)of->count, deviation = sqrt(2.0 / (512 * 9)), sums[5] = {0}, far = 0;
    for (size_t i = 0; i < of->count; i++) {
        double x = (double)drawn[i] / deviation, power = 1;
        for (int moment = 1; moment < 5; moment++)
            sums[moment] += power *= x;
        far += fabs(x) > 2;
    }
    CHECK(fabs(sums[1] / count) < 5 / sqrt(count), "mean %g", sums[1] / count);
    CHECK(fabs(sums[2] / count - 1) < 5 * sqrt(2 / count), "variance %g", sums[2] / count);
    CHECK(fabs(sums[3] / count) < 5 * sqrt(15 / count), "third moment %g", sums[3] / count);
    CHECK(fabs(sums[4] / count - 3) < 5 * sqrt(96 / count), "fourth moment %g", sums[4] / count);
    CHECK(fabs(far / count - 0.0455003) < 5 * sqrt(0.0434 / count), "%g beyond 2", far / count);
    CHECK(values[0] != drawn[0], "two tensors draw the same");
    free(values);
    graph_release(&g);
    check_case("Kaiming's normal distribution, by the outputs");
}

/* The series against the C library's functions. */
static void check_draws(void) {
    static graph g;
    uint32_t block[4];
    build(&g, "resnet18-small", 8, 10);
    float *values = malloc(g.parameter_count * sizeof *values);
    network_initialise(&g, 3, values);
    double deviation = sqrt(2.0 / (64 * 9)), worst = 0;
    for (size_t i = 0; i < g.parameters[0].count; i += 2) {
        random_block(3, RANDOM_INITIALISATION, 0, i / 4, block);
        const uint32_t *pair = block + i % 4;
        double radius = sqrt(-2 * log((pair[0] + 1.0) * 0x1p-32));
        double angle = 2 * 3.14159265358979323846 * (pair[1] * 0x1p-32);
        double want[2] = {radius * cos(angle), radius * sin(angle)};
        for (int which = 0; which < 2; which++)
            worst = fmax(worst, fabs((double)values[i + (size_t)which] / deviation - want[which]));
    }
    CHECK(worst < 1e-6, "off by %g", worst); /* a float's rounding of a number below 8 */
    free(values);
    graph_release(&g);
    check_case("normal numbers are what logarithm, cosine and sine make of the bits");
}

/* Every tensor of the flat array of every model begins at a multiple of 256 bytes, as a GPU's
 * widest loads and cuBLASLt's fastest algorithms want it, whatever data it is built for: what is
 * odd (a bias of 10 classes) is last. The store keeps that in memory: a held range and a row begin
 * as they do in the whole array. */
static void check_alignment(void) {
    enum { ALIGNED = 256 / sizeof(float) };
    static const int data[][4] = {/* height, width, channels, classes */
                                  {32, 32, 3, 10}, {32, 32, 3, 100}, {28, 28, 1, 10},
                                  {64, 48, 3, 7},  {33, 31, 4, 2},   {224, 224, 3, 1000}};
    char names[256], *rest = names;
    snprintf(names, sizeof names, "%s", model_choices);
    for (char *name = strsep(&rest, "|"); name; name = strsep(&rest, "|"))
        for (size_t i = 0; i < sizeof data / sizeof data[0]; i++) {
            static graph g;
            ls_error error = {0};
            const int *d = data[i];
            if (strncmp(name, "vit-", 4) == 0 && (d[0] % 16 || d[1] % 16))
                continue; /* no whole patches */
            CHECK(model_build(name, d[0], d[1], d[2], d[3], &g, &error) == LS_OK, "%s", error.text);
            for (int record = 0; record < g.record_count; record++) {
                const graph_parameter *p = &g.parameters[record];
                CHECK(!p->trained || p->first % ALIGNED == 0,
                      "%s for [%d, %d, %d], %d classes: %s begins at element %zu", name, d[0], d[1],
                      d[2], d[3], p->name, p->first);
            }
            graph_release(&g);
        }
}

int main(void) {
    check_arena();
    check_case("buffers that live together share no memory");
    check_model();
    check_case("the CNN has 4,275,594 parameters; a model that does not fit is refused");
    check_resnets();
    check_resnet_records();
    check_vits();
    check_vit_records();
    check_vit_forms();
    check_normal();
    check_draws();
    check_alignment();
    check_case("every tensor begins at a multiple of 256 bytes");
    return check_done();
}
