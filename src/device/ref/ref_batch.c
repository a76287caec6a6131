/* uint8 images, gathered by index, to a normalised batch in a layout. */
#include "device/ref/ref.h"

#include <string.h>

int ref_make_batch(device *self, device_stream *stream, const batch_arguments *arguments,
                   ls_error *error) {
    (void)self, (void)stream;
    const batch_arguments *a = arguments;
    LS_TRY(ref_check_type("make_batch", a->type, error));
    ref_shape shape = {a->count, a->height, a->width, a->channels};
    size_t image_bytes = (size_t)a->height * (size_t)a->width * (size_t)a->channels;
    float *out = a->out;
    if (a->layout == LAYOUT_NCHW16C) /* the padding of the last plane is zero */
        memset(out, 0, ref_elements(a->layout, shape) * sizeof *out);
    for (int n = 0; n < a->count; n++) {
        size_t source = a->indices ? (size_t)a->indices[n] : (size_t)n;
        const uint8_t *pixel = a->images + source * image_bytes;
        for (int h = 0; h < a->height; h++)
            for (int w = 0; w < a->width; w++)
                for (int c = 0; c < a->channels; c++)
                    out[ref_index_of(a->layout, shape, n, h, w, c)] =
                        (float)((double)*pixel++ * (double)a->scale + (double)a->shift);
        a->out_labels[n] = a->labels[source];
    }
    return LS_OK;
}
