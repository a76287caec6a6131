#include "report/picture/plot_kinds.h"

#include <stdlib.h>

int bar_room_open(bar_room *out, size_t count, size_t parts, ls_error *error) {
    *out = (bar_room){.bars = calloc(count + 1, sizeof *out->bars),
                      .names = calloc(count + 1, sizeof *out->names),
                      .parts = calloc(count * parts + 1, sizeof *out->parts),
                      .count = count};
    if (out->bars && out->names && out->parts)
        return LS_OK;
    bar_room_free(out);
    return ls_fail(error, LS_FAILED, "no memory for a picture");
}

void bar_room_free(bar_room *self) {
    for (size_t index = 0; self->names && index < self->count; index++)
        text_free(&self->names[index]);
    free(self->bars);
    free(self->names);
    free(self->parts);
    *self = (bar_room){0};
}

int picture_of_bars(picture *out, const plot_bars *bars, ls_error *error) {
    text_add(&out->title, "%s", bars->title);
    for (int format = 0; format < PLOT_FORMATS; format++)
        plot_bars_script(&out->scripts[format], format, bars);
    return text_buffer_check(&out->title, error);
}
