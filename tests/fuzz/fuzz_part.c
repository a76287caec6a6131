/* A part of a checkpoint, beside a manifest that is sound. */
#include "fuzz.h"

#include "checkpoint/part.h"

#include <stdio.h>
#include <stdlib.h>

static const char file_name[] = "part-00000.h5", id[] = "0123456789abcdef0123456789abcdef";
static checkpoint_array arrays[] = {{"parameters", 12}, {"buffers", 2}};
static checkpoint_range ranges[] = {{0, 0, 4}, {0, 8, 4}, {1, 0, 2}};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    checkpoint_part part = {"part-00000.h5", (int64_t)size, "", 0, 3};
    checkpoint_manifest manifest = {.arrays = arrays,
                                    .array_count = 2,
                                    .parts = &part,
                                    .part_count = 1,
                                    .ranges = ranges,
                                    .range_count = 3};
    part_reader reader;
    float values[12];
    ls_error error = {0};
    snprintf(manifest.id, sizeof manifest.id, "%s", id);
    fuzz_file(file_name, bytes, size);
    int status = part_find(&reader, fuzz_folder(), &part, &error);
    if (status == LS_OK)
        status = part_open(&reader, &manifest, &part, &error);
    fuzz_accepted = status == LS_OK;
    for (int array = 0; fuzz_accepted && array < 2; array++) {
        status =
            part_read(&reader, &manifest, &part, array, 0, arrays[array].length, values, &error);
        fuzz_accepted = status == LS_OK;
    }
    if (status != LS_OK && error.code != LS_BAD_INPUT)
        abort();
    part_close(&reader);
    return 0;
}

bool fuzz_seed(int number, const char *path) {
    static const float values[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    char command[600];
    checkpoint_part part;
    ls_error error = {0};
    if (number > 0)
        return false;
    snprintf(command, sizeof command, "%s/%s", fuzz_folder(), file_name);
    remove(command);
    if (checkpoint_part_write(fuzz_folder(), 0, id, arrays, ranges, 3, values, &part, &error) !=
        LS_OK)
        abort();
    snprintf(command, sizeof command, "cp '%s/%s' '%s'", fuzz_folder(), file_name, path);
    return system(command) == 0;
}
