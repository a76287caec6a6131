#include "device/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void device_remark(device_remarks *self, const char *format, ...) {
    char line[DEVICE_REMARK_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (int index = 0; index < self->count; index++)
        if (strcmp(self->lines[index], line) == 0)
            return;
    if (self->count == DEVICE_REMARKS)
        self->more++;
    else
        memcpy(self->lines[self->count++], line, sizeof line);
}
