#include "base/transfer.h"
#include "checkpoint/manifest.h"
#include "checkpoint/record_h5.h"
#include "data/format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_TENSORS = 1000000, MOST_RANGES = 10000000, MOST_BYTES = 1 << 30 };
static const int64_t MOST_ELEMENTS = (int64_t)1 << 42;

void checkpoint_manifest_free(checkpoint_manifest *self) {
    free(self->arrays);
    free(self->tensors);
    free(self->parts);
    free(self->ranges);
    record_free(&self->state);
    *self = (checkpoint_manifest){0};
}

int checkpoint_find_array(const checkpoint_manifest *self, const char *name) {
    for (int index = 0; index < self->array_count; index++)
        if (strcmp(self->arrays[index].name, name) == 0)
            return index;
    return -1;
}

/* ---- its bytes */

static int read_opened(int file, const char *path, h5_memory *out, ls_error *error) {
    struct stat found;
    if (fstat(file, &found) != 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", path);
    if (!S_ISREG(found.st_mode))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected an HDF5 file, found no regular file",
                       path);
    if (found.st_size > MOST_BYTES)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected at most %d bytes, found %" PRId64, path,
                       MOST_BYTES, (int64_t)found.st_size);
    out->bytes = malloc((size_t)found.st_size + 1);
    if (!out->bytes)
        return ls_fail(error, LS_FAILED, "%s: out of memory", path);
    ssize_t got = read_whole(file, out->bytes, (size_t)found.st_size);
    if (got < 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", path);
    out->length = (size_t)got;
    return LS_OK;
}

/* The whole file: what is compared with its digest is what is read then, and a file on a distant
 * disk is read by one call. */
static int read_bytes(const char *path, h5_memory *out, ls_error *error) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", path);
    int status = read_opened(file, path, out, error);
    close(file);
    return status;
}

/* The sum's file must hold exactly what a writer puts there. */
static int check_sum(const char *folder, const char *path, h5_memory manifest, ls_error *error) {
    char sum_path[4096], hex[FORMAT_DIGEST_BYTES], expected[128], found[128] = "";
    sha256 digest;
    LS_TRY(path_join(sum_path, sizeof sum_path, folder, CHECKPOINT_MANIFEST_SUM, error));
    LS_TRY(sha256_start(&digest, error));
    sha256_add(&digest, manifest.bytes, manifest.length);
    sha256_finish(&digest, hex);
    int count = snprintf(expected, sizeof expected, "%s  " CHECKPOINT_MANIFEST "\n", hex);
    int file = open(sum_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", sum_path);
    ssize_t got = read_whole(file, found, sizeof found);
    int saved = errno;
    close(file);
    errno = saved;
    if (got < 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", sum_path);
    if (got == count && memcmp(found, expected, (size_t)count) == 0)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: its SHA-256 is not the one in " CHECKPOINT_MANIFEST_SUM
                   ": one of the two is damaged",
                   path);
}

/* ---- tables */

/* Lines of texts, each shorter than `width`, into a member of a list of `count`. */
static int take_lines(const record *from, const char *where, const char *name, char *first,
                      size_t stride, size_t width, int count, ls_error *error) {
    const char *line;
    int found = 0;
    LS_TRY(record_get_text(from, where, name, &line, error));
    for (; *line && found < count; found++) {
        size_t length = strcspn(line, "\n");
        if (length == 0 || length >= width || line[length] != '\n')
            break;
        memcpy(first + (size_t)found * stride, line, length);
        first[(size_t)found * stride + length] = '\0';
        line += length + 1;
    }
    if (found == count && *line == '\0')
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected %d lines of 1 to %zu bytes, found others",
                   where, name, count, width - 1);
}

static int take_column(const record *from, const char *where, const char *name, int64_t count,
                       const int64_t **out, ls_error *error) {
    int64_t found;
    LS_TRY(record_get_integers(from, where, name, out, &found, error));
    if (found == count)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected %" PRId64 " values, found %" PRId64,
                   where, name, count, found);
}

/* How many rows a table has, by one of its columns. */
static int take_count(const record *from, const char *where, const char *name, int64_t most,
                      int *out, ls_error *error) {
    const int64_t *values;
    int64_t count;
    LS_TRY(record_get_integers(from, where, name, &values, &count, error));
    if (count > most)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: %s: expected at most %" PRId64 " values, found "
                       "%" PRId64,
                       where, name, most, count);
    *out = (int)count;
    return LS_OK;
}

static int make(void **out, int count, size_t bytes, ls_error *error) {
    *out = calloc((size_t)count + 1, bytes);
    return *out ? LS_OK : ls_fail(error, LS_FAILED, "out of memory for a checkpoint's tables");
}

static int take_range(const checkpoint_manifest *self, const char *where,
                      const int64_t *const columns[3], int index, checkpoint_range *out,
                      ls_error *error) {
    checkpoint_range range = {columns[0][index], columns[1][index], columns[2][index]};
    bool known = range.array >= 0 && range.array < self->array_count;
    int64_t length = known ? self->arrays[range.array].length : 0;
    if (!known || range.first < 0 || range.count < 0 || range.first > length ||
        range.count > length - range.first)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: range %d lies outside its array: array %" PRId64 ", %" PRId64
                       " elements from %" PRId64,
                       where, index, range.array, range.count, range.first);
    *out = range;
    return LS_OK;
}

static int take_range_columns(const record *from, const char *where, int count,
                              const int64_t *out[3], ls_error *error) {
    LS_TRY(take_column(from, where, "array", count, &out[0], error));
    LS_TRY(take_column(from, where, "first", count, &out[1], error));
    return take_column(from, where, "count", count, &out[2], error);
}

static int take_arrays(checkpoint_manifest *self, const char *where, const record *from,
                       ls_error *error) {
    const int64_t *lengths;
    LS_TRY(take_count(from, where, "lengths", CHECKPOINT_MOST_ARRAYS, &self->array_count, error));
    LS_TRY(make((void **)&self->arrays, self->array_count, sizeof *self->arrays, error));
    LS_TRY(take_column(from, where, "lengths", self->array_count, &lengths, error));
    for (int index = 0; index < self->array_count; index++) {
        if (lengths[index] < 0 || lengths[index] > MOST_ELEMENTS)
            return ls_fail(error, LS_BAD_INPUT, "%s: an array has %" PRId64 " elements", where,
                           lengths[index]);
        self->arrays[index].length = lengths[index];
    }
    return take_lines(from, where, "names", self->arrays[0].name, sizeof *self->arrays,
                      sizeof self->arrays->name, self->array_count, error);
}

static int take_dims(const char *where, const int64_t *dims, checkpoint_tensor *out,
                     ls_error *error) {
    int64_t elements = 1;
    for (int dim = 0; dim < CHECKPOINT_MOST_DIMS && dims[dim] != 0; dim++) {
        if (dims[dim] < 0 || dims[dim] > INT32_MAX || elements > MOST_ELEMENTS / dims[dim])
            return ls_fail(error, LS_BAD_INPUT, "%s: a side of '%s' is %" PRId64, where, out->name,
                           dims[dim]);
        out->dims[out->dim_count++] = (int)dims[dim];
        elements *= dims[dim];
    }
    if (elements == out->range.count)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: '%s' has %" PRId64 " elements by its shape and %" PRId64 " by its range",
                   where, out->name, elements, out->range.count);
}

static int take_tensors(checkpoint_manifest *self, const char *where, const record *from,
                        ls_error *error) {
    const int64_t *columns[3], *dims;
    LS_TRY(take_count(from, where, "count", MOST_TENSORS, &self->tensor_count, error));
    LS_TRY(make((void **)&self->tensors, self->tensor_count, sizeof *self->tensors, error));
    LS_TRY(take_range_columns(from, where, self->tensor_count, columns, error));
    LS_TRY(take_column(from, where, "dims", (int64_t)self->tensor_count * CHECKPOINT_MOST_DIMS,
                       &dims, error));
    LS_TRY(take_lines(from, where, "names", self->tensors[0].name, sizeof *self->tensors,
                      sizeof self->tensors->name, self->tensor_count, error));
    for (int index = 0; index < self->tensor_count; index++) {
        checkpoint_tensor *tensor = &self->tensors[index];
        LS_TRY(take_range(self, where, columns, index, &tensor->range, error));
        LS_TRY(take_dims(where, dims + (size_t)index * CHECKPOINT_MOST_DIMS, tensor, error));
    }
    return LS_OK;
}

/* A file's name leads nowhere else. */
static int check_part(const char *where, const checkpoint_part *part, ls_error *error) {
    char name[CHECKPOINT_FILE_BYTES];
    int number = -1;
    if (sscanf(part->file, "part-%5d.h5", &number) == 1 && number >= 0) {
        checkpoint_part_name(name, number);
        if (strcmp(name, part->file) == 0 && strlen(part->sha256) == FORMAT_DIGEST_BYTES - 1 &&
            part->bytes > 0)
            return LS_OK;
    }
    return ls_fail(error, LS_BAD_INPUT, "%s: expected a part's name, size and SHA-256, found '%s'",
                   where, part->file);
}

static int take_parts(checkpoint_manifest *self, const char *where, const record *from,
                      ls_error *error) {
    const int64_t *columns[3], *bytes, *counts;
    LS_TRY(take_count(from, where, "bytes", CHECKPOINT_MOST_PARTS, &self->part_count, error));
    LS_TRY(take_count(from, where, "count", MOST_RANGES, &self->range_count, error));
    LS_TRY(make((void **)&self->parts, self->part_count, sizeof *self->parts, error));
    LS_TRY(make((void **)&self->ranges, self->range_count, sizeof *self->ranges, error));
    LS_TRY(take_column(from, where, "bytes", self->part_count, &bytes, error));
    LS_TRY(take_column(from, where, "ranges", self->part_count, &counts, error));
    LS_TRY(take_range_columns(from, where, self->range_count, columns, error));
    LS_TRY(take_lines(from, where, "files", self->parts[0].file, sizeof *self->parts,
                      sizeof self->parts->file, self->part_count, error));
    LS_TRY(take_lines(from, where, "sha256", self->parts[0].sha256, sizeof *self->parts,
                      sizeof self->parts->sha256, self->part_count, error));
    int64_t next = 0;
    for (int index = 0; index < self->part_count; index++) {
        checkpoint_part *part = &self->parts[index];
        part->bytes = bytes[index];
        LS_TRY(check_part(where, part, error));
        if (counts[index] < 0 || counts[index] > self->range_count - next)
            return ls_fail(error, LS_BAD_INPUT, "%s: '%s' has %" PRId64 " ranges", where,
                           part->file, counts[index]);
        part->first_range = (int)next;
        part->range_count = (int)counts[index];
        next += counts[index];
    }
    for (int index = 0; index < self->range_count; index++)
        LS_TRY(take_range(self, where, columns, index, &self->ranges[index], error));
    if (next == self->range_count)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: ranges without a part", where);
}

static int take_run(checkpoint_manifest *self, const char *where, const record *from,
                    ls_error *error) {
    const char *id;
    LS_TRY(record_get_text(from, where, "id", &id, error));
    if (strlen(id) != sizeof self->id - 1)
        return ls_fail(error, LS_BAD_INPUT, "%s: id: expected %zu characters, found %zu", where,
                       sizeof self->id - 1, strlen(id));
    memcpy(self->id, id, sizeof self->id);
    LS_TRY(record_get_integer(from, where, "serial", 1, INT64_MAX, &self->serial, error));
    LS_TRY(record_get_integer(from, where, "step", 0, INT64_MAX, &self->step, error));
    LS_TRY(record_get_integer(from, where, "epoch", 1, INT32_MAX, &self->epoch, error));
    LS_TRY(record_get_integer(from, where, "position", 0, INT64_MAX, &self->position, error));
    LS_TRY(record_get_real(from, where, "test_accuracy", &self->test_accuracy, error));
    return record_get_real(from, where, "test_loss", &self->test_loss, error);
}

/* ---- the file */

static const struct {
    const char *name;
    int (*take)(checkpoint_manifest *self, const char *where, const record *from, ls_error *error);
} tables[] = {{"/run", take_run},
              {"/arrays", take_arrays}, /* before what has ranges of them */
              {"/tensors", take_tensors},
              {"/parts", take_parts}};

static int read_tables(checkpoint_manifest *self, const h5_object *file, ls_error *error) {
    for (size_t index = 0; index < sizeof tables / sizeof tables[0]; index++) {
        char where[4200];
        record table;
        LS_TRY(record_read(file, tables[index].name, &table, error));
        snprintf(where, sizeof where, "%s: %s", file->path, tables[index].name);
        int status = tables[index].take(self, where, &table, error);
        record_free(&table);
        LS_TRY(status);
    }
    return record_read(file, "/state", &self->state, error);
}

static int check_format(const h5_object *file, ls_error *error) {
    char format[64];
    int64_t version;
    LS_TRY(h5_get_text(file, "format", format, sizeof format, error));
    if (strcmp(format, "lockstep checkpoint") != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: attribute @format: expected 'lockstep checkpoint', found '%s'",
                       file->path, format);
    LS_TRY(h5_get_integer(file, "format_version", INT64_MIN, INT64_MAX, &version, error));
    if (version == CHECKPOINT_FORMAT_VERSION)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: expected format version %d, found %" PRId64
                   " (made by another version of lockstep)",
                   file->path, CHECKPOINT_FORMAT_VERSION, version);
}

static int read_file(checkpoint_manifest *self, const char *path, h5_memory of, ls_error *error) {
    h5_object file;
    LS_TRY(h5_open_bytes(path, of, &file, error));
    int status = check_format(&file, error);
    if (status == LS_OK)
        status = read_tables(self, &file, error);
    h5_close(&file);
    return status;
}

int checkpoint_manifest_read(checkpoint_manifest *self, const char *folder, ls_error *error) {
    char path[4096];
    h5_memory bytes = {0};
    *self = (checkpoint_manifest){0};
    LS_TRY(path_join(path, sizeof path, folder, CHECKPOINT_MANIFEST, error));
    int status = read_bytes(path, &bytes, error);
    if (status == LS_OK)
        status = check_sum(folder, path, bytes, error);
    if (status == LS_OK)
        status = read_file(self, path, bytes, error);
    free(bytes.bytes);
    if (status == LS_OK && checkpoint_check_cover(self->arrays, self->array_count, self->ranges,
                                                  self->range_count, error) != LS_OK)
        status = error->code = LS_BAD_INPUT;
    if (status != LS_OK)
        checkpoint_manifest_free(self);
    return status;
}
