#include "report/picture/plot.h"

#include "base/atomic_file.h"
#include "report/picture/plot_gnuplot.h"
#include "report/picture/plot_kinds.h"
#include "report/picture/plot_svg.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int pictures_make(picture_list *out, const comparison_list *tables,
                  const configuration_list *configurations, const modes *modes,
                  complaints *complaints, ls_error *error) {
    *out = (picture_list){0};
    LS_TRY(add_speedup_pictures(out, tables, error));
    LS_TRY(add_time_picture(out, configurations, error));
    LS_TRY(add_throughput_picture(out, modes, error));
    LS_TRY(add_memory_picture(out, configurations, error));
    LS_TRY(add_curve_pictures(out, configurations, complaints, error));
    LS_TRY(add_usage_pictures(out, configurations, complaints, error));
    return add_attempt_picture(out, configurations, complaints, error);
}

int picture_svg(text_buffer *out, const picture *self, ls_error *error) {
    text_buffer drawn = {0};
    LS_TRY(text_buffer_check(&self->title, error));
    int status = gnuplot_run(&self->scripts[PLOT_SVG], GNUPLOT_SECONDS, &drawn, error);
    if (status == LS_OK)
        status = plot_svg_finish(out, &drawn, self->name, self->title.bytes, error);
    text_free(&drawn);
    return status;
}

static int write_one(const picture *self, const char *folder, const char *ending,
                     const text_buffer *bytes, ls_error *error) {
    char path[4096];
    format_plain(path, sizeof path, "%.4000s/%s%s", folder, self->name, ending);
    LS_TRY(text_buffer_check(bytes, error));
    return atomic_file_write(path, bytes->bytes, bytes->length, error);
}

static int write_svg(const picture *self, const char *folder, ls_error *error) {
    text_buffer file = {0};
    text_add(&file, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    int status = picture_svg(&file, self, error);
    if (status == LS_OK)
        status = write_one(self, folder, ".svg", &file, error);
    text_free(&file);
    return status;
}

static int write_png(const picture *self, const char *folder, plot_format format, ls_error *error) {
    text_buffer file = {0};
    int status = gnuplot_run(&self->scripts[format], GNUPLOT_SECONDS, &file, error);
    if (status == LS_OK)
        status =
            write_one(self, folder, format == PLOT_PNG_DARK ? "-dark.png" : ".png", &file, error);
    text_free(&file);
    return status;
}

int pictures_write(const picture_list *self, const char *folder, bool png, ls_error *error) {
    if (strlen(folder) > 4000)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is too long", folder);
    LS_TRY(folder_create(folder, error));
    if (access(folder, W_OK | X_OK) != 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot write", folder);
    for (size_t index = 0; index < self->count; index++) {
        LS_TRY(write_svg(&self->items[index], folder, error));
        if (png)
            LS_TRY(write_png(&self->items[index], folder, PLOT_PNG_LIGHT, error));
        if (png)
            LS_TRY(write_png(&self->items[index], folder, PLOT_PNG_DARK, error));
    }
    return LS_OK;
}
