/* Weights of other programs: whose names they have, what config.json says, positions of another
 * grid, a head of other classes. */
#include "../check.h"
#include "model/models.h"
#include "tensor_file.h"
#include "weights/positions.h"
#include "weights/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* torch.nn.functional.interpolate(mode="bicubic", antialias=True) of ((i * 7) % 11) / 4 - 1. */
static void test_positions(void) {
    static const float larger[30] = {
        -1.241993f,  -0.1209767f,  0.7896138f,  -0.3084818f, 0.6021088f,   1.723126f,
        -0.4614836f, -0.1113916f,  0.2841953f,  0.2837462f,  0.753073f,    1.169212f,
        0.5657893f,  -0.07352941f, -0.3356481f, 1.085648f,   0.8235295f,   0.1842104f,
        -0.2879764f, 0.06211592f,  0.4797933f,  0.5677037f,  -0.08384567f, -0.6914279f,
        -0.9731253f, 0.1478912f,   1.092713f,   0.1315402f,  -0.6947836f,  -1.160129f};
    static const float smaller[6] = {-0.2617107f,  0.2848393f, 0.9222392f,
                                     -0.08915851f, 0.5242059f, -0.3341935f};
    float from[12], two[24], out[60];
    ls_error error = {0};
    for (int index = 0; index < 12; index++)
        from[index] = (float)(index * 7 % 11) / 4 - 1;
    for (int index = 0; index < 24; index++) /* a channel, and one of another value */
        two[index] = index % 2 ? 3 : from[index / 2];
    position_grid grid = {3, 4};
    CHECK(positions_interpolate(two, grid, out, (position_grid){5, 6}, 2, &error) == LS_OK);
    for (int index = 0; index < 30; index++)
        CHECK(fabsf(out[2 * index] - larger[index]) < 2e-6f &&
                  fabsf(out[2 * index + 1] - 3) < 1e-5f,
              "%d: %g, %g", index, (double)out[2 * index], (double)out[2 * index + 1]);
    CHECK(positions_interpolate(from, grid, out, (position_grid){2, 3}, 1, &error) == LS_OK);
    for (int index = 0; index < 6; index++)
        CHECK(fabsf(out[index] - smaller[index]) < 2e-6f, "%d: %g", index, (double)out[index]);
    check_case("positions of another grid are as PyTorch interpolates them");
}

static void test_names(void) {
    static const struct {
        const char *own, *theirs[3];
    } names[] = {
        {"cls_token", {"vit.embeddings.cls_token"}},
        {"pos_embed", {"vit.embeddings.position_embeddings"}},
        {"patch_embed.proj.bias", {"vit.embeddings.patch_embeddings.projection.bias"}},
        {"blocks.11.attn.qkv.weight",
         {"vit.encoder.layer.11.attention.attention.query.weight",
          "vit.encoder.layer.11.attention.attention.key.weight",
          "vit.encoder.layer.11.attention.attention.value.weight"}},
        {"blocks.0.mlp.fc2.bias", {"vit.encoder.layer.0.output.dense.bias"}},
        {"norm.weight", {"vit.layernorm.weight"}},
        {"head.bias", {"classifier.bias"}},
    };
    char found[WEIGHTS_MOST_PARTS][WEIGHTS_NAME_BYTES];
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        int count = weights_names(NAMING_HUGGINGFACE, names[index].own, found);
        CHECK(count == (names[index].theirs[1] ? 3 : 1), "%s: %d", names[index].own, count);
        for (int part = 0; part < count; part++)
            CHECK(strcmp(found[part], names[index].theirs[part]) == 0, "%s", found[part]);
    }
    weights_names(NAMING_HUGGINGFACE_BARE, "norm.bias", found);
    CHECK(strcmp(found[0], "layernorm.bias") == 0, "%s", found[0]);
    CHECK(weights_names(NAMING_OWN, "blocks.0.attn.qkv.weight", found) == 1 &&
          strcmp(found[0], "blocks.0.attn.qkv.weight") == 0);
    CHECK(weights_names_spare(NAMING_HUGGINGFACE, "vit.pooler.dense.bias") &&
          !weights_names_spare(NAMING_HUGGINGFACE, "pooler.dense.bias") &&
          !weights_names_spare(NAMING_OWN, "pooler.dense.bias"));
    check_case("HuggingFace's names of each kind of tensor");
}

static float *filled(const graph *g) {
    float *values = calloc(g->parameter_count + 1, sizeof *values);
    for (size_t index = 0; values && index < g->parameter_count; index++)
        values[index] = (float)(index % 1013) / 64 - 3;
    if (!values)
        exit(99);
    return values;
}

static void build(const char *name, int classes, graph *out) {
    ls_error error = {0};
    if (model_build(name, 16, 16, 3, classes, out, &error) != LS_OK)
        exit(99);
}

/* Saved under HuggingFace's names: all of them, and with another head. */
static void test_head(void) {
    graph g, other;
    ls_error error = {0};
    text_buffer notes = {0};
    weights_source source;
    char path[512];
    snprintf(path, sizeof path, "%s", tensor_file_path("vit.safetensors"));
    build("vit-ti8", 5, &g), build("vit-ti8", 3, &other);
    float *values = filled(&g), *back = calloc(g.parameter_count, sizeof *back);
    CHECK(weights_save(&g, NAMING_HUGGINGFACE, path, NULL, 0, 0, values, NULL, &error) == LS_OK);
    CHECK(weights_source_open(path, &source, &error) == LS_OK, "%s", error.text);
    CHECK(source.naming == NAMING_HUGGINGFACE && source.epsilon == 1e-12, "%g", source.epsilon);
    CHECK(weights_load(&g, &source, (weights_rules){0}, back, NULL, &notes, &error) == LS_OK, "%s",
          error.text);
    CHECK(memcmp(values, back, g.parameter_count * sizeof *back) == 0);
    check_case("under HuggingFace's names and back: the same bits");

    text_free(&notes);
    memset(back, 0, g.parameter_count * sizeof *back);
    CHECK(weights_check(&other, &source, (weights_rules){0}, &error) == LS_BAD_INPUT &&
              strstr(error.text, "2 of another shape: classifier.weight (expected [3, 192], found "
                                 "[5, 192]), classifier.bias"),
          "%s", error.text);
    error = (ls_error){0};
    CHECK(
        weights_load(&other, &source, (weights_rules){.new_head = true}, back, NULL, &notes,
                     &error) == LS_OK &&
            strstr(notes.bytes, "\nthe head is new, for 3 classes: that of the weights is for 5\n"),
        "%s", error.text);
    size_t before = other.parameter_count - 3 * 192 - 3; /* the head is last */
    CHECK(memcmp(values, back, before * sizeof *back) == 0 && back[before] == 0);
    check_case("a head of other classes is refused, or stays as it was and is told");
    weights_source_close(&source);
    text_free(&notes), free(values), free(back);
    graph_release(&g), graph_release(&other);
}

/* A head of no classes is a damaged one, not another. */
static void test_empty_head(void) {
    static const char header[] =
        "{\"vit.embeddings.cls_token\":{\"dtype\":\"F32\",\"shape\":[1,1,1],\"data_offsets\":[0,4]}"
        ","
        "\"classifier.weight\":{\"dtype\":\"F32\",\"shape\":[0,192],\"data_offsets\":[4,4]},"
        "\"classifier.bias\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]}}";
    graph g;
    ls_error error = {0};
    weights_source source;
    char path[512];
    snprintf(path, sizeof path, "%s", tensor_file_path("empty.safetensors"));
    tensor_file_write(path, sizeof header - 1, header, sizeof header - 1, "1234", 4);
    build("vit-ti8", 3, &g);
    int status = weights_source_open(path, &source, &error);
    CHECK(status == LS_OK, "%s", error.text);
    if (status == LS_OK) {
        status = weights_check(&g, &source, (weights_rules){.new_head = true}, &error);
        CHECK(status == LS_BAD_INPUT && strstr(error.text, "classifier.weight (expected [3, 192], "
                                                           "found [0, 192])"),
              "%s", error.text);
        weights_source_close(&source);
    }
    graph_release(&g);
    check_case("a head of no classes is of another shape");
}

static void write_config(const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s", tensor_file_path("folder"));
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s", tensor_file_path("folder/config.json"));
    tensor_file_put(path, text, strlen(text));
}

static void test_config(void) {
    static const char header[] =
        "{\"vit.embeddings.cls_token\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    static const struct {
        const char *text, *model;
        double epsilon;
    } said[] = {
        {"{\"model_type\":\"vit\"}", "vit-b16", 1e-12},
        {"{\"model_type\":\"vit\",\"layer_norm_eps\":1e-6,\"patch_size\":32}", "vit-b32", 1e-6},
        {"{\"architecture\":\"vit_small_patch14_dinov2.lvd142m\"}", "vit-s14", 0},
        {"{\"architecture\":\"vit_base_patch16_224\",\"global_pool\":\"avg\"}", "vit-b16-mean", 0},
        {"{\"architecture\":\"vit_base_patch16_224\",\"model_args\":{\"patch_size\":8}}", "", 0},
        {"{\"model_type\":\"vit\",\"hidden_act\":\"gelu_new\"}", "vit-b16-tanh", 1e-12},
        {"{\"architecture\":\"resnet18\"}", "", 0},
        {"{\"architecture\":\"vit_base_patch4294967312_224\"}", "", 0}, /* 2^32 + 16 */
        {"{\"model_type\":\"bert\"}", NULL, 0},
        {"{\"model_type\":\"vit\",\"hidden_size\":500}", NULL, 0},
        {"{\"model_type\":\"vit\",\"hidden_act\":\"relu\"}", NULL, 0},
        {"{\"model_type\":\"vit\",\"layer_norm_eps\":\"x\"}", NULL, 0},
        {"{\"model_type\":\"vit\",\"hidden_size\":1e999}", NULL, 0},
        {"{\"model_type\":\"vit\"", NULL, 0},
        {"[]", NULL, 0}};
    write_config("{}");
    char file[512], folder[512];
    snprintf(file, sizeof file, "%s", tensor_file_path("folder/model.safetensors"));
    snprintf(folder, sizeof folder, "%s", tensor_file_path("folder"));
    tensor_file_write(file, sizeof header - 1, header, sizeof header - 1, "abcd", 4);
    for (size_t index = 0; index < sizeof said / sizeof *said; index++) {
        write_config(said[index].text);
        for (int of = 0; of < 2; of++) { /* the folder, and the file in it */
            weights_source source;
            ls_error error = {0};
            int status = weights_source_open(of ? file : folder, &source, &error);
            if (said[index].model)
                CHECK(status == LS_OK && strcmp(source.model, said[index].model) == 0 &&
                          source.epsilon == said[index].epsilon,
                      "%s: %s %g %s", said[index].text, source.model, source.epsilon, error.text);
            else
                CHECK(status == LS_BAD_INPUT && strstr(error.text, "config.json"), "%s: %s",
                      said[index].text, error.text);
            weights_source_close(&source);
        }
    }
    check_case("a config.json says model and epsilon, or is refused by its fault");
}

static void test_pickles(void) {
    static const char *const names[] = {"a.bin", "b.pth", "c.pt", "pickles"};
    char folder[512];
    snprintf(folder, sizeof folder, "%s", tensor_file_path("pickles"));
    mkdir(folder, 0700);
    tensor_file_put(tensor_file_path("pickles/pytorch_model.bin"), "", 0);
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        weights_source source;
        ls_error error = {0};
        CHECK(weights_source_is(tensor_file_path(names[index])));
        int status = weights_source_open(tensor_file_path(names[index]), &source, &error);
        CHECK(status == LS_BAD_INPUT && strstr(error.text, "weights_only=True") &&
                  strstr(error.text, ".safetensors')"),
              "%s: %s", names[index], error.text);
        weights_source_close(&source);
    }
    check_case("a pickle is refused with the Python that converts it");
}

int main(void) {
    test_positions();
    test_names();
    test_head();
    test_empty_head();
    test_config();
    test_pickles();
    return check_done();
}
