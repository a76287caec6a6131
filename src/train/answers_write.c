/* The answers as files. */
#include "base/atomic_file.h"
#include "base/text_buffer.h"
#include "data/h5.h"
#include "train/answers.h"

#include <stdlib.h>

int answers_write_csv(const answers *self, const char *path, ls_error *error) {
    text_buffer text = {0};
    text_add(&text, "index,class,predicted,probability\n");
    for (int64_t number = 0; number < self->count; number++) {
        const answer *each = &self->list[number];
        text_add(&text, "%lld,%d,%d,%.9g\n", (long long)each->sample, each->label, each->predicted,
                 (double)each->probability);
    }
    int status = text_buffer_check(&text, error);
    if (status == LS_OK)
        status = atomic_file_write(path, text.bytes, text.length, error);
    text_free(&text);
    return status;
}

static int put(hid_t file, const char *name, hid_t type, int rank, const hsize_t *extent,
               hid_t memory_type, const void *values) {
    hid_t set = h5_put_dataset(file, name, type, rank, extent, memory_type, values);
    return set < 0 ? -1 : (int)h5_keep(H5Dclose(set));
}

static int put_all(const answers *self, hid_t file, const int32_t *labels) {
    hsize_t extent[2] = {(hsize_t)self->count, (hsize_t)self->classes};
    if (put(file, "logits", H5T_IEEE_F32LE, 2, extent, H5T_NATIVE_FLOAT, self->logits) < 0)
        return -1;
    return put(file, "labels", H5T_STD_I32LE, 1, extent, H5T_NATIVE_INT32, labels);
}

int answers_write_logits(const answers *self, const char *path, ls_error *error) {
    atomic_file out;
    int32_t *labels = malloc(((size_t)self->count + 1) * sizeof *labels);
    if (!labels)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int64_t number = 0; number < self->count; number++)
        labels[number] = self->list[number].label;
    int status = atomic_file_begin(&out, path, error);
    if (status == LS_OK) {
        hid_t file = h5_create(out.temporary);
        int written = file < 0 ? -1 : put_all(self, file, labels);
        if (file >= 0 && h5_keep(H5Fclose(file)) < 0)
            written = -1;
        if (written < 0)
            status = h5_fail(error, LS_FAILED, path, "write");
        if (status == LS_OK)
            status = atomic_file_commit(&out, error);
        atomic_file_discard(&out);
    }
    free(labels);
    return status;
}
