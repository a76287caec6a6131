#include "trace/rates.h"

#include "base/clock.h"
#include "base/random.h"
#include "device/kinds/linear.h"
#include "device/ops.h"

#include <math.h>

enum { CALLS = 5, FIRST_SIDE = 256, LAST_SIDE = 8192 };
static const size_t FIRST_BYTES = (size_t)4 << 20, LAST_BYTES = (size_t)512 << 20;
static const double LONG_ENOUGH_SECONDS = 0.02, TOO_LONG_SECONDS = 0.2;

/* One call to be timed: of n, a side or bytes. */
typedef struct trial {
    device *device;
    device_stream *stream;
    plan *plan; /* NULL: a copy */
    void *memory[5];
    size_t bytes;
} trial;

enum { FROM, TO, WEIGHTS, PACKED, WORKSPACE };

static int call(const trial *self, ls_error *error) {
    const device_interface *is = self->device->is;
    if (!self->plan)
        return is->copy(self->device, self->stream, self->memory[TO], self->memory[FROM],
                        self->bytes, COPY_ON_DEVICE, error);
    op_arguments product = {.stream = self->stream,
                            .x = {self->memory[FROM]},
                            .y = self->memory[TO],
                            .parameters = {self->memory[WEIGHTS], self->memory[WEIGHTS]},
                            .packed = {self->memory[PACKED]},
                            .workspace = self->memory[WORKSPACE]};
    return self->plan->is->forward(self->plan, &product, error);
}

/* The quickest of some calls, or of as many as fit into TOO_LONG_SECONDS; the first one of all is
 * not counted where there are more. */
static int best_of(const trial *self, double *best, ls_error *error) {
    const device_interface *is = self->device->is;
    double all_seconds = 0;
    *best = INFINITY;
    for (int turn = -1; turn < CALLS; turn++) {
        LS_TRY(is->stream_synchronize(self->device, self->stream, error));
        double start = clock_seconds(), seconds;
        LS_TRY(call(self, error));
        LS_TRY(is->stream_synchronize(self->device, self->stream, error));
        seconds = clock_seconds() - start;
        all_seconds += seconds;
        if (turn >= 0 || all_seconds > TOO_LONG_SECONDS)
            *best = fmin(*best, seconds);
        if (all_seconds > TOO_LONG_SECONDS)
            return LS_OK;
    }
    return LS_OK;
}

static void release(trial *self) {
    for (size_t index = 0; index < sizeof self->memory / sizeof self->memory[0]; index++)
        if (self->memory[index])
            self->device->is->release(self->device, self->memory[index]);
    plan_release(self->plan);
}

/* False where there is no room for it. */
static bool allocate(trial *self, int index, size_t bytes) {
    ls_error full = {0};
    return bytes == 0 || self->device->is->allocate(self->device, bytes, "a profile's floor",
                                                    &self->memory[index], &full) == LS_OK;
}

/* Random values: a GPU multiplies zeros with less power, and so faster. */
static int fill(trial *self, size_t count, dtype type, ls_error *error) {
    enum { BLOCK = 1 << 14 };
    float block[BLOCK];
    const device_interface *is = self->device->is;
    for (uint32_t index = 0; index < BLOCK; index += 4) {
        uint32_t bits[4];
        random_block(1, RANDOM_SYNTHETIC, 0, index, bits);
        for (uint32_t k = 0; k < 4; k++)
            block[index + k] = (float)(bits[k] >> 8) * 0x1p-23f - 1;
    }
    for (size_t at = 0; at < count; at += BLOCK) {
        size_t part = count - at < BLOCK ? count - at : BLOCK;
        LS_TRY(is->copy(self->device, self->stream, (float *)self->memory[WEIGHTS] + at, block,
                        part * sizeof *block, COPY_HOST_TO_DEVICE, error));
    }
    if (self->memory[PACKED])
        LS_TRY(plan_pack(self->plan, self->stream, 0, self->memory[WEIGHTS], self->memory[PACKED],
                         error));
    LS_TRY(type == DTYPE_F32
               ? is->copy(self->device, self->stream, self->memory[FROM], self->memory[WEIGHTS],
                          count * sizeof *block, COPY_ON_DEVICE, error)
               : is->ops->cast(self->device, self->stream, count, DTYPE_F32, self->memory[WEIGHTS],
                               type, self->memory[FROM], error));
    return is->stream_synchronize(self->device, self->stream, error);
}

static int prepare_product(trial *self, int side, precision precision, bool *fits,
                           ls_error *error) {
    dtype type = precision_type(precision);
    size_t square = (size_t)side * (size_t)side;
    linear_shape shape = {.n = side,
                          .in_features = side,
                          .out_features = side,
                          .type = type,
                          .tf32 = precision == PRECISION_TF32};
    LS_TRY(op_prepare(self->device, &op_linear, &shape, NULL, &self->plan, error));
    *fits = allocate(self, FROM, square * dtype_bytes(type)) &&
            allocate(self, TO, square * dtype_bytes(type)) &&
            allocate(self, WEIGHTS, square * sizeof(float)) &&
            allocate(self, PACKED, self->plan->packed[0].bytes) &&
            allocate(self, WORKSPACE, self->plan->workspace_bytes);
    return *fits ? fill(self, square, type, error) : LS_OK;
}

static int time_product(device *device, device_stream *stream, int side, precision precision,
                        bool *fits, double *seconds, ls_error *error) {
    trial self = {.device = device, .stream = stream};
    int status = prepare_product(&self, side, precision, fits, error);
    if (status == LS_OK && *fits)
        status = best_of(&self, seconds, error);
    release(&self);
    return status;
}

static int time_copy(device *device, device_stream *stream, size_t bytes, bool *fits,
                     double *seconds, ls_error *error) {
    trial self = {.device = device, .stream = stream, .bytes = bytes};
    *fits = allocate(&self, FROM, bytes) && allocate(&self, TO, bytes);
    int status = *fits ? best_of(&self, seconds, error) : LS_OK;
    release(&self);
    return status;
}

/* Small ones lie in a cache, or last no longer than a launch: the largest counts. */
int device_rates_measure(device *device, device_stream *stream, precision precision,
                         device_rates *out, ls_error *error) {
    bool fits = true;
    double seconds = 0;
    *out = (device_rates){NAN, NAN};
    for (int side = FIRST_SIDE; side <= LAST_SIDE && seconds < LONG_ENOUGH_SECONDS; side *= 2) {
        LS_TRY(time_product(device, stream, side, precision, &fits, &seconds, error));
        if (!fits)
            break;
        double rate = 2.0 * side * side * side / seconds;
        out->flop_per_second = fmax(rate, out->flop_per_second);
    }
    seconds = 0;
    for (size_t bytes = FIRST_BYTES; bytes <= LAST_BYTES && seconds < LONG_ENOUGH_SECONDS;
         bytes *= 2) {
        LS_TRY(time_copy(device, stream, bytes, &fits, &seconds, error));
        if (!fits)
            break;
        out->bytes_per_second = 2.0 * (double)bytes / seconds;
    }
    return LS_OK;
}
