/* A file that is being read. */
#include "base/float16.h"
#include "safetensors/header.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LENGTH_BYTES = 8, BLOCK_BYTES = 1 << 18, SPARE_BYTES = 1 << 20 };

struct safetensors {
    char *path;
    int descriptor;
    int64_t data_start;
    safetensors_header header;
};

/* All of them, or a line. */
static int read_at(const safetensors *self, int64_t place, void *out, size_t count,
                   ls_error *error) {
    for (size_t done = 0; done < count;) {
        ssize_t got = pread(self->descriptor, (char *)out + done, count - done,
                            (off_t)(place + (int64_t)done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", self->path);
        if (got == 0)
            return ls_fail(error, LS_BAD_INPUT, "%s: became shorter while it was read", self->path);
        done += (size_t)got;
    }
    return LS_OK;
}

static int open_file(safetensors *self, int64_t *size, ls_error *error) {
    struct stat found;
    self->descriptor = open(self->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (self->descriptor < 0 || fstat(self->descriptor, &found) != 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: expected a safetensors file", self->path);
    if (!S_ISREG(found.st_mode))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected a safetensors file, found no file",
                       self->path);
    *size = (int64_t)found.st_size;
    return LS_OK;
}

/* Files that are taken for safetensors, by what they begin with. */
static const char *what_else(const unsigned char start[LENGTH_BYTES]) {
    return memcmp(start, "PK\3\4", 4) == 0    ? ": it is a zip archive, as torch.save writes them"
           : memcmp(start, "\x89HDF", 4) == 0 ? ": it is an HDF5 file"
                                              : "";
}

static int header_length(const safetensors *self, int64_t size, size_t *length, ls_error *error) {
    uint64_t wire;
    unsigned char start[LENGTH_BYTES];
    if (size < LENGTH_BYTES)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected a safetensors file, found %lld bytes",
                       self->path, (long long)size);
    LS_TRY(read_at(self, 0, start, sizeof start, error));
    memcpy(&wire, start, sizeof wire);
    wire = le64toh(wire);
    if (wire > (uint64_t)(size - LENGTH_BYTES) || wire < 2)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected a safetensors file: its header would have %llu bytes, in a "
                       "file of %lld%s",
                       self->path, (unsigned long long)wire, (long long)size, what_else(start));
    if (wire > SAFETENSORS_MOST_HEADER)
        return ls_fail(error, LS_BAD_INPUT, "%s: a header of %llu bytes (at most %d are read)",
                       self->path, (unsigned long long)wire, SAFETENSORS_MOST_HEADER);
    *length = (size_t)wire;
    return LS_OK;
}

static int read_header(safetensors *self, ls_error *error) {
    int64_t size = 0;
    size_t length = 0;
    LS_TRY(open_file(self, &size, error));
    LS_TRY(header_length(self, size, &length, error));
    char *text = malloc(length);
    if (!text)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->data_start = LENGTH_BYTES + (int64_t)length;
    int status = read_at(self, LENGTH_BYTES, text, length, error);
    if (status == LS_OK && text[0] != '{')
        status = ls_fail(error, LS_BAD_INPUT, "%s: the header does not begin with '{'", self->path);
    if (status == LS_OK)
        status = safetensors_parse(self->path, text, length, size - self->data_start,
                                   (size_t)size + SPARE_BYTES, &self->header, error);
    free(text);
    return status;
}

int safetensors_open(const char *path, safetensors **out, ls_error *error) {
    safetensors *self = calloc(1, sizeof *self);
    if (!self || !(self->path = strdup(path))) {
        free(self);
        return ls_fail(error, LS_FAILED, "out of memory");
    }
    self->descriptor = -1;
    int status = read_header(self, error);
    if (status == LS_OK)
        *out = self;
    else
        safetensors_close(self);
    return status;
}

void safetensors_close(safetensors *self) {
    if (!self)
        return;
    if (self->descriptor >= 0)
        close(self->descriptor);
    safetensors_header_free(&self->header);
    free(self->path);
    free(self);
}

int safetensors_count(const safetensors *self) {
    return self->header.count;
}

const safetensors_tensor *safetensors_at(const safetensors *self, int index) {
    return &self->header.tensors[index];
}

const safetensors_tensor *safetensors_find(const safetensors *self, const char *name) {
    for (int index = 0; index < self->header.count; index++)
        if (strcmp(self->header.tensors[index].name, name) == 0)
            return &self->header.tensors[index];
    return NULL;
}

const char *safetensors_about(const safetensors *self, const char *name) {
    for (int index = 0; index < self->header.about_count; index++)
        if (strcmp(self->header.about[index].name, name) == 0)
            return self->header.about[index].text;
    return NULL;
}

/* Elements of one size, from the file's order of bytes to the host's. */
static void from_little_endian(void *values, size_t size, size_t count) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t index = 0; index < count; index++) {
        unsigned char *value = (unsigned char *)values + index * size;
        for (size_t byte = 0; byte < size / 2; byte++) {
            unsigned char other = value[size - 1 - byte];
            value[size - 1 - byte] = value[byte];
            value[byte] = other;
        }
    }
#else
    (void)values, (void)size, (void)count;
#endif
}

/* Turns `count` elements of the file's into the caller's, from number `first` on. */
typedef int (*converter)(safetensors_type type, const void *from, size_t count, void *out,
                         size_t first);

static int read_blocks(const safetensors *self, const safetensors_tensor *tensor, converter convert,
                       void *out, ls_error *error) {
    size_t size = safetensors_type_bytes(tensor->type), most = BLOCK_BYTES / size;
    void *block = malloc(BLOCK_BYTES);
    int status = block ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    for (size_t first = 0; status == LS_OK && first < (size_t)tensor->elements; first += most) {
        size_t left = (size_t)tensor->elements - first, count = left < most ? left : most;
        status = read_at(self, self->data_start + tensor->first + (int64_t)(first * size), block,
                         count * size, error);
        if (status != LS_OK)
            break;
        from_little_endian(block, size, count);
        if (convert(tensor->type, block, count, out, first) != LS_OK)
            status = ls_fail(error, LS_BAD_INPUT, "%s: %.200s: a value does not fit", self->path,
                             tensor->name);
    }
    free(block);
    return status;
}

static int to_floats(safetensors_type type, const void *from, size_t count, void *out,
                     size_t first) {
    float *to = (float *)out + first;
    const uint16_t *halves = from;
    if (type == SAFETENSORS_F32)
        memcpy(to, from, count * sizeof *to);
    for (size_t index = 0; type == SAFETENSORS_F16 && index < count; index++)
        to[index] = fp16_to_float(halves[index]);
    for (size_t index = 0; type == SAFETENSORS_BF16 && index < count; index++)
        to[index] = bf16_to_float(halves[index]);
    for (size_t index = 0; type == SAFETENSORS_F64 && index < count; index++)
        to[index] = (float)((const double *)from)[index];
    return LS_OK;
}

int safetensors_read_floats(const safetensors *self, const safetensors_tensor *tensor, float *out,
                            ls_error *error) {
    if (tensor->type < SAFETENSORS_F16)
        return ls_fail(error, LS_BAD_INPUT, "%s: %.200s is %s: expected F32, F16, BF16 or F64",
                       self->path, tensor->name, safetensors_type_name(tensor->type));
    return read_blocks(self, tensor, to_floats, out, error);
}

static int to_integers(safetensors_type type, const void *from, size_t count, void *out,
                       size_t first) {
    int64_t *to = (int64_t *)out + first;
#define EACH(type_name, letters)                                                                   \
    case SAFETENSORS_##letters:                                                                    \
        for (size_t index = 0; index < count; index++)                                             \
            to[index] = (int64_t)((const type_name *)from)[index];                                 \
        break
    switch (type) {
        EACH(uint8_t, BOOL);
        EACH(uint8_t, U8);
        EACH(int8_t, I8);
        EACH(uint16_t, U16);
        EACH(int16_t, I16);
        EACH(uint32_t, U32);
        EACH(int32_t, I32);
        EACH(uint64_t, U64);
        EACH(int64_t, I64);
    default:
        return LS_BAD_INPUT;
    }
#undef EACH
    for (size_t index = 0; type == SAFETENSORS_U64 && index < count; index++)
        if (to[index] < 0)
            return LS_BAD_INPUT;
    return LS_OK;
}

int safetensors_read_integers(const safetensors *self, const safetensors_tensor *tensor,
                              int64_t *out, ls_error *error) {
    if (tensor->type >= SAFETENSORS_F16)
        return ls_fail(error, LS_BAD_INPUT, "%s: %.200s is %s: expected integers", self->path,
                       tensor->name, safetensors_type_name(tensor->type));
    return read_blocks(self, tensor, to_integers, out, error);
}
