/* A shard of a data set. */
#include "fuzz.h"

#include "data/shard.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 24 }; /* a data set asks what memory there is; a shard alone does not */

static bool read_all(const shard *self, ls_error *error) {
    int64_t bytes = self->header.images * image_bytes(&self->header.shape);
    if (bytes > MOST_BYTES || self->header.images > MOST_BYTES)
        return false;
    uint8_t *images = malloc((size_t)bytes + 1);
    int32_t *labels = malloc((size_t)self->header.images * sizeof *labels + 1);
    if (!images || !labels)
        abort();
    bool done = shard_read(self, images, labels, error) == LS_OK;
    free(images);
    free(labels);
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
    static const int32_t labels[3] = {0, 1, 0};
    char sha256[FORMAT_DIGEST_BYTES] = "";
    class_names classes;
    ls_error error = {0};
    if (number > 0)
        return false;
    memset(sha256, 'b', sizeof sha256 - 1);
    if (class_names_set(&classes, names, 2, "seed", &error) != LS_OK)
        abort();
    shard_header header = {"train", 0, 3, {4, 4, 3}, &classes};
    if (shard_write(path, path, &header, sha256, images, labels, &error) != LS_OK)
        abort();
    class_names_release(&classes);
    return true;
}
