/* A shard of a data set. */
#include "fuzz.h"

#include "data/shard.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 24 }; /* a data set asks what memory there is; a shard alone does not */

static bool read_all(const shard *self, ls_error *error) {
    bool done = true;
    for (int part = 0; done && part < shard_parts(self->header.kind); part++) {
        int64_t bytes = part_bytes(&self->forms[part]);
        if (bytes > MOST_BYTES)
            return false;
        void *values = malloc((size_t)bytes + 1);
        if (!values)
            abort();
        done = shard_read(self, part, values, error) == LS_OK;
        free(values);
    }
    return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static shard self;
    ls_error error = {0};
    fuzz_accepted = shard_open(&self, fuzz_file("train-00000.h5", bytes, size), &error) == LS_OK;
    if (fuzz_accepted) {
        fuzz_accepted = read_all(&self, &error);
        shard_close(&self);
    }
    if (error.code != LS_OK && error.code != LS_BAD_INPUT)
        abort();
    return 0;
}

bool fuzz_seed(int number, const char *path) {
    static const char *const names[] = {"cat", "dog"};
    static const uint8_t images[3 * 4 * 4 * 3] = {1, 2, 3};
    static const int32_t labels[3] = {0, 1, 0}, sizes[6] = {4, 4, 8, 1, 65500, 2};
    static const int64_t offsets[4] = {0, 10, 11, sizeof images};
    static const uint32_t crcs[3] = {1, 2, 3};
    const void *pixels[] = {images, labels};
    const void *files[] = {images, labels, offsets, sizes, crcs};
    char sha256[FORMAT_DIGEST_BYTES] = "";
    class_names classes;
    ls_error error = {0};
    if (number > 1)
        return false;
    memset(sha256, 'b', sizeof sha256 - 1);
    if (class_names_set(&classes, names, 2, "seed", &error) != LS_OK)
        abort();
    shard_header header = {.kind = number ? CONTENT_ENCODED : CONTENT_PIXELS,
                           .split = "train",
                           .images = 3,
                           .shape = {4, 4, 3},
                           .bytes = sizeof images,
                           .classes = &classes};
    if (shard_write(path, path, &header, sha256, number ? files : pixels, &error) != LS_OK)
        abort();
    class_names_release(&classes);
    return true;
}
