#include "checkpoint/part.h"
#include "data/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int check_format(const part_reader *self, const checkpoint_manifest *manifest,
                        const checkpoint_part *part, ls_error *error) {
    char format[64], id[64];
    int64_t version, number = atoi(part->file + strlen("part-"));
    LS_TRY(h5_get_text(&self->file, "format", format, sizeof format, error));
    if (strcmp(format, "lockstep checkpoint part") != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: attribute @format: expected 'lockstep checkpoint part', found '%s'",
                       self->path, format);
    LS_TRY(h5_get_integer(&self->file, "format_version", CHECKPOINT_FORMAT_VERSION,
                          CHECKPOINT_FORMAT_VERSION, &version, error));
    LS_TRY(h5_get_integer(&self->file, "part", number, number, &version, error));
    LS_TRY(h5_get_text(&self->file, "run", id, sizeof id, error));
    if (strcmp(id, manifest->id) == 0)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: expected a part of run %s, found one of %s",
                   self->path, manifest->id, id);
}

/* Elements that the part has of an array, one range after the other. */
static int64_t elements_of(const checkpoint_manifest *manifest, const checkpoint_part *part,
                           int array) {
    int64_t sum = 0;
    for (int index = 0; index < part->range_count; index++) {
        const checkpoint_range *range = &manifest->ranges[part->first_range + index];
        sum += range->array == array ? range->count : 0;
    }
    return sum;
}

static int check_ranges(const part_reader *self, const checkpoint_manifest *manifest,
                        const checkpoint_part *part, int array, const h5_object *set,
                        ls_error *error) {
    int64_t pairs = 0;
    hid_t attribute =
        H5Aexists(set->id, "ranges") > 0 ? H5Aopen(set->id, "ranges", H5P_DEFAULT) : -1;
    hid_t space = attribute < 0 ? -1 : H5Aget_space(attribute);
    int64_t found = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    for (int index = 0; index < part->range_count; index++)
        pairs += manifest->ranges[part->first_range + index].array == array;
    int64_t *values = found == 2 * pairs ? calloc((size_t)found + 1, sizeof *values) : NULL;
    bool same = values && H5Aread(attribute, H5T_NATIVE_INT64, values) >= 0;
    for (int index = 0, pair = 0; same && index < part->range_count; index++) {
        const checkpoint_range *range = &manifest->ranges[part->first_range + index];
        if (range->array != array)
            continue;
        same = values[2 * pair] == range->first && values[2 * pair + 1] == range->count;
        pair++;
    }
    free(values);
    if (space >= 0)
        H5Sclose(space);
    if (attribute >= 0)
        H5Aclose(attribute);
    return same ? LS_OK
                : ls_fail(error, LS_BAD_INPUT, "%s: %s@ranges are not those of the manifest",
                          self->path, set->where);
}

/* The data set of an array, checked; the caller closes it. */
static int open_set(const part_reader *self, const checkpoint_manifest *manifest,
                    const checkpoint_part *part, int array, h5_object *out, ls_error *error) {
    hsize_t extent;
    const char *name = manifest->arrays[array].name;
    LS_TRY(h5_open_object(&self->file, name, H5O_TYPE_DATASET, out, error));
    int status = h5_check_dataset(out, H5T_IEEE_F32LE, "float32", 1, &extent, error);
    int64_t expected = elements_of(manifest, part, array);
    if (status == LS_OK && (int64_t)extent != expected)
        status =
            ls_fail(error, LS_BAD_INPUT, "%s: %s: expected %" PRId64 " elements, found %" PRId64,
                    self->path, name, expected, (int64_t)extent);
    if (status == LS_OK)
        status = check_ranges(self, manifest, part, array, out, error);
    if (status == LS_OK)
        status = h5_check_stored(out, error);
    if (status != LS_OK)
        h5_close(out);
    return status;
}

static int check_arrays(const part_reader *self, const checkpoint_manifest *manifest,
                        const checkpoint_part *part, ls_error *error) {
    for (int array = 0; array < manifest->array_count; array++) {
        h5_object set;
        if (elements_of(manifest, part, array) == 0)
            continue;
        LS_TRY(open_set(self, manifest, part, array, &set, error));
        h5_close(&set);
    }
    return LS_OK;
}

int part_find(part_reader *self, const char *folder, const checkpoint_part *part, ls_error *error) {
    struct stat found;
    self->file.id = -1;
    self->trusted = false;
    LS_TRY(path_join(self->path, sizeof self->path, folder, part->file, error));
    if (stat(self->path, &found) != 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", self->path);
    if (found.st_size != part->bytes)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected %" PRId64 " bytes, found %" PRId64,
                       self->path, part->bytes, (int64_t)found.st_size);
    return LS_OK;
}

int part_check_digest(part_reader *self, const checkpoint_part *part, ls_error *error) {
    char hex[FORMAT_DIGEST_BYTES];
    int64_t bytes;
    LS_TRY(checkpoint_file_digest(self->path, hex, &bytes, error));
    self->trusted = strcmp(hex, part->sha256) == 0;
    if (self->trusted)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: its SHA-256 is not the one in the manifest: the file is damaged",
                   self->path);
}

int part_open(part_reader *self, const checkpoint_manifest *manifest, const checkpoint_part *part,
              ls_error *error) {
    if (self->file.id >= 0)
        return LS_OK;
    LS_TRY(h5_open(self->path, &self->file, error));
    int status = check_format(self, manifest, part, error);
    if (status == LS_OK)
        status = check_arrays(self, manifest, part, error);
    if (status != LS_OK)
        part_close(self);
    return status;
}

void part_close(part_reader *self) {
    h5_close(&self->file);
}

/* Of an open data set, elements [first, first + count) of it. */
static int read_elements(const h5_object *set, int64_t first, int64_t count, float *out,
                         ls_error *error) {
    hsize_t start = (hsize_t)first, extent = (hsize_t)count;
    hid_t space = H5Dget_space(set->id), memory = H5Screate_simple(1, &extent, NULL);
    int failed = space < 0 || memory < 0 ||
                 H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &extent, NULL) < 0 ||
                 H5Dread(set->id, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, out) < 0;
    int status = failed ? h5_fail(error, LS_BAD_INPUT, set->path, "read an array") : LS_OK;
    if (space >= 0)
        H5Sclose(space);
    if (memory >= 0)
        H5Sclose(memory);
    return status;
}

typedef struct block_reader {
    const h5_object *set;
    int64_t elements; /* of the data set */
    const uint32_t *crcs;
    float *block; /* [FORMAT_BLOCK_BYTES / 4] */
    int64_t held; /* its number; -1: none */
} block_reader;

enum { BLOCK_ELEMENTS = FORMAT_BLOCK_BYTES / sizeof(float) };

static int hold_block(block_reader *self, int64_t number, ls_error *error) {
    int64_t first = number * BLOCK_ELEMENTS, count = self->elements - first;
    count = count < BLOCK_ELEMENTS ? count : BLOCK_ELEMENTS;
    if (self->held == number)
        return LS_OK;
    self->held = -1;
    LS_TRY(read_elements(self->set, first, count, self->block, error));
    if (crc_first_difference(self->block, count * (int64_t)sizeof(float), self->crcs + number) >= 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: %s: block %" PRId64 " (elements %" PRId64 " and on): its CRC-32C is "
                       "not the one recorded: the file is damaged",
                       self->set->path, self->set->where, number, first);
    self->held = number;
    return LS_OK;
}

/* Elements [first, first + count) of the data set. */
static int read_checked(block_reader *self, int64_t first, int64_t count, float *out,
                        ls_error *error) {
    while (count > 0) {
        int64_t number = first / BLOCK_ELEMENTS, at = first % BLOCK_ELEMENTS;
        int64_t some = BLOCK_ELEMENTS - at < count ? BLOCK_ELEMENTS - at : count;
        LS_TRY(hold_block(self, number, error));
        memcpy(out, self->block + at, (size_t)some * sizeof *out);
        first += some, out += some, count -= some;
    }
    return LS_OK;
}

static int read_overlaps(block_reader *blocks, const checkpoint_manifest *manifest,
                         const checkpoint_part *part, int array, int64_t first, int64_t count,
                         float *out, ls_error *error) {
    int64_t place = 0;
    for (int index = 0; index < part->range_count; index++) {
        const checkpoint_range *range = &manifest->ranges[part->first_range + index];
        if (range->array != array)
            continue;
        int64_t from = first > range->first ? first : range->first;
        int64_t end = first + count, range_end = range->first + range->count;
        end = end < range_end ? end : range_end;
        if (from < end)
            LS_TRY(read_checked(blocks, place + from - range->first, end - from,
                                out + (from - first), error));
        place += range->count;
    }
    return LS_OK;
}

int part_read(const part_reader *self, const checkpoint_manifest *manifest,
              const checkpoint_part *part, int array, int64_t first, int64_t count, float *out,
              ls_error *error) {
    h5_object set;
    uint32_t *crcs = NULL;
    int64_t elements = elements_of(manifest, part, array);
    if (elements == 0 || count == 0)
        return LS_OK;
    LS_TRY(open_set(self, manifest, part, array, &set, error));
    float *block = malloc(FORMAT_BLOCK_BYTES);
    int status = block ? LS_OK : ls_fail(error, LS_FAILED, "%s: out of memory", self->path);
    if (status == LS_OK)
        status = h5_get_crcs(&set, "crc32c", crc_blocks(elements * (int64_t)sizeof(float)), &crcs,
                             error);
    block_reader blocks = {
        .set = &set, .elements = elements, .crcs = crcs, .block = block, .held = -1};
    if (status == LS_OK)
        status = read_overlaps(&blocks, manifest, part, array, first, count, out, error);
    free(crcs);
    free(block);
    h5_close(&set);
    return status;
}
