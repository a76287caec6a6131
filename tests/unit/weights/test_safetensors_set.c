/* Tensors in several files, and indexes that lie. */
#include "../check.h"
#include "safetensors/json_file.h"
#include "safetensors/set.h"
#include "tensor_file.h"

#include <stdlib.h>
#include <string.h>

#define ONE(name) "{\"" name "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"

static char index_path[512];

static void write_tensor(const char *file, const char *header, float value) {
    tensor_file_write(tensor_file_path(file), strlen(header), header, strlen(header), &value,
                      sizeof value);
}

static int try_set(const char *path, safetensors_set **out, ls_error *error) {
    *error = (ls_error){0};
    *out = NULL;
    return safetensors_set_open(path, out, error);
}

/* One line that begins with a name of the folder's. */
static void check_refusal(const char *text, size_t length, const char *what, const char *wanted) {
    safetensors_set *set;
    ls_error error;
    tensor_file_put(index_path, text, length);
    int status = try_set(index_path, &set, &error);
    CHECK(status == LS_BAD_INPUT && error.text[0] == '/' && !strchr(error.text, '\n'),
          "%s: status %d: '%s'", what, status, error.text);
    CHECK(!wanted || strstr(error.text, wanted), "%s: '%s' has no '%s'", what, error.text,
          wanted ? wanted : "");
    safetensors_set_close(set);
}

static const char good[] = "{\"metadata\":{\"total_size\":8},\"weight_map\":{\"b\":"
                           "\"two.safetensors\",\"a\":\"one.safetensors\"}}";

static void test_set(void) {
    safetensors_set *set;
    ls_error error;
    float value = 0;
    tensor_file_put(index_path, good, sizeof good - 1);
    CHECK(safetensors_set_is(index_path) && safetensors_set_is("x.safetensors"));
    CHECK(!safetensors_set_is(tensor_file_path("")), "no model.safetensors in it");
    CHECK(try_set(index_path, &set, &error) == LS_OK, "%s", error.text);
    CHECK(safetensors_set_count(set) == 2 && !safetensors_set_find(set, "c"));
    const char *names[] = {"a", "b"};
    for (int index = 0; index < 2; index++) {
        const safetensors_tensor *tensor = safetensors_set_find(set, names[index]);
        CHECK(tensor && safetensors_set_read_floats(set, tensor, &value, &error) == LS_OK, "%s",
              error.text);
        CHECK(value == 1 + index, "%s is %g", names[index], value);
        CHECK(tensor == safetensors_set_at(set, 0) || tensor == safetensors_set_at(set, 1));
    }
    safetensors_set_close(set);
    check_case("an index of two files is a set of both's tensors");
}

#define MAP(map) "{\"weight_map\":{" map "}}"

static const struct {
    const char *what, *index, *wanted;
} lies[] = {
    {"nothing", "", "JSON"},
    {"a list", "[]", "JSON object"},
    {"no map", "{}", "weight_map"},
    {"a map that is a text", "{\"weight_map\":\"a\"}", "weight_map"},
    {"an empty map", MAP(""), "weight_map"},
    {"a file that is a number", MAP("\"a\":1"), "found 'no text'"},
    {"a file of another folder", MAP("\"a\":\"../one.safetensors\""), "same folder"},
    {"an absolute file", MAP("\"a\":\"/etc/x.safetensors\""), "same folder"},
    {"a hidden file", MAP("\"a\":\".safetensors\""), "same folder"},
    {"a pickle", MAP("\"a\":\"one.bin\""), "same folder"},
    {"a file that is not there", MAP("\"a\":\"three.safetensors\""), "No such file"},
    {"a tensor twice", MAP("\"a\":\"one.safetensors\",\"a\":\"two.safetensors\""), "duplicate"},
    {"a tensor of the other file", MAP("\"a\":\"two.safetensors\""), "b is in two.safetensors"},
    {"a tensor that no file has", MAP("\"a\":\"one.safetensors\",\"c\":\"one.safetensors\""),
     "c is not in one.safetensors"},
    {"a tensor that is in two files",
     MAP("\"a\":\"one.safetensors\",\"b\":\"two.safetensors\",\"c\":\"again.safetensors\""),
     "a is in again.safetensors"},
    {"a folder", MAP("\"a\":\"folder.safetensors/\""), "same folder"},
};

static void test_lies(void) {
    for (size_t index = 0; index < sizeof lies / sizeof *lies; index++)
        check_refusal(lies[index].index, strlen(lies[index].index), lies[index].what,
                      lies[index].wanted);
    for (size_t length = 0; length < sizeof good - 1; length++)
        check_refusal(good, length, "cut off", NULL);
    check_case("an index that lies, or was cut off anywhere, is refused in one line");
}

static void test_flips(void) {
    char text[sizeof good];
    int refused = 0, taken = 0;
    for (size_t byte = 0; byte < sizeof good - 1; byte++)
        for (int bit = 0; bit < 8; bit++) {
            safetensors_set *set;
            ls_error error;
            memcpy(text, good, sizeof good);
            text[byte] = (char)(text[byte] ^ 1 << bit);
            tensor_file_put(index_path, text, sizeof good - 1);
            int status = try_set(index_path, &set, &error);
            CHECK(status == LS_BAD_INPUT || (status == LS_OK && safetensors_set_find(set, "a")),
                  "byte %zu, bit %d: %d: %s", byte, bit, status, error.text);
            CHECK(status == LS_OK || !strchr(error.text, '\n'));
            refused += status != LS_OK;
            taken += status == LS_OK;
            safetensors_set_close(set);
        }
    /* What is taken stands in the metadata, which means nothing. */
    CHECK(refused > 4 * taken, "%d refused, %d taken", refused, taken);
    printf("# %d flips refused, %d in what means nothing\n", refused, taken);
    check_case("an index with any bit flipped is refused, or means the same");
}

static void test_bounds(void) {
    enum { BYTES = JSON_FILE_MOST_BYTES + 1 };
    char *text = malloc(BYTES);
    if (!text)
        exit(99);
    memset(text, ' ', BYTES);
    check_refusal(text, BYTES, "a large one", "at most");
    size_t length = (size_t)sprintf(text, "{\"weight_map\":[");
    while (length < BYTES / 2)
        length += (size_t)sprintf(text + length, "0,");
    length += (size_t)sprintf(text + length, "0]}");
    check_refusal(text, length, "one of many values", "more memory");
    free(text);
    check_case("an index that is too large, or asks for too much memory, is refused");
}

int main(void) {
    snprintf(index_path, sizeof index_path, "%s", tensor_file_path("model.index.json"));
    write_tensor("one.safetensors", ONE("a"), 1);
    write_tensor("two.safetensors", ONE("b"), 2);
    write_tensor("again.safetensors", ONE("a"), 3);
    test_set();
    test_lies();
    test_flips();
    test_bounds();
    return check_done();
}
