#include "base/atomic_file.h"
#include "base/text_buffer.h"
#include "base/transfer.h"
#include "checkpoint/manifest.h"
#include "checkpoint/record_h5.h"
#include "data/format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void checkpoint_part_name(char out[CHECKPOINT_FILE_BYTES], int rank) {
    snprintf(out, CHECKPOINT_FILE_BYTES, "part-%05d.h5", rank);
}

/* A column of a table: one text a line. */
static void put_lines(record *out, const char *name, const char *first, size_t stride, int count) {
    text_buffer lines = {0};
    for (int index = 0; index < count; index++)
        text_add(&lines, "%s\n", first + (size_t)index * stride);
    record_put_text(out, name, lines.bytes);
    out->failed |= lines.failed;
    text_free(&lines);
}

#define PUT_LINES(out, name, list, member, count)                                                  \
    put_lines(out, name, (count) > 0 ? (list)[0].member : "", sizeof *(list), count)

static void put_arrays(const checkpoint_manifest *self, record *out) {
    int64_t lengths[CHECKPOINT_MOST_ARRAYS];
    for (int index = 0; index < self->array_count; index++)
        lengths[index] = self->arrays[index].length;
    PUT_LINES(out, "names", self->arrays, name, self->array_count);
    record_put_integers(out, "lengths", lengths, self->array_count);
}

/* Ranges as three columns. `stride`: bytes from one to the next. */
static void put_ranges(record *out, const checkpoint_range *first, size_t stride, int count) {
    static const struct {
        const char *name;
        size_t offset;
    } columns[] = {{"array", offsetof(checkpoint_range, array)},
                   {"first", offsetof(checkpoint_range, first)},
                   {"count", offsetof(checkpoint_range, count)}};
    int64_t *values = calloc((size_t)count + 1, sizeof *values);
    out->failed |= !values;
    for (int column = 0; values && column < 3; column++) {
        for (int index = 0; index < count; index++)
            memcpy(&values[index],
                   (const char *)first + (size_t)index * stride + columns[column].offset,
                   sizeof *values);
        record_put_integers(out, columns[column].name, values, count);
    }
    free(values);
}

static void put_tensors(const checkpoint_manifest *self, record *out) {
    int64_t *dims = calloc((size_t)self->tensor_count + 1, CHECKPOINT_MOST_DIMS * sizeof *dims);
    out->failed |= !dims;
    for (int index = 0; dims && index < self->tensor_count; index++)
        for (int dim = 0; dim < CHECKPOINT_MOST_DIMS; dim++) /* 0: it has fewer */
            dims[index * CHECKPOINT_MOST_DIMS + dim] =
                dim < self->tensors[index].dim_count ? self->tensors[index].dims[dim] : 0;
    PUT_LINES(out, "names", self->tensors, name, self->tensor_count);
    put_ranges(out, self->tensor_count ? &self->tensors->range : NULL, sizeof *self->tensors,
               self->tensor_count);
    if (dims)
        record_put_integers(out, "dims", dims, (int64_t)self->tensor_count * CHECKPOINT_MOST_DIMS);
    free(dims);
}

static void put_parts(const checkpoint_manifest *self, record *out) {
    int64_t *values = calloc((size_t)self->part_count + 1, 2 * sizeof *values);
    out->failed |= !values;
    for (int index = 0; values && index < self->part_count; index++) {
        values[index] = self->parts[index].bytes;
        values[self->part_count + index] = self->parts[index].range_count;
    }
    PUT_LINES(out, "files", self->parts, file, self->part_count);
    PUT_LINES(out, "sha256", self->parts, sha256, self->part_count);
    if (values) {
        record_put_integers(out, "bytes", values, self->part_count);
        record_put_integers(out, "ranges", values + self->part_count, self->part_count);
    }
    put_ranges(out, self->ranges, sizeof *self->ranges, self->range_count);
    free(values);
}

static void put_run(const checkpoint_manifest *self, record *out) {
    record_put_text(out, "id", self->id);
    record_put_integer(out, "serial", self->serial);
    record_put_integer(out, "step", self->step);
    record_put_integer(out, "epoch", self->epoch);
    record_put_integer(out, "position", self->position);
    record_put_real(out, "test_accuracy", self->test_accuracy);
    record_put_real(out, "test_loss", self->test_loss);
}

/* The manifest as a file's bytes: hundreds of small values, which HDF5 would write to the disk one
 * by one. */
static int make_file(const checkpoint_manifest *self, record tables[4], const char *path,
                     h5_memory *out, ls_error *error) {
    static const char *const names[] = {"run", "arrays", "tensors", "parts"};
    put_run(self, &tables[0]);
    put_arrays(self, &tables[1]);
    put_tensors(self, &tables[2]);
    put_parts(self, &tables[3]);
    for (int table = 0; table < 4; table++)
        LS_TRY(record_check(&tables[table], error));
    hid_t file = h5_create_in_memory(path, out);
    int status = file < 0 || h5_put_text(file, "format", "lockstep checkpoint") < 0 ||
                         h5_put_integer(file, "format_version", CHECKPOINT_FORMAT_VERSION) < 0
                     ? -1
                     : 0;
    for (int table = 0; status >= 0 && table < 4; table++)
        status = record_write(file, names[table], &tables[table]);
    if (status >= 0)
        status = record_write(file, "state", &self->state);
    if (file >= 0 && h5_keep(H5Fclose(file)) < 0)
        status = -1;
    return status < 0 || out->length == 0 ? h5_fail(error, LS_FAILED, path, "make") : LS_OK;
}

/* In a folder that has no name yet a file needs no other one first. */
static int write_new(const char *path, h5_memory of, ls_error *error) {
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot create", path);
    bool failed = !write_whole(file, of.bytes, of.length);
    int saved = errno;
    if (close(file) != 0 && !failed) {
        failed = true;
        saved = errno;
    }
    errno = saved;
    return failed ? ls_fail_errno(error, LS_FAILED, "%s: cannot write", path) : LS_OK;
}

static int write_sum(const char *path, h5_memory of, ls_error *error) {
    char hex[FORMAT_DIGEST_BYTES], line[FORMAT_DIGEST_BYTES + 32];
    sha256 digest;
    LS_TRY(sha256_start(&digest, error));
    sha256_add(&digest, of.bytes, of.length);
    sha256_finish(&digest, hex);
    int count = snprintf(line, sizeof line, "%s  " CHECKPOINT_MANIFEST "\n", hex);
    return write_new(path, (h5_memory){line, (size_t)count}, error);
}

/* Both are written before either is waited for: a journal takes them at once. */
static int write_both(const char *folder, const char *path, h5_memory manifest, ls_error *error) {
    char sum_path[4096];
    LS_TRY(path_join(sum_path, sizeof sum_path, folder, CHECKPOINT_MANIFEST_SUM, error));
    LS_TRY(write_new(path, manifest, error));
    LS_TRY(write_sum(sum_path, manifest, error));
    LS_TRY(path_sync(path, error));
    return path_sync(sum_path, error);
}

int checkpoint_manifest_write(const checkpoint_manifest *self, const char *folder,
                              ls_error *error) {
    char path[4096];
    record tables[4] = {0};
    h5_memory manifest = {0};
    LS_TRY(path_join(path, sizeof path, folder, CHECKPOINT_MANIFEST, error));
    int status = make_file(self, tables, path, &manifest, error);
    for (int table = 0; table < 4; table++)
        record_free(&tables[table]);
    if (status == LS_OK)
        status = write_both(folder, path, manifest, error);
    free(manifest.bytes);
    return status;
}
