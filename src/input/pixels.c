#include "input/pixels.h"
#include "input/augmentations.h"

#include <stdlib.h>
#include <string.h>

extern const data_kind data_pixels;

pixels pixels_of(int height, int width, int channels, int classes) {
    size_t bytes = (size_t)height * (size_t)width * (size_t)channels;
    return (pixels){.base = {.is = &data_pixels,
                             .facts = {.height = height,
                                       .width = width,
                                       .channels = channels,
                                       .classes = classes,
                                       .bytes = bytes}},
                    .scale = 2.0f / 255.0f, /* (x / 255 - 0.5) / 0.5 */
                    .shift = -1.0f};
}

pixels pixels_of_dataset(dataset *data) {
    const dataset_facts *facts = &data->facts;
    pixels made = pixels_of(facts->height, facts->width, facts->channels, facts->classes);
    made.data = data;
    made.base.facts.samples = facts->images;
    memcpy(made.base.facts.id, facts->id, sizeof facts->id);
    return made;
}

static const pixels *of(const samples *self) {
    return (const pixels *)self;
}

static bool recognises(const char *folder) {
    (void)folder;
    return true;
}

static int check_choices(const char *folder, const sample_choices *choices,
                         const dataset_facts *facts, ls_error *error) {
    if (strcmp(choices->augment, "resized-crop") == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--augment resized-crop: %s holds images of one size: expected crop-flip or "
                       "none, or a data set of `lockstep pack images --encoded`",
                       folder);
    if (choices->jpegs.image_size &&
        (choices->jpegs.image_size != facts->height || choices->jpegs.image_size != facts->width))
        return ls_fail(error, LS_BAD_INPUT,
                       "--image-size %d: %s holds images of %d x %d pixels: leave it out, or pack "
                       "the images with --encoded",
                       (int)choices->jpegs.image_size, folder, facts->height, facts->width);
    return LS_OK;
}

static int open_split(const char *folder, const char *split, const sample_choices *choices,
                      bool training, samples **out, ls_error *error) {
    pixels *self = malloc(sizeof *self);
    dataset *data;
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status = dataset_open(folder, split, &data, error);
    if (status == LS_OK && (status = dataset_require(data, CONTENT_PIXELS, error)) != LS_OK)
        dataset_close(data);
    if (status != LS_OK) {
        free(self);
        return status;
    }
    *self = pixels_of_dataset(data);
    status = check_choices(folder, choices, &data->facts, error);
    if (status != LS_OK) {
        dataset_close(data);
        free(self);
        return status;
    }
    if (training)
        self->augment = augmentation_of(choices->augment, choices->seed);
    *out = &self->base;
    return LS_OK;
}

static void close_split(samples *self) {
    dataset_close(((pixels *)self)->data);
    free(self);
}

static size_t load_bytes(const samples *self) {
    return (size_t)self->facts.samples * (self->facts.bytes + sizeof(int32_t));
}

static int load(samples *self, ls_error *error) {
    return dataset_load(((pixels *)self)->data, error);
}

static int fetch(const samples *self, int epoch, int64_t id, void *out, int32_t *label,
                 ls_error *error) {
    const dataset *data = of(self)->data;
    size_t bytes = self->facts.bytes;
    (void)epoch;
    if (!data->images)
        return ls_fail(error, LS_FAILED, "the data set %s is not loaded", data->folder);
    *label = data->labels[id];
    memcpy(out, data->images + (size_t)id * bytes, bytes);
    return LS_OK;
}

static const void *whole(const samples *self, const int32_t **labels) {
    *labels = of(self)->data->labels;
    return of(self)->data->images;
}

static int make(const samples *self, device *device, device_stream *stream,
                const sample_place *from, int count, const sample_target *to, ls_error *error) {
    batch_arguments arguments = samples_batch(self, from, count, to);
    arguments.scale = of(self)->scale;
    arguments.shift = of(self)->shift;
    arguments.augment = of(self)->augment;
    return device->is->ops->make_batch(device, stream, &arguments, error);
}

const data_kind data_pixels = {
    .name = "pixels",
    .recognises = recognises,
    .open = open_split,
    .close = close_split,
    .load_bytes = load_bytes,
    .load = load,
    .fetch = fetch,
    .whole = whole,
    .make = make,
};
