#include "cnn_resident.h"

#include "base/random.h"

#include <stdlib.h>

static size_t bytes_of_image(const cnn_resident *self) {
    const cnn_step_model *of = &self->step.model;
    return (size_t)of->height * (size_t)of->width * (size_t)of->channels;
}

static int to_device(cnn_resident *self, const char *what, const void *from, size_t bytes,
                     void **out, ls_error *error) {
    device *device = self->step.device;
    LS_TRY(device->is->allocate(device, bytes, what, out, error));
    LS_TRY(
        device->is->copy(device, self->step.stream, *out, from, bytes, COPY_HOST_TO_DEVICE, error));
    return device->is->stream_synchronize(device, self->step.stream, error);
}

static void fill_image(uint8_t *image, size_t bytes, uint64_t number) {
    uint32_t bits[4];
    for (size_t at = 0; at < bytes; at++) {
        if (at % 16 == 0)
            random_block(1, RANDOM_SYNTHETIC, number, at, bits);
        image[at] = (uint8_t)(bits[at % 16 / 4] >> at % 4 * 8);
    }
}

/* Fisher and Yates' shuffle: batches are gathered from all over the images, as in training. */
static void fill(const cnn_resident *self, uint8_t *images, int32_t *labels, int64_t *order) {
    size_t bytes = bytes_of_image(self);
    for (int n = 0; n < self->count; n++) {
        fill_image(images + (size_t)n * bytes, bytes, (uint64_t)n);
        labels[n] = n % self->step.model.classes;
        order[n] = n;
    }
    for (int n = self->count - 1; n > 0; n--) {
        uint32_t bits[4];
        random_block(2, RANDOM_SYNTHETIC, 0, (uint64_t)n, bits);
        int other = (int)(bits[0] % (uint32_t)(n + 1));
        int64_t moved = order[n];
        order[n] = order[other];
        order[other] = moved;
    }
}

static int open_data(cnn_resident *self, ls_error *error) {
    size_t count = (size_t)self->count, bytes = count * bytes_of_image(self);
    uint8_t *images = malloc(bytes);
    int32_t *labels = malloc(count * sizeof *labels);
    int64_t *order = malloc(count * sizeof *order);
    int status = LS_OK;
    if (!images || !labels || !order)
        status = ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK) {
        fill(self, images, labels, order);
        status = to_device(self, "the images", images, bytes, (void **)&self->images, error);
    }
    if (status == LS_OK)
        status = to_device(self, "the labels", labels, count * sizeof *labels,
                           (void **)&self->labels, error);
    if (status == LS_OK)
        status = to_device(self, "the order", order, count * sizeof *order, (void **)&self->order,
                           error);
    free(images), free(labels), free(order);
    return status;
}

static int load_parameters(cnn_resident *self, ls_error *error) {
    float *parameters = calloc(self->step.graph.parameter_count, sizeof *parameters);
    if (!parameters)
        return ls_fail(error, LS_FAILED, "out of memory");
    network_initialise(&self->step.graph, 1, parameters);
    int status = cnn_step_load(&self->step, parameters, error);
    free(parameters);
    return status;
}

/* One step's work, put into the stream. */
static int put_step(cnn_resident *self, ls_error *error) {
    input_batch batch = cnn_step_batch(
        &self->step,
        (sample_place){.samples = self->images, .labels = self->labels, .order = self->order});
    return cnn_step_put(&self->step, &batch, error);
}

static int record(cnn_resident *self, ls_error *error) {
    device *device = self->step.device;
    if (!device->is->graph_begin)
        return LS_OK;
    LS_TRY(device->is->graph_begin(device, self->step.stream, error));
    LS_TRY(put_step(self, error));
    return device->is->graph_end(device, self->step.stream, &self->graph, error);
}

int cnn_resident_open(cnn_resident *self, const cnn_step_model *model, const char *device_name,
                      precision precision, int threads, int batch, const char *options, int count,
                      ls_error *error) {
    *self = (cnn_resident){.count = count};
    LS_TRY(cnn_step_open_model(&self->step, model, device_name, precision, threads, batch, options,
                               1 << 20, error));
    LS_TRY(open_data(self, error));
    LS_TRY(load_parameters(self, error));
    LS_TRY(cnn_resident_run(self, 2, error));
    return record(self, error);
}

void cnn_resident_close(cnn_resident *self) {
    device *device = self->step.device;
    if (device) {
        if (self->graph)
            device->is->graph_destroy(device, self->graph);
        device->is->release(device, self->images);
        device->is->release(device, self->labels);
        device->is->release(device, self->order);
    }
    cnn_step_close(&self->step);
}

/* Where the order ends, it begins again. */
static int rewind_order(cnn_resident *self, ls_error *error) {
    static const int64_t start = 0;
    device *device = self->step.device;
    self->cursor = 0;
    return device->is->copy(device, self->step.stream, &self->step.state->cursor, &start,
                            sizeof start, COPY_HOST_TO_DEVICE, error);
}

int cnn_resident_run(cnn_resident *self, int steps, ls_error *error) {
    device *device = self->step.device;
    for (int step = 0; step < steps; step++) {
        if (self->cursor + self->step.batch > self->count)
            LS_TRY(rewind_order(self, error));
        if (self->graph)
            LS_TRY(device->is->graph_launch(device, self->graph, self->step.stream, error));
        else
            LS_TRY(put_step(self, error));
        self->cursor += self->step.batch;
    }
    return device->is->stream_synchronize(device, self->step.stream, error);
}
