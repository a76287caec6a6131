#include "base/fingerprint.h"
#include "base/transfer.h"
#include "checkpoint/part.h"
#include "data/format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Added to a float's bits without its sign, it reaches the sign's where all bits of the exponent
 * are set: the value is infinite or none. */
static const uint32_t LOWEST_OF_EXPONENT = 0x00800000u, NO_SIGN = 0x7fffffffu;

/* Of one array, its ranges in this part. */
typedef struct piece {
    const checkpoint_range *ranges;
    int range_count;
    int64_t elements;
    const float *values;
    int64_t place; /* of the values in the file */
} piece;

/* What is written before the next piece of it goes through the digest: it is in the cache then. */
enum { AT_ONCE = 1 << 18, SENT_AT_ONCE = 1 << 22 };

/* This loop is vectorised. */
static bool is_finite(const float *values, int64_t count) {
    uint32_t found = 0;
    for (int64_t at = 0; at < count; at++)
        found |= (fingerprint_bits(values[at]) & NO_SIGN) + LOWEST_OF_EXPONENT;
    return found <= NO_SIGN;
}

/* Of a piece that has one. */
static int fail_not_finite(const checkpoint_array *array, const piece *of, ls_error *error) {
    int64_t first = 0;
    for (int index = 0; index < of->range_count; first += of->ranges[index++].count)
        for (int64_t at = 0; at < of->ranges[index].count; at++)
            if (!isfinite(of->values[first + at]))
                return ls_fail(error, LS_FAILED, "%s: element %" PRId64 " is not a finite number",
                               array->name, of->ranges[index].first + at);
    return ls_fail(error, LS_FAILED, "%s: not finite numbers", array->name);
}

/* Its checksums, a block each, the values of which are finite. */
static int sum_blocks(const checkpoint_array *array, const piece *of, uint32_t *crcs,
                      ls_error *error) {
    enum { BLOCK = FORMAT_BLOCK_BYTES / (int)sizeof(float) };
    for (int64_t first = 0; first < of->elements; first += BLOCK) {
        int64_t count = of->elements - first < BLOCK ? of->elements - first : BLOCK;
        if (!is_finite(of->values + first, count))
            return fail_not_finite(array, of, error);
        crcs[first / BLOCK] = crc32c(of->values + first, (size_t)count * sizeof(float));
    }
    return LS_OK;
}

static int put_ranges(hid_t set, const piece *of) {
    hsize_t extent[2] = {(hsize_t)of->range_count, 2};
    int64_t *pairs = calloc((size_t)of->range_count, 2 * sizeof *pairs);
    if (!pairs)
        return -1;
    for (int index = 0; index < of->range_count; index++) {
        pairs[2 * index] = of->ranges[index].first;
        pairs[2 * index + 1] = of->ranges[index].count;
    }
    hid_t space = H5Screate_simple(2, extent, NULL);
    hid_t attribute = H5Acreate2(set, "ranges", H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    int status = (int)h5_keep(attribute);
    if (status >= 0)
        status = (int)h5_keep(H5Awrite(attribute, H5T_NATIVE_INT64, pairs));
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    free(pairs);
    return status;
}

/* A data set of an array, with room for its values. */
static int put_piece(hid_t file, const char *name, piece *of, const uint32_t *crcs) {
    hsize_t extent = (hsize_t)of->elements;
    int64_t blocks = crc_blocks(of->elements * (int64_t)sizeof(float));
    hid_t set = h5_put_room(file, name, H5T_IEEE_F32LE, 1, &extent, &of->place);
    int status =
        set < 0 || h5_put_crcs(set, "crc32c", crcs, blocks) < 0 || put_ranges(set, of) < 0 ? -1 : 0;
    if (set >= 0 && h5_keep(H5Dclose(set)) < 0)
        status = -1;
    return status;
}

/* The next array's ranges from `ranges` on. */
static piece next_piece(const checkpoint_range *ranges, int count, const float *values) {
    piece out = {.ranges = ranges, .values = values};
    while (out.range_count < count && ranges[out.range_count].array == ranges[0].array)
        out.elements += ranges[out.range_count++].count;
    return out;
}

typedef struct part_file {
    char path[4096];
    piece pieces[CHECKPOINT_MOST_ARRAYS];
    int piece_count;
    uint32_t *crcs; /* of all pieces, one's after the other's */
} part_file;

static void list_pieces(part_file *self, const checkpoint_range *ranges, int count,
                        const float *values) {
    for (int done = 0; done < count && self->piece_count < CHECKPOINT_MOST_ARRAYS;) {
        piece of = next_piece(ranges + done, count - done, values);
        self->pieces[self->piece_count++] = of;
        done += of.range_count;
        values += of.elements;
    }
}

static int64_t blocks_of(const piece *of) {
    return crc_blocks(of->elements * (int64_t)sizeof(float));
}

static int sum_pieces(part_file *self, const checkpoint_array *arrays, ls_error *error) {
    int64_t blocks = 0;
    for (int index = 0; index < self->piece_count; index++)
        blocks += blocks_of(&self->pieces[index]);
    self->crcs = calloc((size_t)blocks + 1, sizeof *self->crcs);
    if (!self->crcs)
        return ls_fail(error, LS_FAILED, "%s: out of memory", self->path);
    blocks = 0;
    for (int index = 0; index < self->piece_count; index++) {
        const piece *of = &self->pieces[index];
        LS_TRY(sum_blocks(&arrays[of->ranges[0].array], of, self->crcs + blocks, error));
        blocks += blocks_of(of);
    }
    return LS_OK;
}

/* All of the file but the values. */
static int make_file(part_file *self, const char *id, int rank, const checkpoint_array *arrays) {
    hid_t file = h5_create(self->path);
    const uint32_t *crcs = self->crcs;
    int status = file < 0 || h5_put_text(file, "format", "lockstep checkpoint part") < 0 ||
                         h5_put_integer(file, "format_version", CHECKPOINT_FORMAT_VERSION) < 0 ||
                         h5_put_text(file, "run", id) < 0 || h5_put_integer(file, "part", rank) < 0
                     ? -1
                     : 0;
    for (int index = 0; status >= 0 && index < self->piece_count; index++) {
        piece *of = &self->pieces[index];
        status = put_piece(file, arrays[of->ranges[0].array].name, of, crcs);
        crcs += blocks_of(of);
    }
    if (file >= 0 && h5_keep(H5Fclose(file)) < 0)
        status = -1;
    return status;
}

/* ---- the values */

static int by_place(const void *a, const void *b) {
    const piece *left = a, *right = b;
    return left->place < right->place ? -1 : left->place > right->place;
}

/* What HDF5 has written, from `from` to `end`. */
static int add_between(int file, int64_t from, int64_t end, sha256 *digest) {
    char bytes[4096];
    while (from < end) {
        size_t some = end - from < (int64_t)sizeof bytes ? (size_t)(end - from) : sizeof bytes;
        ssize_t got = pread(file, bytes, some, from);
        if (got == 0)
            errno = EIO; /* it was longer a moment ago */
        if (got <= 0 && errno != EINTR)
            return -1;
        if (got <= 0)
            continue;
        sha256_add(digest, bytes, (size_t)got);
        from += got;
    }
    return 0;
}

/* Values, through the digest as they are written; the disk works on what went before meanwhile. */
static int put_values(int file, const piece *of, sha256 *digest) {
    int64_t bytes = of->elements * (int64_t)sizeof(float), sent = 0;
    const char *from = (const char *)of->values;
    if (lseek(file, of->place, SEEK_SET) != of->place)
        return -1;
    for (int64_t at = 0; at < bytes; at += AT_ONCE) {
        size_t some = bytes - at < AT_ONCE ? (size_t)(bytes - at) : AT_ONCE;
        if (!write_whole(file, from + at, some))
            return -1;
        sha256_add(digest, from + at, some);
        if (at + (int64_t)some - sent >= SENT_AT_ONCE || at + (int64_t)some == bytes) {
            /* What fails is fsync's to find. */
            sync_file_range(file, of->place + sent, at + (int64_t)some - sent,
                            SYNC_FILE_RANGE_WRITE);
            sent = at + (int64_t)some;
        }
    }
    return 0;
}

static int fill_opened(part_file *self, int file, sha256 *digest, int64_t *bytes) {
    struct stat found;
    int64_t at = 0;
    qsort(self->pieces, (size_t)self->piece_count, sizeof *self->pieces, by_place);
    if (fstat(file, &found) != 0)
        return -1;
    *bytes = (int64_t)found.st_size;
    for (int index = 0; index < self->piece_count; index++) {
        const piece *of = &self->pieces[index];
        if (add_between(file, at, of->place, digest) != 0 || put_values(file, of, digest) != 0)
            return -1;
        at = of->place + of->elements * (int64_t)sizeof(float);
    }
    *bytes = at > *bytes ? at : *bytes;
    return add_between(file, at, *bytes, digest) != 0 || fsync(file) != 0 ? -1 : 0;
}

/* The values into the file that HDF5 has left, and the digest of it all. */
static int fill_file(part_file *self, checkpoint_part *out, ls_error *error) {
    sha256 digest;
    int file = open(self->path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->path);
    int status = sha256_start(&digest, error);
    if (status == LS_OK && fill_opened(self, file, &digest, &out->bytes) != 0)
        status = ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->path);
    if (digest.context)
        sha256_finish(&digest, out->sha256);
    if (close(file) != 0 && status == LS_OK)
        status = ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->path);
    return status;
}

int checkpoint_part_write(const char *folder, int rank, const char *id,
                          const checkpoint_array *arrays, const checkpoint_range *ranges,
                          int range_count, const float *values, checkpoint_part *out,
                          ls_error *error) {
    part_file file = {0};
    *out = (checkpoint_part){.range_count = range_count};
    checkpoint_part_name(out->file, rank);
    LS_TRY(path_join(file.path, sizeof file.path, folder, out->file, error));
    list_pieces(&file, ranges, range_count, values);
    int status = sum_pieces(&file, arrays, error);
    if (status == LS_OK && make_file(&file, id, rank, arrays) < 0)
        status = h5_fail(error, LS_FAILED, file.path, "write");
    if (status == LS_OK)
        status = fill_file(&file, out, error);
    free(file.crcs);
    return status;
}
