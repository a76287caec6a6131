#include "data/dataset.h"

#include <hdf5.h>
#include <stdio.h>

const char *dataset_hdf5_version(void) {
    static char text[32];
    unsigned major = 0, minor = 0, release = 0;
    if (H5get_libversion(&major, &minor, &release) < 0)
        return "unknown";
    snprintf(text, sizeof text, "%u.%u.%u", major, minor, release);
    return text;
}
