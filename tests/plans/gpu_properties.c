#include "gpu_properties.h"

#include <stdio.h>
#include <string.h>

void gpu_name(const char *path, char name[32]) {
    const char *slash = strrchr(path, '/');
    snprintf(name, 32, "%s", slash ? slash + 1 : path);
    char *dot = strchr(name, '.');
    if (dot)
        *dot = '\0';
}

int gpu_properties_read(const char *path, cudnnBackendDescriptor_t *out, ls_error *error) {
    char text[8192];
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[length] = '\0';
    if (file)
        fclose(file);
    descriptor_builder builder = descriptor_begin(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, path);
    descriptor_set(&builder, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                   (int64_t)length, text);
    return descriptor_finish(&builder, out, error);
}
