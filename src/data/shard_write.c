#include "data/digest.h"
#include "data/shard.h"

#include <stdlib.h>

static int put_header(hid_t file, const shard_header *header, const char *sha256) {
    return h5_put_text(file, "format", "lockstep shard") < 0 ||
                   h5_put_integer(file, "format_version", FORMAT_VERSION) < 0 ||
                   h5_put_text(file, "split", header->split) < 0 ||
                   h5_put_integer(file, "first_index", header->first) < 0 ||
                   h5_put_names(file, "classes", header->classes) < 0 ||
                   h5_put_text(file, "sha256", sha256) < 0
               ? -1
               : 0;
}

/* A data set with its blocks' checksums beside it. */
static int put_checked(hid_t file, const char *name, hid_t type, int rank, const hsize_t *extent,
                       hid_t memory_type, const void *values, int64_t bytes, uint32_t *crcs) {
    crc_fill(values, bytes, crcs);
    hid_t set = h5_put_dataset(file, name, type, rank, extent, memory_type, values);
    if (set < 0 || h5_put_crcs(set, "crc32c", crcs, crc_blocks(bytes)) < 0)
        return -1;
    return H5Dclose(set);
}

int shard_write(const char *temporary, const char *path, const shard_header *header,
                const char *sha256, const uint8_t *images, const int32_t *labels, ls_error *error) {
    int64_t bytes = header->images * image_bytes(&header->shape);
    int64_t label_bytes = header->images * (int64_t)sizeof *labels;
    hsize_t extent[] = {(hsize_t)header->images, (hsize_t)header->shape.height,
                        (hsize_t)header->shape.width, (hsize_t)header->shape.channels};
    int64_t blocks = crc_blocks(bytes > label_bytes ? bytes : label_bytes);
    uint32_t *crcs = malloc((size_t)blocks * sizeof *crcs);
    if (!crcs)
        return ls_fail(error, LS_FAILED, "%s: out of memory for its checksums", path);
    hid_t file = h5_create(temporary);
    int failed = file < 0 || put_header(file, header, sha256) < 0 ||
                 put_checked(file, "images", H5T_STD_U8LE, 4, extent, H5T_NATIVE_UINT8, images,
                             bytes, crcs) < 0 ||
                 put_checked(file, "labels", H5T_STD_I32LE, 1, extent, H5T_NATIVE_INT32, labels,
                             label_bytes, crcs) < 0 ||
                 H5Fclose(file) < 0;
    free(crcs);
    return failed ? h5_fail(error, LS_FAILED, path, "write") : LS_OK;
}
