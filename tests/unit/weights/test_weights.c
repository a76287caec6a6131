/* A model's weights out and in again: orders of elements, and files that are not the model's. */
#include "../check.h"
#include "model/layers.h"
#include "model/state_dict.h"
#include "tensor_file.h"
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

/* [4, 8, 3] -> a convolution -> [2, 4, 2] -> 5 classes. */
static void build(graph *g) {
    ls_error error = {0};
    *g = (graph){0};
    int x = graph_input(g, 4, 8, 3);
    x = graph_conv2d(g, "conv", x, 2, 3, 1, 1, ACTIVATION_RELU);
    x = graph_maxpool2d(g, "pool", x, 2, 2, 0);
    x = graph_linear(g, "fc", x, 5, ACTIVATION_NONE);
    if (graph_finish(g, x, &error) != LS_OK)
        exit(99);
}

static int load(const graph *g, const char *path, float *out, ls_error *error) {
    weights_source source;
    *error = (ls_error){0};
    LS_TRY(weights_source_open(path, &source, error));
    int status = weights_load(g, &source, (weights_rules){0}, out, NULL, NULL, error);
    weights_source_close(&source);
    return status;
}

/* Each element by its place in both orders. */
static void test_orders(const graph *g) {
    float here[2 * 9 * 3], there[2 * 9 * 3];
    for (int index = 0; index < 2 * 9 * 3; index++)
        here[index] = (float)index;
    state_dict_export(g, 0, here, there);
    for (int out = 0; out < 2; out++)
        for (int in = 0; in < 3; in++)
            for (int at = 0; at < 9; at++)
                CHECK(there[(out * 3 + in) * 9 + at] == here[(out * 9 + at) * 3 + in]);
    check_case("a convolution's weights are [out, in, h, w] there");

    float flat[5 * 16], flat_there[5 * 16];
    int64_t dims[4];
    for (int index = 0; index < 5 * 16; index++)
        flat[index] = (float)index;
    CHECK(strcmp(g->parameters[2].name, "fc.weight") == 0 && g->parameters[2].count == 5 * 16);
    CHECK(state_dict_shape(g, 2, dims) == 2 && dims[0] == 5 && dims[1] == 16);
    state_dict_export(g, 2, flat, flat_there);
    for (int out = 0; out < 5; out++)
        for (int channel = 0; channel < 2; channel++)
            for (int at = 0; at < 8; at++)
                CHECK(flat_there[(out * 2 + channel) * 8 + at] ==
                      flat[(out * 8 + at) * 2 + channel]);
    check_case("behind a flattening an input is [c, h, w] there");
}

static void fill(float *values, size_t count) {
    for (size_t index = 0; index < count; index++)
        values[index] = (float)index / 16 - 3;
}

static void test_round_trip(const graph *g, const char *path, const float *values) {
    static const safetensors_text about[] = {{WEIGHTS_MODEL, "tiny"}};
    float *back = calloc(g->parameter_count, sizeof *back);
    ls_error error = {0};
    CHECK(weights_save(g, NAMING_OWN, path, about, 1, 0, values, NULL, &error) == LS_OK, "%s",
          error.text);
    CHECK(load(g, path, back, &error) == LS_OK, "%s", error.text);
    CHECK(memcmp(back, values, g->parameter_count * sizeof *back) == 0);
    free(back);
    check_case("what was saved is loaded");
}

enum { STRIDE = 13, VALUES = 8 + 255 / STRIDE }; /* that a byte is tried with */

/* Every byte of the header, with each bit flipped and with values over the whole range: refused, or
 * nothing of the weights changed. */
static void test_flips(const graph *g, const char *path, const float *values) {
    file_bytes whole = tensor_file_read(path);
    size_t header = 8 + whole.bytes[0] + 256u * whole.bytes[1];
    float *back = calloc(g->parameter_count, sizeof *back);
    int refused = 0, harmless = 0;
    const char *flipped = tensor_file_path("flipped.safetensors");
    for (size_t byte = 0; byte < header; byte++)
        for (int value = 0; value < VALUES; value++) {
            int other = value < 8 ? 1 << value : (value - 7) * STRIDE;
            ls_error error;
            whole.bytes[byte] ^= (unsigned char)other;
            tensor_file_put(flipped, whole.bytes, whole.count);
            memset(back, 0, g->parameter_count * sizeof *back);
            int status = load(g, flipped, back, &error);
            CHECK(status == LS_BAD_INPUT ||
                      (status == LS_OK &&
                       memcmp(back, values, g->parameter_count * sizeof *back) == 0),
                  "byte %zu ^ %d: status %d: %s", byte, other, status, error.text);
            CHECK(status == LS_OK || (strncmp(error.text, flipped, strlen(flipped)) == 0 &&
                                      !strchr(error.text, '\n')),
                  "byte %zu: %s", byte, error.text);
            refused += status != LS_OK;
            harmless += status == LS_OK;
            whole.bytes[byte] ^= (unsigned char)other;
        }
    /* Harmless are those in the text about the model, and blanks that became other blanks. */
    CHECK(refused > 3 * VALUES / 4 * (int)(header - 60) && harmless < VALUES * 24,
          "%d refused, %d harmless", refused, harmless);
    printf("# %zu bytes of header: %d flips refused, %d harmless\n", header, refused, harmless);
    free(back);
    free(whole.bytes);
    check_case("a header with any byte changed is refused, or means the same");
}

static void expect(const graph *g, const char *header, size_t data, const char *wanted) {
    static const float zeros[256];
    const char *path = tensor_file_path("unlike.safetensors");
    float *out = calloc(g->parameter_count, sizeof *out);
    ls_error error;
    tensor_file_write(path, strlen(header), header, strlen(header), zeros, data);
    CHECK(load(g, path, out, &error) == LS_BAD_INPUT && strstr(error.text, wanted), "'%s' in '%s'",
          wanted, error.text);
    free(out);
}

#define CONV                                                                                       \
    "\"conv.weight\":{\"dtype\":\"F32\",\"shape\":[2,3,3,3],\"data_offsets\":[0,216]},"            \
    "\"conv.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[216,224]}"
#define FC_BIAS "\"fc.bias\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[224,244]}"

static void test_accounts(const graph *g) {
    expect(g, "{" CONV "," FC_BIAS "}", 244, "1 missing: fc.weight");
    expect(g,
           "{" CONV "," FC_BIAS
           ",\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[16,5],\"data_offsets\":[244,564]}}",
           564, "1 of another shape: fc.weight (expected [5, 16], found [16, 5])");
    expect(g,
           "{" CONV "," FC_BIAS
           ",\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[5,16],\"data_offsets\":[244,564]},"
           "\"head.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[564,568]}}",
           568, "1 unexpected: head.bias");
    expect(g,
           "{" CONV "," FC_BIAS
           ",\"fc.weight\":{\"dtype\":\"I32\",\"shape\":[5,16],\"data_offsets\":[244,564]}}",
           564, "fc.weight is I32");
    check_case("a tensor that is missing, unexpected or of another shape or type is named");
}

/* A tensor's name is a stranger's: an escape sequence of a terminal is no part of a note. */
static void test_notes(const graph *g) {
    static const char header[] =
        "{" CONV "," FC_BIAS ",\"a\\u001b[2J\\nb\":{\"dtype\":\"F32\",\"shape\":[1],"
        "\"data_offsets\":[244,248]}}";
    static const float zeros[62];
    const char *path = tensor_file_path("strange.safetensors");
    float *out = calloc(g->parameter_count, sizeof *out);
    text_buffer notes = {0};
    weights_source source;
    ls_error error = {0};
    tensor_file_write(path, sizeof header - 1, header, sizeof header - 1, zeros, sizeof zeros);
    CHECK(weights_source_open(path, &source, &error) == LS_OK, "%s", error.text);
    CHECK(weights_load(g, &source, (weights_rules){.partial = true}, out, NULL, &notes, &error) ==
                  LS_OK &&
              strstr(notes.bytes, "\npartial: 1 missing: fc.weight; 1 unexpected: a?[2J?b\n"),
          "%s%s", error.text, notes.bytes ? notes.bytes : "");
    weights_source_close(&source);
    text_free(&notes), free(out);
    check_case("what a note says of strange names is one line");
}

int main(void) {
    static graph g;
    build(&g);
    float *values = calloc(g.parameter_count, sizeof *values);
    char path[512];
    snprintf(path, sizeof path, "%s", tensor_file_path("tiny.safetensors"));
    fill(values, g.parameter_count);
    test_orders(&g);
    test_round_trip(&g, path, values);
    test_flips(&g, path, values);
    test_accounts(&g);
    test_notes(&g);
    free(values);
    graph_release(&g);
    return check_done();
}
