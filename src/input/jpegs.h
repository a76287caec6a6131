/* Images as JPEG files in shards (data/encoded.h): a sample is decoded and cropped to a square of
 * pixels where it is fetched, in the loader's threads; the device normalises it. */
#ifndef LOCKSTEP_INPUT_JPEGS_H
#define LOCKSTEP_INPUT_JPEGS_H

#include "base/error.h"

#include <stdint.h>

/* What the user chose of this kind. */
typedef struct jpegs_choices {
    int64_t image_size;     /* of the network's input: image_size x image_size */
    const char *decode;     /* one of DECODE_CHOICES */
    const char *shuffle;    /* one of SHUFFLE_CHOICES */
    int64_t shuffle_window; /* images */
    int64_t memory_mb;      /* of a rank's encoded images, both splits */
    double jitter;          /* strength of colour jitter; 0: none */
    double hue;             /* of it, in turns of the circle; 0: none */
    const char *mean, *std; /* three numbers with commas between: of red, green, blue */
} jpegs_choices;

#define JPEGS_MEAN "0.485,0.456,0.406"
#define JPEGS_STD  "0.229,0.224,0.225"
/* As the options have them, for who only looks at a data set. */
#define JPEGS_DEFAULTS                                                                             \
    {                                                                                              \
        .decode = "exact", .shuffle = "full", .shuffle_window = 2048, .memory_mb = 2000,           \
        .mean = JPEGS_MEAN, .std = JPEGS_STD                                                       \
    }

/* mean and std as numbers, of red, green, blue. LS_BAD_INPUT names the option. */
int jpegs_normalisation(const jpegs_choices *choices, double mean[3], double std[3],
                        ls_error *error);

#define DECODE_CHOICES  "exact|fast"
#define SHUFFLE_CHOICES "full|block"

#endif
