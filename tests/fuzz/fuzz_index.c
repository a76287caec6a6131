/* HuggingFace's index of tensors in several files, beside two files that are sound. */
#include "fuzz.h"

#include "safetensors/set.h"

#include <stdlib.h>
#include <string.h>

enum { FILES = 2, NUMBERS = 2 }; /* a tensor each, of so many values */

static const char *const names[FILES] = {"fc.weight", "fc.bias"};

static void write_file(const char *path, const char *name) {
    static const float values[NUMBERS] = {1, 2};
    const safetensors_tensor tensor = {
        .name = name, .type = SAFETENSORS_F32, .dim_count = 1, .dims = {NUMBERS}};
    safetensors_writer *writer;
    ls_error error = {0};
    if (safetensors_create(path, &tensor, 1, NULL, 0, &writer, &error) != LS_OK ||
        safetensors_put(writer, values, sizeof values, &error) != LS_OK ||
        safetensors_finish(writer, &error) != LS_OK)
        abort();
}

static void write_files(void) {
    static bool written;
    static const char *const files[FILES] = {"a.safetensors", "b.safetensors"};
    for (int file = 0; file < FILES && !written; file++)
        write_file(fuzz_file(files[file], "", 0), names[file]);
    written = true;
}

/* An index that is accepted has led to both tensors, and to nothing else. */
static void check(const safetensors_set *set) {
    if (safetensors_set_count(set) != FILES)
        abort();
    for (int file = 0; file < FILES; file++) {
        float values[NUMBERS];
        ls_error error = {0};
        const safetensors_tensor *tensor = safetensors_set_find(set, names[file]);
        if (!tensor || safetensors_set_read_floats(set, tensor, values, &error) != LS_OK ||
            values[0] != 1)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    safetensors_set *set = NULL;
    ls_error error = {0};
    write_files();
    int status =
        safetensors_set_open(fuzz_file("model.safetensors.index.json", bytes, size), &set, &error);
    fuzz_accepted = status == LS_OK;
    if (!fuzz_accepted && (status != LS_BAD_INPUT || !error.text[0]))
        abort();
    if (fuzz_accepted)
        check(set);
    safetensors_set_close(set);
    return 0;
}

bool fuzz_seed(int number, const char *path) {
    static const char *const texts[] = {
        "{\"metadata\": {\"total_size\": 16}, \"weight_map\": {\"fc.weight\": \"a.safetensors\", "
        "\"fc.bias\": \"b.safetensors\"}}\n",
        "{\"weight_map\":{\"fc.bias\":\"b.safetensors\",\"fc\\u002eweight\":\"a.safetensors\"}}"};
    return fuzz_text(texts, (int)(sizeof texts / sizeof *texts), number, path);
}
