#include "data/digest.h"
#include "data/shard.h"
#include "data/shard_parts.h"

#include <stdlib.h>

int shard_put_header(hid_t file, const shard_header *header) {
    bool encoded = header->kind == CONTENT_ENCODED;
    return h5_put_text(file, "format", "lockstep shard") < 0 ||
                   h5_put_integer(file, "format_version", content_version(header->kind)) < 0 ||
                   (encoded && h5_put_text(file, "kind", content_names[header->kind]) < 0) ||
                   h5_put_text(file, "split", header->split) < 0 ||
                   h5_put_integer(file, encoded ? "shard" : "first_index",
                                  encoded ? header->number : header->first) < 0 ||
                   h5_put_names(file, "classes", header->classes) < 0
               ? -1
               : 0;
}

int shard_put_checked(hid_t file, const part_form *form, const void *values) {
    int64_t bytes = part_bytes(form);
    uint32_t *crcs = malloc((size_t)crc_blocks(bytes) * sizeof *crcs);
    if (!crcs)
        return -1;
    crc_fill(values, bytes, crcs);
    hid_t set = h5_put_part(file, form, values);
    int failed = set < 0 || h5_put_crcs(set, "crc32c", crcs, crc_blocks(bytes)) < 0;
    free(crcs);
    return failed ? -1 : (int)h5_keep(H5Dclose(set));
}

int shard_write(const char *temporary, const char *path, const shard_header *header,
                const char *sha256, const void *const *values, ls_error *error) {
    hid_t file = h5_create(temporary);
    int failed =
        file < 0 || shard_put_header(file, header) < 0 || h5_put_text(file, "sha256", sha256) < 0;
    for (int part = 0; !failed && part < shard_parts(header->kind); part++) {
        part_form form = shard_part(header, part);
        failed = shard_put_checked(file, &form, values[part]) < 0;
    }
    failed = failed || h5_keep(H5Fclose(file)) < 0;
    return failed ? h5_fail(error, LS_FAILED, path, "write") : LS_OK;
}
