#include "data/encoded.h"

#include "base/crc32c.h"
#include "data/shard.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A process may have some 1,024 files open; of a data set of more shards the rest are opened for
 * each read. */
enum { MOST_OPEN = 400 };

typedef struct shard_file {
    encoded_shard facts;
    char *path;            /* owned */
    int64_t place;         /* of the bytes in the file */
    atomic_int descriptor; /* -1: not open */
} shard_file;

struct encoded {
    int64_t count;
    encoded_image *images; /* [count] */
    int shards;
    shard_file *files; /* [shards] */
    atomic_int open_files;
};

typedef struct index_parts {
    int64_t *offsets;
    int32_t *labels, *sizes;
    uint32_t *crcs;
} index_parts;

static int read_parts(const shard *opened, index_parts *out, ls_error *error) {
    size_t images = (size_t)opened->header.images;
    out->offsets = malloc((images + 1) * sizeof *out->offsets);
    out->labels = malloc(images * sizeof *out->labels);
    out->sizes = malloc(images * 2 * sizeof *out->sizes);
    out->crcs = malloc(images * sizeof *out->crcs);
    if (!out->offsets || !out->labels || !out->sizes || !out->crcs)
        return ls_fail(error, LS_FAILED, "%s: out of memory for its index", opened->path);
    LS_TRY(shard_read(opened, PART_OFFSETS, out->offsets, error));
    LS_TRY(shard_read(opened, PART_LABELS, out->labels, error));
    LS_TRY(shard_read(opened, PART_SIZES, out->sizes, error));
    return shard_read(opened, PART_CRCS, out->crcs, error);
}

static void take_parts(const index_parts *from, int64_t images, encoded_image *out) {
    for (int64_t index = 0; index < images; index++)
        out[index] = (encoded_image){.offset = from->offsets[index],
                                     .bytes = from->offsets[index + 1] - from->offsets[index],
                                     .label = from->labels[index],
                                     .height = from->sizes[2 * index],
                                     .width = from->sizes[2 * index + 1],
                                     .crc = from->crcs[index]};
}

static int visit(void *context, const shard *opened, int number, int64_t first, ls_error *error) {
    encoded *self = context;
    shard_file *file = &self->files[number];
    index_parts parts = {0};
    file->facts = (encoded_shard){first, opened->header.images, opened->header.bytes};
    file->path = strdup(opened->path);
    int status = file->path ? shard_place(opened, PART_BYTES, &file->place, error)
                            : ls_fail(error, LS_FAILED, "%s: out of memory", opened->path);
    if (status == LS_OK)
        status = read_parts(opened, &parts, error);
    if (status == LS_OK)
        take_parts(&parts, opened->header.images, self->images + first);
    free(parts.offsets);
    free(parts.labels);
    free(parts.sizes);
    free(parts.crcs);
    return status;
}

int encoded_open(const dataset *data, encoded **out, ls_error *error) {
    *out = NULL;
    LS_TRY(dataset_require(data, CONTENT_ENCODED, error));
    encoded *self = calloc(1, sizeof *self);
    if (self) {
        self->count = data->facts.images;
        self->images = malloc((size_t)self->count * sizeof *self->images);
        self->files = calloc((size_t)data->facts.shards, sizeof *self->files);
    }
    if (!self || !self->images || !self->files) {
        encoded_close(self);
        return ls_fail(error, LS_FAILED,
                       "%s: out of memory for the index of %" PRId64 " images (%zu bytes each)",
                       data->folder, data->facts.images, sizeof *self->images);
    }
    self->shards = data->facts.shards;
    for (int index = 0; index < self->shards; index++)
        self->files[index].descriptor = -1;
    int status = dataset_each_shard(data, visit, self, error);
    if (status == LS_OK)
        *out = self;
    else
        encoded_close(self);
    return status;
}

int64_t encoded_count(const encoded *self) {
    return self->count;
}

const encoded_image *encoded_at(const encoded *self, int64_t index) {
    return &self->images[index];
}

int encoded_shards(const encoded *self) {
    return self->shards;
}

const encoded_shard *encoded_shard_at(const encoded *self, int shard) {
    return &self->files[shard].facts;
}

int encoded_shard_of(const encoded *self, int64_t index) {
    int low = 0, high = self->shards - 1;
    while (low < high) {
        int middle = low + (high - low + 1) / 2;
        if (self->files[middle].facts.first <= index)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static int64_t run_bytes(const encoded *self, int64_t first, int64_t count) {
    const encoded_image *last = &self->images[first + count - 1];
    return last->offset + last->bytes - self->images[first].offset;
}

int64_t encoded_largest_bytes(const encoded *self) {
    return encoded_largest_run_bytes(self, 1);
}

int64_t encoded_largest_run_bytes(const encoded *self, int64_t count) {
    int64_t largest = 0;
    for (int shard = 0; shard < self->shards; shard++) {
        const encoded_shard *of = &self->files[shard].facts;
        for (int64_t done = 0; done < of->images; done += count) {
            int64_t run = of->images - done < count ? of->images - done : count;
            int64_t bytes = run_bytes(self, of->first + done, run);
            largest = bytes > largest ? bytes : largest;
        }
    }
    return largest;
}

/* A descriptor of the shard's file; *kept: it stays open. -1, and errno, where there is none. */
static int descriptor_of(encoded *self, int shard, bool *kept) {
    shard_file *file = &self->files[shard];
    int found = atomic_load(&file->descriptor), none = -1;
    *kept = true;
    if (found >= 0)
        return found;
    found = open(file->path, O_RDONLY | O_CLOEXEC);
    if (found < 0)
        return -1;
    if (atomic_fetch_add(&self->open_files, 1) < MOST_OPEN &&
        atomic_compare_exchange_strong(&file->descriptor, &none, found))
        return found;
    atomic_fetch_sub(&self->open_files, 1); /* too many, or another thread was first */
    *kept = false;
    return found;
}

/* 0, an errno, or -1 at the end of the file. */
static int read_all(int descriptor, uint8_t *out, int64_t bytes, int64_t place) {
    while (bytes > 0) {
        ssize_t got = pread(descriptor, out, (size_t)bytes, (off_t)place);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : -1;
        out += got;
        place += got;
        bytes -= got;
    }
    return 0;
}

static int fail_read(const char *path, int failure, ls_error *error) {
    if (failure < 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: /bytes: the file ends before them: it was cut",
                       path);
    errno = failure;
    return ls_fail_errno(error, LS_FAILED, "%s: cannot read /bytes", path);
}

static int check_files(const encoded *self, int64_t first, int64_t count, int shard,
                       const uint8_t *bytes, ls_error *error) {
    const shard_file *file = &self->files[shard];
    for (int64_t index = first; index < first + count; index++) {
        const encoded_image *image = &self->images[index];
        if (crc32c(bytes + (image->offset - self->images[first].offset), (size_t)image->bytes) !=
            image->crc)
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: image %" PRId64
                           ": its CRC-32C is not the one recorded: the file is "
                           "damaged",
                           file->path, index - file->facts.first);
    }
    return LS_OK;
}

int encoded_read(encoded *self, int64_t first, int64_t count, uint8_t *out, ls_error *error) {
    bool kept;
    int shard = encoded_shard_of(self, first);
    const shard_file *file = &self->files[shard];
    int descriptor = descriptor_of(self, shard, &kept);
    if (descriptor < 0)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot open it", file->path);
    int failure = read_all(descriptor, out, run_bytes(self, first, count),
                           file->place + self->images[first].offset);
    if (!kept)
        close(descriptor);
    if (failure != 0)
        return fail_read(file->path, failure, error);
    return check_files(self, first, count, shard, out, error);
}

void encoded_expect(encoded *self, int64_t first, int64_t count) {
    bool kept;
    int shard = encoded_shard_of(self, first);
    int descriptor = descriptor_of(self, shard, &kept);
    if (descriptor < 0)
        return;
    posix_fadvise(descriptor, (off_t)(self->files[shard].place + self->images[first].offset),
                  (off_t)run_bytes(self, first, count), POSIX_FADV_WILLNEED);
    if (!kept)
        close(descriptor);
}

void encoded_close(encoded *self) {
    if (!self)
        return;
    for (int index = 0; index < self->shards; index++) {
        if (self->files[index].descriptor >= 0)
            close(self->files[index].descriptor);
        free(self->files[index].path);
    }
    free(self->files);
    free(self->images);
    free(self);
}
