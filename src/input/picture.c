#include "input/picture.h"

enum { MOST_REDUCTION = 8 };

int picture_open(picture *self, ls_error *error) {
    *self = (picture){0};
    return jpeg_decoder_open(&self->decoder, error);
}

void picture_close(picture *self) {
    jpeg_decoder_close(self->decoder);
    resample_close(&self->resampler);
    *self = (picture){0};
}

int picture_begin(picture *self, const uint8_t *bytes, size_t count, ls_error *error) {
    return jpeg_decoder_begin(self->decoder, bytes, count, &self->height, &self->width, error);
}

static int reduction_of(const view *view) {
    int reduction = 1;
    while (reduction < MOST_REDUCTION &&
           view->columns.extent >= 2 * reduction * view->columns.size &&
           view->rows.extent >= 2 * reduction * view->rows.size)
        reduction *= 2;
    return reduction;
}

/* The axis in a reduced image: *low is the first pixel of it that the box touches, and what the
 * resampler counts from. Exact, with *low = from, where nothing is reduced. */
static resample_axis reduced(const view_axis *axis, int reduction, int *low) {
    int end = (axis->from + axis->extent + reduction - 1) / reduction;
    *low = axis->from / reduction;
    return (resample_axis){.length = end - *low,
                           .from = (double)axis->from / reduction - *low,
                           .extent = (double)axis->extent / reduction,
                           .size = axis->size,
                           .first = axis->first,
                           .count = axis->count};
}

int picture_take(picture *self, const view *view, decode_how how, uint8_t *out, ls_error *error) {
    int reduction = how == DECODE_FAST ? reduction_of(view) : 1, left, top;
    resample_axis columns = reduced(&view->columns, reduction, &left);
    resample_axis rows = reduced(&view->rows, reduction, &top);
    resampler *resampler = &self->resampler;
    LS_TRY(resample_start(resampler, &columns, &rows, error));
    int low = resampler->columns.low;
    jpeg_part part = {.left = left + low,
                      .top = top + resampler->rows.low,
                      .width = resampler->columns.high - low,
                      .height = resampler->rows.high - resampler->rows.low,
                      .reduction = reduction,
                      .nearest_colour = how == DECODE_FAST};
    LS_TRY(jpeg_decoder_part(self->decoder, &part, error));
    for (int done = 0, count; done < part.height; done += count) {
        const uint8_t *pixels;
        size_t stride;
        LS_TRY(jpeg_decoder_rows(self->decoder, &pixels, &stride, &count, error));
        resample_push(resampler, pixels, stride, count);
    }
    resample_finish(resampler, view->mirrored, out);
    return LS_OK;
}
