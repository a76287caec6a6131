/* uint8 images, gathered by index and augmented, to a normalised batch in a layout. */
#include "device/ref/ref.h"
#include "device/window.h"

#include <string.h>

int ref_make_batch(device *self, device_stream *stream, const batch_arguments *arguments,
                   ls_error *error) {
    (void)self, (void)stream;
    const batch_arguments *a = arguments;
    LS_TRY(ref_check_type("make_batch", a->type, error));
    ref_shape shape = {a->count, a->height, a->width, a->channels};
    size_t image_bytes = (size_t)a->height * (size_t)a->width * (size_t)a->channels;
    if (layout_plane_channels(a->layout)) /* the padding of the last plane is zero */
        memset(a->out, 0, ref_elements(a->layout, shape) * dtype_bytes(a->type));
    for (int n = 0; n < a->count; n++) {
        int64_t source = batch_source(a, n);
        crop_window from = draw_window(&a->augment, a->state ? a->state->epoch : 0, batch_id(a, n));
        const uint8_t *image = a->images + (size_t)source * image_bytes;
        for (int h = 0; h < a->height; h++)
            for (int w = 0; w < a->width; w++)
                for (int c = 0; c < a->channels; c++)
                    ref_store(a->type, a->out, ref_index_of(a->layout, shape, n, h, w, c),
                              (double)window_pixel(a, image, from, h, w, c) * batch_scale(a, c) +
                                  batch_shift(a, c));
        a->out_labels[n] = a->labels[source];
    }
    return LS_OK;
}
