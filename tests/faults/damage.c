/* Flips bits of a checkpoint, one at a time, and reads it as a run that goes on does, and once more
 * without the files' digests: nothing that is damaged may be taken for whole. The files are as they
 * were afterwards.
 *
 *   damage CHECKPOINT EVERY BITS SEED
 *
 * Of what is no element of an array (manifest, its digest, the parts' headers) a bit of each
 * EVERY-th byte, with EVERY 0 each bit of all; of the arrays' elements BITS random bits. */
#include "../unit/check.h"

#include "base/random.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/part.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_SPANS = 64 };

/* Where the arrays' elements lie in a part's file. */
typedef struct payload {
    struct {
        int64_t first, bytes;
    } spans[MOST_SPANS];
    int count;
    int64_t bytes;
} payload;

static const char *folder;
static float *elements; /* of the longest array */
static int64_t flipped;

static int read_all(const checkpoint *self, ls_error *error) {
    for (int array = 0; array < self->manifest.array_count; array++)
        LS_TRY(checkpoint_read(self, self->manifest.arrays[array].name, 0,
                               self->manifest.arrays[array].length, elements, error));
    return LS_OK;
}

/* As a run that goes on reads it: digests first; or by the blocks' sums alone. */
static int look(bool digests, ls_error *error) {
    checkpoint found;
    LS_TRY(checkpoint_open(&found, folder, error));
    int status = digests ? checkpoint_verify(&found, 0, 1, error) : LS_OK;
    if (!digests)
        checkpoint_trust(&found);
    if (status == LS_OK)
        status = read_all(&found, error);
    checkpoint_close(&found);
    return status;
}

static void flip(int file, int64_t at, unsigned bit) {
    unsigned char byte;
    if (pread(file, &byte, 1, at) != 1)
        abort();
    byte ^= (unsigned char)(1u << bit);
    if (pwrite(file, &byte, 1, at) != 1)
        abort();
}

/* 1 where the damage is not found. */
static int64_t missed(int file, const char *name, int64_t at, unsigned bit, bool digests) {
    ls_error error = {0};
    flip(file, at, bit);
    int status = look(digests, &error);
    flip(file, at, bit);
    flipped++;
    if (status == LS_BAD_INPUT && error.text[0])
        return 0;
    printf("# %s: bit %u of byte %" PRId64 ": %d %s\n", name, bit, at, status, error.text);
    return 1;
}

static int open_file(char path[4200], const char *name, int64_t *bytes) {
    struct stat found;
    snprintf(path, 4200, "%s/%s", folder, name);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 || fstat(file, &found) != 0) {
        perror(path);
        exit(1);
    }
    *bytes = found.st_size;
    return file;
}

static bool is_payload(const payload *of, int64_t at) {
    for (int span = 0; span < of->count; span++)
        if (at >= of->spans[span].first && at < of->spans[span].first + of->spans[span].bytes)
            return true;
    return false;
}

static int64_t each_byte(const char *name, const payload *without, int every) {
    char path[4200];
    int64_t bytes, wrong = 0;
    int file = open_file(path, name, &bytes);
    for (int64_t at = 0; at < bytes; at++) {
        if (is_payload(without, at) || (every > 0 && at % every != 0))
            continue;
        for (unsigned bit = 0; bit < 8; bit++)
            if (every == 0 || bit == (unsigned)(at / every % 8))
                wrong += missed(file, name, at, bit, true);
    }
    close(file);
    return wrong;
}

/* By the part's own file. */
static void find_payload(const char *path, const checkpoint_manifest *manifest, payload *out) {
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    *out = (payload){0};
    for (int array = 0; array < manifest->array_count && out->count < MOST_SPANS; array++) {
        const char *name = manifest->arrays[array].name;
        if (H5Lexists(file, name, H5P_DEFAULT) <= 0)
            continue;
        hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
        out->spans[out->count].first = (int64_t)H5Dget_offset(set);
        out->spans[out->count].bytes = (int64_t)H5Dget_storage_size(set);
        out->bytes += out->spans[out->count++].bytes;
        H5Dclose(set);
    }
    H5Fclose(file);
}

static int64_t place_of(const payload *in, int64_t number) {
    int span = 0;
    while (number >= in->spans[span].bytes)
        number -= in->spans[span++].bytes;
    return in->spans[span].first + number;
}

/* Every second one without the digest. */
static int64_t random_bits(const checkpoint_part *part, const payload *in, int64_t bits,
                           uint64_t seed) {
    char path[4200];
    int64_t bytes, wrong = 0;
    int file = open_file(path, part->file, &bytes);
    for (int64_t done = 0; done < bits; done++) {
        uint32_t block[4];
        random_block(seed, RANDOM_SYNTHETIC, 0, (uint64_t)done, block);
        uint64_t drawn = (uint64_t)block[0] << 32 | block[1];
        int64_t at = place_of(in, (int64_t)(drawn / 8 % (uint64_t)in->bytes));
        wrong += missed(file, part->file, at, (unsigned)(drawn % 8), done % 2 == 0);
    }
    close(file);
    return wrong;
}

static void payload_of(const checkpoint_manifest *manifest, int part, payload *out) {
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", folder, manifest->parts[part].file);
    find_payload(path, manifest, out);
}

static void prepare(checkpoint_manifest *manifest) {
    ls_error error = {0};
    int64_t longest = 0;
    if (checkpoint_manifest_read(manifest, folder, &error) != LS_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    for (int array = 0; array < manifest->array_count; array++)
        if (manifest->arrays[array].length > longest)
            longest = manifest->arrays[array].length;
    elements = malloc((size_t)longest * sizeof *elements + 1);
    CHECK(elements && look(true, &error) == LS_OK, "%s", error.text);
    check_case("whole before");
}

int main(int argc, char **argv) {
    checkpoint_manifest manifest;
    static const payload none;
    ls_error error = {0};
    if (argc != 5)
        return 2;
    folder = argv[1];
    int every = atoi(argv[2]);
    int64_t bits = atoll(argv[3]), wrong;
    prepare(&manifest);
    wrong = each_byte(CHECKPOINT_MANIFEST, &none, every) +
            each_byte(CHECKPOINT_MANIFEST_SUM, &none, every > 1 ? 1 : every);
    CHECK(wrong == 0, "%" PRId64, wrong);
    printf("# %" PRId64 " bits of the manifest and its digest\n", flipped);
    check_case("each flipped bit of the manifest is found");
    flipped = wrong = 0;
    for (int part = 0; part < manifest.part_count; part++) {
        payload inside;
        payload_of(&manifest, part, &inside);
        wrong += each_byte(manifest.parts[part].file, &inside, every);
    }
    CHECK(wrong == 0, "%" PRId64, wrong);
    printf("# %" PRId64 " bits of the parts' headers\n", flipped);
    check_case("each flipped bit of the parts' headers is found");
    flipped = wrong = 0;
    for (int part = 0; part < manifest.part_count; part++) {
        payload inside;
        payload_of(&manifest, part, &inside);
        wrong += random_bits(&manifest.parts[part], &inside, bits / manifest.part_count,
                             (uint64_t)atoll(argv[4]) + (uint64_t)part);
    }
    CHECK(wrong == 0, "%" PRId64, wrong);
    printf("# %" PRId64 " bits of elements\n", flipped);
    check_case("each random bit of the elements is found");
    CHECK(look(true, &error) == LS_OK, "%s", error.text);
    check_case("whole after");
    checkpoint_manifest_free(&manifest);
    free(elements);
    return check_done();
}
