#include "report/plot_kinds.h"

#include "report/plot_epochs.h"

#include <math.h>
#include <stdlib.h>

/* The curves of one configuration: those of its runs whose epochs could be read. */
typedef struct curve_data {
    text_buffer name;
    run_epochs *epochs;        /* [count] */
    plot_run *loss, *accuracy; /* [count] */
    size_t count;
} curve_data;

static int read_curves(curve_data *out, const configuration_list *configurations, size_t index,
                       complaints *complaints, ls_error *error) {
    const configuration *from = &configurations->items[index];
    add_plot_name(&out->name, configurations, index);
    LS_TRY(text_buffer_check(&out->name, error));
    out->epochs = calloc(from->count, sizeof *out->epochs);
    out->loss = calloc(from->count, sizeof *out->loss);
    out->accuracy = calloc(from->count, sizeof *out->accuracy);
    if (!out->epochs || !out->loss || !out->accuracy)
        return ls_fail(error, LS_FAILED, "no memory for the runs' epochs");
    for (size_t run = 0; run < from->count; run++) {
        run_epochs *epochs = &out->epochs[out->count];
        int status = run_epochs_read(epochs, from->runs[run], error);
        if (status == LS_BAD_INPUT) {
            LS_TRY(complaints_add(complaints, error));
            continue;
        }
        LS_TRY(status);
        out->loss[out->count] = epochs->loss;
        out->accuracy[out->count++] = epochs->accuracy;
    }
    return LS_OK;
}

static void free_curves(curve_data *data, size_t count) {
    for (size_t index = 0; data && index < count; index++) {
        for (size_t run = 0; run < data[index].count; run++)
            run_epochs_free(&data[index].epochs[run]);
        free(data[index].epochs);
        free(data[index].loss);
        free(data[index].accuracy);
        text_free(&data[index].name);
    }
    free(data);
}

static int add_one(picture_list *out, const char *name, const plot_curves *all, ls_error *error) {
    picture *added = pictures_add(out, name, error);
    if (!added)
        return LS_FAILED;
    text_add(&added->title, "%s", all->title);
    for (int format = 0; format < PLOT_FORMATS; format++)
        plot_curves_script(&added->scripts[format], format, all);
    return text_buffer_check(&added->title, error);
}

static int draw(picture_list *out, const curve_data *data, plot_curve *curves, size_t count,
                ls_error *error) {
    bool repeated = false, any = false;
    for (size_t index = 0; index < count; index++) {
        repeated |= data[index].count > 1;
        any |= data[index].count > 0;
        curves[index] = (plot_curve){data[index].name.bytes, data[index].loss, data[index].count};
    }
    if (!any)
        return LS_OK;
    plot_curves all = {.title = "Loss",
                       .subtitle = repeated ? "mean over the images; thick: the median of the "
                                              "repeats, thin: each of them"
                                            : "mean over the images",
                       .unit = "loss",
                       .factor = 1,
                       .most = INFINITY,
                       .curves = curves,
                       .count = count};
    LS_TRY(add_one(out, "loss", &all, error));
    for (size_t index = 0; index < count; index++)
        curves[index].runs = data[index].accuracy;
    all.title = "Accuracy";
    all.unit = "accuracy, %";
    all.factor = all.most = 100;
    all.subtitle = repeated ? "images that were classified right; thick: the median of the "
                              "repeats, thin: each of them"
                            : "images that were classified right";
    return add_one(out, "accuracy", &all, error);
}

int add_curve_pictures(picture_list *out, const configuration_list *configurations,
                       complaints *complaints, ls_error *error) {
    size_t count = configurations->count;
    curve_data *data = calloc(count, sizeof *data);
    plot_curve *curves = calloc(count, sizeof *curves);
    int status =
        data && curves ? LS_OK : ls_fail(error, LS_FAILED, "no memory for the runs' epochs");
    for (size_t index = 0; status == LS_OK && index < count; index++)
        status = read_curves(&data[index], configurations, index, complaints, error);
    if (status == LS_OK)
        status = draw(out, data, curves, count, error);
    free_curves(data, count);
    free(curves);
    return status;
}
