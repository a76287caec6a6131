#include "report/picture/plot_kinds.h"

#include "report/picture/plot_pictures.h"
#include "report/read/finished_epochs.h"

#include <math.h>
#include <stdlib.h>

enum { LOSS, ACCURACY, ACCURACY_OVER_TIME, ACCURACY_OVER_IMAGES, PICTURES };
enum { TRAIN_LOSS, TEST_LOSS, TRAIN_ACCURACY, TEST_ACCURACY, SECONDS, IMAGES, ARRAYS };

/* The curves of one configuration: those of its runs whose epochs could be read. */
typedef struct curve_data {
    text_buffer name;
    double **numbers;         /* [count]: the arrays of a run one after the other */
    plot_run *runs[PICTURES]; /* [count] each */
    size_t count;
} curve_data;

/* Losses and accuracies of each epoch; training seconds and images, in thousands, up to its end. */
static int keep_run(curve_data *out, const finished_epochs *epochs, ls_error *error) {
    size_t count = epochs->count;
    double seconds = 0, images = 0, *numbers = malloc((ARRAYS * count + 1) * sizeof *numbers);
    if (!numbers)
        return ls_fail(error, LS_FAILED, "no memory for the runs' epochs");
    for (size_t index = 0; index < count; index++) {
        const finished_epoch *epoch = &epochs->items[index];
        seconds += epoch->training_seconds;
        numbers[TRAIN_LOSS * count + index] = epoch->train_loss;
        numbers[TEST_LOSS * count + index] = epoch->test_loss;
        numbers[TRAIN_ACCURACY * count + index] = epoch->train_accuracy;
        numbers[TEST_ACCURACY * count + index] = epoch->test_accuracy;
        numbers[SECONDS * count + index] = seconds;
        images += epoch->images;
        numbers[IMAGES * count + index] = images / 1000;
    }
    const double *accuracy[] = {numbers + TRAIN_ACCURACY * count, numbers + TEST_ACCURACY * count};
    out->runs[LOSS][out->count] =
        (plot_run){count, NULL, {numbers + TRAIN_LOSS * count, numbers + TEST_LOSS * count}};
    out->runs[ACCURACY][out->count] = (plot_run){count, NULL, {accuracy[0], accuracy[1]}};
    out->runs[ACCURACY_OVER_TIME][out->count] =
        (plot_run){count, numbers + SECONDS * count, {accuracy[0], accuracy[1]}};
    out->runs[ACCURACY_OVER_IMAGES][out->count] =
        (plot_run){count, numbers + IMAGES * count, {accuracy[0], accuracy[1]}};
    out->numbers[out->count++] = numbers;
    return LS_OK;
}

static int read_run(curve_data *out, const finished_run *run, complaints *complaints,
                    ls_error *error) {
    finished_epochs epochs;
    int status = finished_epochs_read(&epochs, run, error);
    if (status == LS_BAD_INPUT)
        return complaints_add(complaints, error);
    LS_TRY(status);
    status = keep_run(out, &epochs, error);
    finished_epochs_free(&epochs);
    return status;
}

static int read_curves(curve_data *out, const configuration_list *configurations, size_t index,
                       complaints *complaints, ls_error *error) {
    const configuration *from = &configurations->items[index];
    add_plot_name(&out->name, configurations, index);
    LS_TRY(text_buffer_check(&out->name, error));
    bool enough = (out->numbers = calloc(from->count, sizeof *out->numbers)) != NULL;
    for (int kind = 0; kind < PICTURES; kind++)
        enough &= (out->runs[kind] = calloc(from->count, sizeof *out->runs[kind])) != NULL;
    if (!enough)
        return ls_fail(error, LS_FAILED, "no memory for the runs' epochs");
    for (size_t run = 0; run < from->count; run++)
        LS_TRY(read_run(out, from->runs[run], complaints, error));
    return LS_OK;
}

static void free_curves(curve_data *data, size_t count) {
    for (size_t index = 0; data && index < count; index++) {
        for (size_t run = 0; run < data[index].count; run++)
            free(data[index].numbers[run]);
        free(data[index].numbers);
        for (int kind = 0; kind < PICTURES; kind++)
            free(data[index].runs[kind]);
        text_free(&data[index].name);
    }
    free(data);
}

/* What a picture is but for its curves. */
static const struct {
    const char *name;
    plot_curves curves;
    const char *what;
} kinds[PICTURES] = {
    [LOSS] = {"loss",
              {.title = "Loss", .unit = "loss", .factor = 1, .most = INFINITY},
              "mean over the images"},
    [ACCURACY] = {"accuracy",
                  {.title = "Accuracy", .unit = "accuracy, %", .factor = 100, .most = 100},
                  "images that were classified right"},
    [ACCURACY_OVER_TIME] = {"accuracy-time",
                            {.title = "Accuracy over time",
                             .unit = "accuracy, %",
                             .across = "training time, s",
                             .factor = 100,
                             .most = 100},
                            "at each epoch's end, without evaluation"},
    [ACCURACY_OVER_IMAGES] = {"accuracy-images",
                              {.title = "Accuracy over images",
                               .unit = "accuracy, %",
                               .across = "thousands of images trained on",
                               .factor = 100,
                               .most = 100},
                              "at each epoch's end"},
};

static int add_one(picture_list *out, int kind, plot_curve *curves, size_t count, bool repeated,
                   ls_error *error) {
    text_buffer subtitle = {0};
    picture *added = pictures_add(out, kinds[kind].name, error);
    if (!added)
        return LS_FAILED;
    plot_curves all = kinds[kind].curves;
    text_add(&added->title, "%s", all.title);
    text_add(&subtitle, "%s%s", kinds[kind].what,
             repeated ? "; thick: the median of the repeats, thin: each of them" : "");
    all.subtitle = subtitle.bytes ? subtitle.bytes : "";
    all.curves = curves;
    all.count = count;
    for (int format = 0; format < PLOT_FORMATS; format++)
        plot_curves_script(&added->scripts[format], format, &all);
    text_free(&subtitle);
    return text_buffer_check(&added->title, error);
}

static int draw(picture_list *out, const curve_data *data, plot_curve *curves, size_t count,
                ls_error *error) {
    bool repeated = false, any = false;
    for (size_t index = 0; index < count; index++) {
        repeated |= data[index].count > 1;
        any |= data[index].count > 0;
    }
    for (int kind = 0; any && kind < PICTURES; kind++) {
        for (size_t index = 0; index < count; index++)
            curves[index] =
                (plot_curve){data[index].name.bytes, data[index].runs[kind], data[index].count};
        LS_TRY(add_one(out, kind, curves, count, repeated, error));
    }
    return LS_OK;
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
