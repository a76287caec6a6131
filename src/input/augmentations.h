/* --augment: what is done to images of training, by name. */
#ifndef LOCKSTEP_INPUT_AUGMENTATIONS_H
#define LOCKSTEP_INPUT_AUGMENTATIONS_H

#include "device/ops.h"

#define AUGMENTATION_CHOICES "none|crop-flip|resized-crop"

/* Of AUGMENTATION_CHOICES, drawn by `seed`. */
augmentation augmentation_of(const char *name, uint64_t seed);

#endif
