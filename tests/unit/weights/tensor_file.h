/* Files of tensors, made byte by byte for tests. */
#ifndef LOCKSTEP_TESTS_TENSOR_FILE_H
#define LOCKSTEP_TESTS_TENSOR_FILE_H

#include <stddef.h>
#include <stdint.h>

/* A name in a folder of this process, which is removed at its end. */
const char *tensor_file_path(const char *name);

/* Eight bytes of `length`, then the header's, then the data's. */
void tensor_file_write(const char *path, uint64_t length, const char *header, size_t header_bytes,
                       const void *data, size_t data_bytes);

typedef struct file_bytes {
    unsigned char *bytes;
    size_t count;
} file_bytes;

/* The caller frees bytes. */
file_bytes tensor_file_read(const char *path);
void tensor_file_put(const char *path, const void *bytes, size_t count);

#endif
