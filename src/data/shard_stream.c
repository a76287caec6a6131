#include "data/shard_stream.h"

#include "data/shard_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* A file with the header, but for its digest, and room for the bytes. */
static int make_room(shard_stream *self) {
    part_form form = shard_part(&self->header, PART_BYTES);
    hsize_t extent = (hsize_t)form.extent[0];
    hid_t file = h5_create(self->temporary), set = -1;
    if (file >= 0 && shard_put_header(file, &self->header) >= 0)
        set = h5_put_room(file, form.name + 1, h5_stored_type(&form), form.rank, &extent,
                          &self->place);
    int status = set < 0 || h5_keep(H5Dclose(set)) < 0 ? -1 : 0;
    return file >= 0 && h5_keep(H5Fclose(file)) < 0 ? -1 : status;
}

static int fail_write(const shard_stream *self, ls_error *error) {
    return ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->path);
}

static int begin(shard_stream *self, ls_error *error) {
    self->crcs = malloc((size_t)crc_blocks(self->header.bytes) * sizeof *self->crcs);
    if (!self->crcs)
        return ls_fail(error, LS_FAILED, "%s: out of memory", self->path);
    if (make_room(self) < 0)
        return h5_fail(error, LS_FAILED, self->path, "write");
    self->descriptor = open(self->temporary, O_WRONLY | O_CLOEXEC);
    if (self->descriptor < 0)
        return fail_write(self, error);
    return shard_digest_start(&self->digest, &self->header, error);
}

int shard_stream_begin(shard_stream *self, const char *temporary, const char *path,
                       const shard_header *header, ls_error *error) {
    *self =
        (shard_stream){.temporary = temporary, .path = path, .header = *header, .descriptor = -1};
    int status = begin(self, error);
    if (status != LS_OK)
        shard_stream_close(self);
    return status;
}

static int write_all(const shard_stream *self, const uint8_t *bytes, int64_t count,
                     ls_error *error) {
    for (int64_t done = 0; done < count;) {
        ssize_t put = pwrite(self->descriptor, bytes + done, (size_t)(count - done),
                             (off_t)(self->place + self->written + done));
        if (put < 0 && errno != EINTR)
            return fail_write(self, error);
        done += put > 0 ? put : 0;
    }
    return LS_OK;
}

int shard_stream_add(shard_stream *self, const uint8_t *bytes, int64_t count, ls_error *error) {
    if (count > self->header.bytes - self->written)
        return ls_fail(error, LS_FAILED, "%s: more bytes than it has room for", self->path);
    crc_fill(bytes, count, self->crcs + self->written / FORMAT_BLOCK_BYTES);
    sha256_add(&self->digest, bytes, (size_t)count);
    LS_TRY(write_all(self, bytes, count, error));
    self->written += count;
    return LS_OK;
}

/* The checksums of /bytes, the other parts and the digest. */
static int put_rest(const shard_stream *self, hid_t file, const void *const *values,
                    const char *hex) {
    hid_t set = h5_keep(H5Dopen2(file, shard_part(&self->header, PART_BYTES).name, H5P_DEFAULT));
    int failed =
        set < 0 || h5_put_crcs(set, "crc32c", self->crcs, crc_blocks(self->header.bytes)) < 0;
    failed |= set >= 0 && h5_keep(H5Dclose(set)) < 0;
    for (int part = PART_BYTES + 1; !failed && part < MOST_PARTS; part++) {
        part_form form = shard_part(&self->header, part);
        failed = shard_put_checked(file, &form, values[part]) < 0;
    }
    return failed || h5_put_text(file, "sha256", hex) < 0 ? -1 : 0;
}

int shard_stream_end(shard_stream *self, const void *const *values, char hex[FORMAT_DIGEST_BYTES],
                     ls_error *error) {
    if (self->written != self->header.bytes)
        return ls_fail(error, LS_FAILED, "%s: fewer bytes than it has room for", self->path);
    for (int part = PART_BYTES + 1; part < MOST_PARTS; part++) {
        part_form form = shard_part(&self->header, part);
        shard_digest_add(&self->digest, &form, values[part]);
    }
    sha256_finish(&self->digest, hex);
    if (close(self->descriptor) != 0) {
        self->descriptor = -1;
        return fail_write(self, error);
    }
    self->descriptor = -1;
    hid_t file = h5_reopen(self->temporary);
    int status = file < 0 ? -1 : put_rest(self, file, values, hex);
    if (file >= 0 && h5_keep(H5Fclose(file)) < 0)
        status = -1;
    return status < 0 ? h5_fail(error, LS_FAILED, self->path, "write") : LS_OK;
}

void shard_stream_close(shard_stream *self) {
    char unused[FORMAT_DIGEST_BYTES];
    if (self->descriptor >= 0)
        close(self->descriptor);
    if (self->digest.context)
        sha256_finish(&self->digest, unused);
    free(self->crcs);
    *self = (shard_stream){.descriptor = -1};
}
