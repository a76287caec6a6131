/* Position embeddings for another grid of patches (the room's own).
 *
 * As timm's resample_abs_pos_embed makes them: torch's interpolate(mode="bicubic", antialias=True,
 * align_corners=False) over the grid, the class token's apart. Keys' cubic convolution with
 * a = -1/2, widened by the scale where the grid becomes smaller, its weights normalised at the
 * borders (Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981).
 * (HuggingFace interpolates without antialias, with a = -3/4: other values.) */
#ifndef LOCKSTEP_WEIGHTS_POSITIONS_H
#define LOCKSTEP_WEIGHTS_POSITIONS_H

#include "base/error.h"

typedef struct position_grid {
    int rows, columns;
} position_grid;

/* from [from.rows, from.columns, channels], out [to.rows, to.columns, channels]. */
int positions_interpolate(const float *from, position_grid from_grid, float *out,
                          position_grid to_grid, int channels, ls_error *error);

#endif
