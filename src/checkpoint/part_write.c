#include "base/atomic_file.h"
#include "base/fingerprint.h"
#include "checkpoint/part.h"
#include "data/format.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of a float whose bits have it, the value is infinite or none. */
static const uint32_t EXPONENT = 0x7f800000u;

/* Of one array, its ranges in this part. */
typedef struct piece {
    const checkpoint_range *ranges;
    int range_count;
    int64_t elements;
    const float *values;
} piece;

static int check_finite(const checkpoint_array *array, const piece *of, ls_error *error) {
    const float *value = of->values;
    for (int index = 0; index < of->range_count; index++) {
        int64_t count = of->ranges[index].count;
        uint32_t found = 0; /* all at once first: this loop is vectorised */
        for (int64_t at = 0; at < count; at++)
            found |= (uint32_t)((fingerprint_bits(value[at]) & EXPONENT) == EXPONENT);
        for (int64_t at = 0; found && at < count; at++)
            if (!isfinite(value[at]))
                return ls_fail(error, LS_FAILED, "%s: element %" PRId64 " is not a finite number",
                               array->name, of->ranges[index].first + at);
        value += of->ranges[index].count;
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

static int put_piece(hid_t file, const char *name, const piece *of) {
    hsize_t extent = (hsize_t)of->elements;
    int64_t bytes = of->elements * (int64_t)sizeof(float), blocks = crc_blocks(bytes);
    uint32_t *crcs = malloc((size_t)blocks * sizeof *crcs);
    if (!crcs)
        return -1;
    crc_fill(of->values, bytes, crcs);
    hid_t set =
        h5_put_dataset(file, name, H5T_IEEE_F32LE, 1, &extent, H5T_NATIVE_FLOAT, of->values);
    int status =
        set < 0 || h5_put_crcs(set, "crc32c", crcs, blocks) < 0 || put_ranges(set, of) < 0 ? -1 : 0;
    free(crcs);
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

static int check_values(const checkpoint_array *arrays, const checkpoint_range *ranges, int count,
                        const float *values, ls_error *error) {
    for (int done = 0; done < count;) {
        piece of = next_piece(ranges + done, count - done, values);
        LS_TRY(check_finite(&arrays[ranges[done].array], &of, error));
        done += of.range_count;
        values += of.elements;
    }
    return LS_OK;
}

static int write_file(const char *path, const char *id, int rank, const checkpoint_array *arrays,
                      const checkpoint_range *ranges, int count, const float *values) {
    hid_t file = h5_create(path);
    int status = file < 0 || h5_put_text(file, "format", "lockstep checkpoint part") < 0 ||
                         h5_put_integer(file, "format_version", CHECKPOINT_FORMAT_VERSION) < 0 ||
                         h5_put_text(file, "run", id) < 0 || h5_put_integer(file, "part", rank) < 0
                     ? -1
                     : 0;
    for (int done = 0; status >= 0 && done < count;) {
        piece of = next_piece(ranges + done, count - done, values);
        status = put_piece(file, arrays[ranges[done].array].name, &of);
        done += of.range_count;
        values += of.elements;
    }
    if (file >= 0 && h5_keep(H5Fclose(file)) < 0)
        status = -1;
    return status;
}

/* The disk works beside the digest then; what fails is path_sync's to find. */
static void begin_sync(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE);
    close(file);
}

int checkpoint_part_write(const char *folder, int rank, const char *id,
                          const checkpoint_array *arrays, const checkpoint_range *ranges,
                          int range_count, const float *values, checkpoint_part *out,
                          ls_error *error) {
    char path[4096];
    *out = (checkpoint_part){.range_count = range_count};
    checkpoint_part_name(out->file, rank);
    LS_TRY(path_join(path, sizeof path, folder, out->file, error));
    LS_TRY(check_values(arrays, ranges, range_count, values, error));
    if (write_file(path, id, rank, arrays, ranges, range_count, values) < 0)
        return h5_fail(error, LS_FAILED, path, "write");
    begin_sync(path);
    LS_TRY(checkpoint_file_digest(path, out->sha256, &out->bytes, error));
    return path_sync(path, error);
}
