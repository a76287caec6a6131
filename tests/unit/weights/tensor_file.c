#include "tensor_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[256];

static void remove_folder(void) {
    char command[320];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        fprintf(stderr, "# %s is left\n", folder);
}

const char *tensor_file_path(const char *name) {
    static char path[512];
    if (!folder[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/lockstep-weights-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(folder))
            exit(99);
        atexit(remove_folder);
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

void tensor_file_put(const char *path, const void *bytes, size_t count) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || write(file, bytes, count) != (ssize_t)count || close(file) != 0)
        exit(99);
}

void tensor_file_write(const char *path, uint64_t length, const char *header, size_t header_bytes,
                       const void *data, size_t data_bytes) {
    size_t count = sizeof length + header_bytes + data_bytes;
    unsigned char *all = malloc(count);
    if (!all)
        exit(99);
    for (size_t byte = 0; byte < sizeof length; byte++)
        all[byte] = (unsigned char)(length >> 8 * byte);
    memcpy(all + sizeof length, header, header_bytes);
    if (data_bytes)
        memcpy(all + sizeof length + header_bytes, data, data_bytes);
    tensor_file_put(path, all, count);
    free(all);
}

file_bytes tensor_file_read(const char *path) {
    file_bytes out = {0};
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        exit(99);
    out.count = (size_t)ftell(file);
    out.bytes = malloc(out.count + 1);
    rewind(file);
    if (!out.bytes || fread(out.bytes, 1, out.count, file) != out.count)
        exit(99);
    fclose(file);
    return out;
}
