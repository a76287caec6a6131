/* A checkpoint's manifest, with the digest that fits whatever it holds. */
#include "fuzz.h"

#include "checkpoint/manifest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_sum(const char *path) {
    char hex[FORMAT_DIGEST_BYTES], line[128];
    int64_t bytes;
    ls_error error = {0};
    if (checkpoint_file_digest(path, hex, &bytes, &error) != LS_OK)
        abort();
    int length = snprintf(line, sizeof line, "%s  " CHECKPOINT_MANIFEST "\n", hex);
    fuzz_file(CHECKPOINT_MANIFEST_SUM, line, (size_t)length);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    checkpoint_manifest manifest;
    ls_error error = {0};
    write_sum(fuzz_file(CHECKPOINT_MANIFEST, bytes, size));
    fuzz_accepted = checkpoint_manifest_read(&manifest, fuzz_folder(), &error) == LS_OK;
    if (!fuzz_accepted && error.code != LS_BAD_INPUT)
        abort();
    if (fuzz_accepted)
        checkpoint_manifest_free(&manifest);
    return 0;
}

bool fuzz_seed(int number, const char *path) {
    static const double rates[] = {0.5, NAN};
    checkpoint_array arrays[] = {{"parameters", 12}, {"buffers", 2}};
    checkpoint_tensor tensors[] = {{"fc1.weight", {2, 5}, 2, {0, 0, 10}},
                                   {"fc1.bias", {2}, 1, {0, 10, 2}},
                                   {"norm.mean", {2}, 1, {1, 0, 2}}};
    checkpoint_part parts[] = {{"part-00000.h5", 100, "", 0, 2}, {"part-00001.h5", 200, "", 2, 1}};
    checkpoint_range ranges[] = {{0, 0, 6}, {1, 0, 2}, {0, 6, 6}};
    checkpoint_manifest manifest = {.id = "0123456789abcdef0123456789abcdef",
                                    .serial = 3,
                                    .step = 7,
                                    .epoch = 1,
                                    .test_accuracy = NAN,
                                    .test_loss = NAN,
                                    .arrays = arrays,
                                    .array_count = 2,
                                    .tensors = tensors,
                                    .tensor_count = 3,
                                    .parts = parts,
                                    .part_count = 2,
                                    .ranges = ranges,
                                    .range_count = 3};
    char command[600];
    ls_error error = {0};
    if (number > 0)
        return false;
    for (int part = 0; part < 2; part++)
        memset(parts[part].sha256, 'a', FORMAT_DIGEST_BYTES - 1);
    record_put_text(&manifest.state, "options", "model=cnn\n");
    record_put_reals(&manifest.state, "rates", rates, 2);
    record_put_integer(&manifest.state, "lanes", -4);
    if (checkpoint_manifest_write(&manifest, fuzz_folder(), &error) != LS_OK)
        abort();
    record_free(&manifest.state);
    snprintf(command, sizeof command, "cp '%s/" CHECKPOINT_MANIFEST "' '%s'", fuzz_folder(), path);
    return system(command) == 0;
}
