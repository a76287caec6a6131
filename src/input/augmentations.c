#include "input/augmentations.h"

#include <string.h>

static const struct {
    const char *name;
    augmentation how;
} augmentations[] = {
    {"none", {0}},
    {"crop-flip", {.crop_padding = 4, .flip = true}},
};

augmentation augmentation_of(const char *name, uint64_t seed) {
    augmentation found = {0};
    for (size_t index = 0; index < sizeof augmentations / sizeof augmentations[0]; index++)
        if (strcmp(augmentations[index].name, name) == 0)
            found = augmentations[index].how;
    found.seed = seed;
    return found;
}
