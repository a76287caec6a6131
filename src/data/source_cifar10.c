#include "data/folder.h"
#include "data/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A record: a label, then 32 x 32 red, green and blue values in three planes. */
enum { SIDE = 32, PLANE = SIDE * SIDE, RECORD = 1 + 3 * PLANE, BATCHES = 6, TRAIN_BATCHES = 5 };

static const char *const batch_names[BATCHES] = {"data_batch_1.bin", "data_batch_2.bin",
                                                 "data_batch_3.bin", "data_batch_4.bin",
                                                 "data_batch_5.bin", "test_batch.bin"};

typedef struct batch {
    char path[4096];
    int descriptor;
    int64_t images;
} batch;

typedef struct source_cifar10 {
    source base;
    batch batches[BATCHES];
} source_cifar10;

static int open_batch(batch *self, const char *folder, const char *name, ls_error *error) {
    struct stat found;
    LS_TRY(path_join(self->path, sizeof self->path, folder, name, error));
    self->descriptor = open(self->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (self->descriptor < 0)
        return ls_fail_errno(error, LS_BAD_INPUT,
                             "%s: expected a file of CIFAR-10's binary version, found none",
                             self->path);
    if (fstat(self->descriptor, &found) != 0 || !S_ISREG(found.st_mode))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected a regular file", self->path);
    if (found.st_size == 0 || found.st_size % RECORD != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected whole records of %d bytes, found %" PRId64 " bytes",
                       self->path, RECORD, (int64_t)found.st_size);
    self->images = found.st_size / RECORD;
    return LS_OK;
}

/* batches.meta.txt: a name a line; the official one ends in an empty line. */
static int read_names(source_cifar10 *self, const char *folder, ls_error *error) {
    enum { LIMIT = 256 };
    char path[4096], text[65536];
    const char *names[LIMIT];
    LS_TRY(path_join(path, sizeof path, folder, "batches.meta.txt", error));
    FILE *file = fopen(path, "rb");
    if (!file)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: expected the classes' names", path);
    size_t used = fread(text, 1, sizeof text - 1, file);
    int failed = ferror(file);
    fclose(file);
    if (failed || used == sizeof text - 1)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected a readable file of less than %zu bytes",
                       path, sizeof text - 1);
    text[used] = '\0';
    int count = 0;
    for (char *rest = NULL, *line = strtok_r(text, "\r\n", &rest); line && count < LIMIT;
         line = strtok_r(NULL, "\r\n", &rest))
        names[count++] = line;
    return class_names_set(&self->base.classes, names, count, path, error);
}

/* Finds the batch that holds image `index` of the split; makes it the index in that batch. */
static const batch *locate(const source_cifar10 *self, int split, int64_t *index) {
    if (split == SPLIT_TEST)
        return &self->batches[TRAIN_BATCHES];
    const batch *found = self->batches;
    while (*index >= found->images)
        *index -= (found++)->images;
    return found;
}

static int read_records(const batch *from, int64_t first, int64_t count, uint8_t *out,
                        ls_error *error) {
    size_t bytes = (size_t)count * RECORD, done = 0;
    while (done < bytes) {
        ssize_t got = pread(from->descriptor, out + done, bytes - done,
                            (off_t)(first * RECORD + (int64_t)done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", from->path);
        if (got == 0)
            return ls_fail(error, LS_BAD_INPUT, "%s: became shorter while it was read", from->path);
        done += (size_t)got;
    }
    return LS_OK;
}

static void interleave(const uint8_t *record, uint8_t *out) {
    const uint8_t *red = record + 1, *green = red + PLANE, *blue = green + PLANE;
    for (int pixel = 0; pixel < PLANE; pixel++) {
        out[3 * pixel] = red[pixel];
        out[3 * pixel + 1] = green[pixel];
        out[3 * pixel + 2] = blue[pixel];
    }
}

static int fill(const source *base, int split, int64_t first, int64_t count, uint8_t *images,
                int32_t *labels, int64_t *warned, ls_error *error) {
    (void)warned;
    enum { PIECE = 64 };
    const source_cifar10 *self = (const source_cifar10 *)base;
    uint8_t records[PIECE * RECORD];
    for (int64_t done = 0; done < count;) {
        int64_t index = first + done;
        const batch *from = locate(self, split, &index);
        int64_t piece = count - done < PIECE ? count - done : PIECE;
        piece = from->images - index < piece ? from->images - index : piece;
        LS_TRY(read_records(from, index, piece, records, error));
        for (int64_t record = 0; record < piece; record++) {
            const uint8_t *at = records + record * RECORD;
            if (at[0] >= base->classes.count)
                return ls_fail(error, LS_BAD_INPUT,
                               "%s: record %" PRId64 ": expected a label from 0 to %d, found %d",
                               from->path, index + record, base->classes.count - 1, at[0]);
            labels[done + record] = at[0];
            interleave(at, images + (done + record) * 3 * PLANE);
        }
        done += piece;
    }
    return LS_OK;
}

static void close_batches(source *base) {
    source_cifar10 *self = (source_cifar10 *)base;
    for (int index = 0; index < BATCHES; index++)
        if (self->batches[index].descriptor >= 0)
            close(self->batches[index].descriptor);
    free(self);
}

static const source_interface cifar10 = {.name = "cifar10", .fill = fill, .close = close_batches};

static int open_all(source_cifar10 *self, const char *folder, ls_error *error) {
    char inner[4096];
    if (!is_folder(folder)) {
        name_list none; /* says why */
        LS_TRY(folder_list(folder, &none, error));
        name_list_release(&none);
    }
    LS_TRY(path_join(inner, sizeof inner, folder, "cifar-10-batches-bin", error));
    const char *used = is_folder(inner) ? inner : folder;
    for (int index = 0; index < BATCHES; index++) {
        LS_TRY(open_batch(&self->batches[index], used, batch_names[index], error));
        self->base.images[index < TRAIN_BATCHES ? SPLIT_TRAIN : SPLIT_TEST] +=
            self->batches[index].images;
    }
    return read_names(self, used, error);
}

int source_cifar10_open(const char *folder, source **out, ls_error *error) {
    source_cifar10 *self = calloc(1, sizeof *self);
    *out = NULL;
    if (!self)
        return ls_fail(error, LS_FAILED, "%s: out of memory", folder);
    self->base.is = &cifar10;
    self->base.shape = (image_shape){SIDE, SIDE, 3};
    for (int index = 0; index < BATCHES; index++)
        self->batches[index].descriptor = -1;
    int status = open_all(self, folder, error);
    if (status == LS_OK)
        *out = &self->base;
    else
        source_close(&self->base);
    return status;
}
