/* A target without libFuzzer.
 *
 *   try_READER seeds FOLDER            writes the seeds into FOLDER
 *   try_READER CHANGES [FILE...]       reads the seeds, which must be accepted, and the files,
 * which need not be, and of each CHANGES that differ from it at random places: nothing may crash
 * (TAP) */
#include "../unit/check.h"
#include "fuzz.h"

#include "base/random.h"

#include <stdlib.h>
#include <string.h>

typedef struct input {
    uint8_t *bytes;
    size_t size;
} input;

static input read_input(const char *path) {
    input out = {0};
    FILE *stream = fopen(path, "rb");
    if (!stream || fseek(stream, 0, SEEK_END) != 0)
        abort();
    out.size = (size_t)ftell(stream);
    out.bytes = malloc(out.size + 1);
    rewind(stream);
    if (!out.bytes || fread(out.bytes, 1, out.size, stream) != out.size)
        abort();
    fclose(stream);
    return out;
}

/* One to four bytes become others, or the file ends earlier. */
static void try_changes(const input *from, int changes, uint64_t number) {
    uint8_t *changed = malloc(from->size + 1);
    if (!changed || from->size == 0)
        abort();
    for (int change = 0; change < changes; change++) {
        static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff, '"', ',', '-'};
        uint32_t dice[4], more[4];
        memcpy(changed, from->bytes, from->size);
        random_block(number, RANDOM_SYNTHETIC, 0, (uint64_t)change, dice);
        random_block(number, RANDOM_SYNTHETIC, 1, (uint64_t)change, more);
        for (unsigned at = 0; at < 1 + dice[0] % 4; at++) {
            uint8_t *byte = &changed[more[at] % from->size];
            *byte = dice[1] >> at & 1 ? values[dice[2] >> 4 * at & 7]
                                      : *byte ^ (uint8_t)(1u << (dice[3] >> 4 * at & 7));
        }
        LLVMFuzzerTestOneInput(changed, change % 8 == 7 ? dice[1] % from->size : from->size);
    }
    free(changed);
}

static void try_one(const char *path, int changes, bool sound, uint64_t number) {
    input in = read_input(path);
    LLVMFuzzerTestOneInput(in.bytes, in.size);
    CHECK(fuzz_accepted || !sound, "%s is refused", path);
    try_changes(&in, changes, number);
    free(in.bytes);
}

int main(int argc, char **argv) {
    char path[300];
    uint64_t number = 0;
    if (argc < 2)
        return 2;
    const char *folder = argc > 2 && strcmp(argv[1], "seeds") == 0 ? argv[2] : NULL;
    for (int seed = 0;; seed++) {
        snprintf(path, sizeof path, "%s/seed-%d", folder ? folder : fuzz_folder(), seed);
        remove(path);
        if (!fuzz_seed(seed, path))
            break;
        if (!folder)
            try_one(path, atoi(argv[1]), true, number++);
    }
    if (folder)
        return 0;
    check_case("seeds, and changes of them");
    for (int file = 2; file < argc; file++)
        try_one(argv[file], atoi(argv[1]), false, number++);
    check_case("what was found before, and changes of it");
    return check_done();
}
