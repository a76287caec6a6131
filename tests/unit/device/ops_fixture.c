#include "ops_fixture.h"

#include "../check.h"
#include "base/float16.h"
#include "base/random.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void must(int status, const ls_error *error) {
    if (status == LS_OK)
        return;
    printf("Bail out! %s\n", error->text);
    exit(1);
}

/* An op's numbers are tested, not its speed: of a device that would time several algorithms for
 * each of some hundred shapes, the first one is taken, as a rank takes it that was told nothing of
 * a shape. */
static void time_nothing(device *device) {
    ls_error error = {0};
    char *nothing;
    if (!device->is->choices_export)
        return;
    must(device->is->choices_export(device, &nothing, &error), &error);
    must(device->is->choices_import(device, nothing, &error), &error);
    free(nothing);
}

subject subject_open(const char *name, int threads, precision precision) {
    subject self = {.name = name,
                    .threads = threads,
                    .precision = precision,
                    .type = precision_type(precision)};
    ls_error error = {0};
    device_request request = {.local_size = 1, .threads = threads};
    int status = device_open(name, &request, &self.device, &error);
    if (status == LS_BAD_LAUNCH) {
        printf("1..0 # SKIP %s\n", error.text);
        exit(0);
    }
    must(status, &error);
    self.ops = self.device->is->ops;
    time_nothing(self.device);
    must(self.device->is->stream_create(self.device, &self.stream, &error), &error);
    return self;
}

bool subject_has(const char *name, precision precision) {
    ls_error error = {0};
    subject self = subject_open(name, 1, PRECISION_FP32);
    int status = self.device->is->check_precision(self.device, precision, &error);
    subject_close(&self);
    return status == LS_OK;
}

/* Which way was tested, where a library refused the best. */
static void print_remarks(const char *kind, const device_remarks *remarks) {
    for (int index = 0; index < remarks->count; index++)
        printf("# %s: %s\n", kind, remarks->lines[index]);
}

void subject_close(subject *self) {
    print_remarks("fallback", &self->device->fallbacks);
    print_remarks("refused", &self->device->refusals);
    self->device->is->stream_destroy(self->device, self->stream);
    device_close(self->device);
}

tensor_layout subject_layout(const subject *s, layout_role role, int channels) {
    return s->ops->choose_layout(s->device, role, channels, s->type);
}

void expect(bool truth, const char *format, ...) {
    if (truth)
        return;
    va_list arguments;
    va_start(arguments, format);
    check_failed(format, arguments);
    va_end(arguments);
}

void case_done(const subject *s, const char *format, ...) {
    char name[256];
    va_list arguments;
    size_t length = (size_t)snprintf(name, sizeof name, "%s %s, %d thread(s): ", s->name,
                                     precision_name(s->precision), s->threads);
    va_start(arguments, format);
    vsnprintf(name + length, sizeof name - length, format, arguments);
    va_end(arguments);
    check_case(name);
    fflush(stdout);
}

int all_done(void) {
    return check_done();
}

static void expect_within(const char *what, const float *got, const float *want, size_t count,
                          double tolerance, double relative) {
    size_t wrong = 0, worst = 0;
    double largest = -1;
    for (size_t i = 0; i < count; i++) {
        if (got[i] == want[i]) /* infinities too */
            continue;
        double allowed = tolerance + relative * fabs((double)want[i]);
        double excess = fabs((double)got[i] - (double)want[i]) / (allowed > 0 ? allowed : 0x1p-149);
        if (!(excess <= 1))
            wrong++;
        if (!(excess <= largest)) { /* a NaN is the worst */
            largest = excess;
            worst = i;
        }
    }
    expect(wrong == 0,
           "%s: %zu of %zu differ by more than %.3g + %.3g of the value; [%zu] is %.9g, expected "
           "%.9g",
           what, wrong, count, tolerance, relative, worst, (double)(count ? got[worst] : 0),
           (double)(count ? want[worst] : 0));
}

void expect_close(const char *what, const float *got, const float *want, size_t count,
                  double tolerance) {
    expect_within(what, got, want, count, tolerance, 0);
}

void expect_close_stored(const subject *s, const char *what, const float *got, const float *want,
                         size_t count, double tolerance) {
    switch (s->type) {
    case DTYPE_BF16:
        expect_within(what, got, want, count, tolerance, 0x1p-8);
        break;
    case DTYPE_F16:
        expect_within(what, got, want, count, tolerance + 0x1p-25, 0x1p-11);
        break;
    default:
        expect_within(what, got, want, count, tolerance, 0);
    }
}

void expect_equal(const char *what, const float *got, const float *want, size_t count) {
    expect_close(what, got, want, count, 0);
}

double sum_tolerance(size_t length) {
    return 0x1p-22 * (double)(length + 8);
}

float *floats(size_t count) {
    float *out = calloc(count ? count : 1, sizeof *out);
    if (!out)
        abort();
    return out;
}

float *random_floats(size_t count, uint64_t stream, float low, float high) {
    float *out = floats(count);
    for (size_t i = 0; i < count; i += 4) {
        uint32_t bits[4];
        random_block(20240917, RANDOM_SYNTHETIC, stream, i / 4, bits);
        for (size_t k = 0; k < 4 && i + k < count; k++)
            out[i + k] = low + (high - low) * random_unit(bits[k]);
    }
    return out;
}

/* A multiple of the unit in the last place of a significand of `bits` bits, by rint's rounding to
 * nearest even; below 2^lowest the unit no longer shrinks. */
static double rounded_to_bits(double value, int bits, int lowest) {
    int exponent;
    if (value == 0 || !isfinite(value))
        return value;
    frexp(value, &exponent); /* value = m * 2^exponent, m in [0.5, 1) */
    if (exponent - 1 < lowest)
        exponent = lowest + 1;
    double unit = ldexp(1, exponent - bits);
    return rint(value / unit) * unit;
}

float rounded_to(precision precision, float value) {
    switch (precision) {
    case PRECISION_TF32:
        return (float)rounded_to_bits((double)value, 11, -126);
    case PRECISION_BF16:
        return (float)rounded_to_bits((double)value, 8, -126);
    case PRECISION_FP16: {
        double rounded = rounded_to_bits((double)value, 11, -14);
        return fabs(rounded) > 65504 ? copysignf(INFINITY, value) : (float)rounded;
    }
    default:
        return value;
    }
}

float *rounded_copy(precision precision, const float *values, size_t count) {
    float *out = floats(count);
    for (size_t i = 0; i < count; i++)
        out[i] = rounded_to(precision, values[i]);
    return out;
}

float *random_values(const subject *s, size_t count, uint64_t stream, float low, float high) {
    float *out = random_floats(count, stream, low, high);
    for (size_t i = 0; i < count; i++)
        out[i] = rounded_to(s->precision, out[i]);
    return out;
}

float *random_weights(const subject *s, size_t count, uint64_t stream) {
    return s->precision == PRECISION_TF32 ? random_values(s, count, stream, -1, 1)
                                          : random_floats(count, stream, -1, 1);
}

/* --- device memory */

enum { GUARD = 256, POISON = 0xFF }; /* four bytes of 0xFF are a NaN */

static void copy(subject *s, void *to, const void *from, size_t bytes, copy_kind kind) {
    ls_error error = {0};
    must(s->device->is->copy(s->device, s->stream, to, from, bytes, kind, &error), &error);
    must(s->device->is->stream_synchronize(s->device, s->stream, &error), &error);
}

array array_new(subject *s, size_t bytes) {
    ls_error error = {0};
    void *memory;
    size_t whole = bytes + 2 * GUARD;
    must(s->device->is->allocate(s->device, whole, "an array of a test", &memory, &error), &error);
    char *poison = malloc(whole);
    if (!poison)
        abort();
    memset(poison, POISON, whole);
    copy(s, memory, poison, whole, COPY_HOST_TO_DEVICE);
    free(poison);
    return (array){.base = memory, .memory = (char *)memory + GUARD, .bytes = bytes};
}

array array_of(subject *s, const void *host, size_t bytes) {
    array self = array_new(s, bytes);
    copy(s, self.memory, host, bytes, COPY_HOST_TO_DEVICE);
    return self;
}

void array_get(subject *s, const array *from, void *host) {
    copy(s, host, from->memory, from->bytes, COPY_DEVICE_TO_HOST);
}

static bool is_poison(const unsigned char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != POISON)
            return false;
    return true;
}

void array_free(subject *s, array *self) {
    unsigned char guard[2 * GUARD];
    copy(s, guard, self->base, GUARD, COPY_DEVICE_TO_HOST);
    copy(s, guard + GUARD, (char *)self->memory + self->bytes, GUARD, COPY_DEVICE_TO_HOST);
    expect(is_poison(guard, GUARD), "written before an array of %zu bytes", self->bytes);
    expect(is_poison(guard + GUARD, GUARD), "written behind an array of %zu bytes", self->bytes);
    s->device->is->release(s->device, self->base);
    *self = (array){0};
}

/* Of values that the type holds: by cutting bits off a float, or shifting them into place. */
static void encode(dtype type, const float *from, void *to, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &from[i], sizeof bits);
        if (type == DTYPE_F32)
            ((float *)to)[i] = from[i];
        else
            ((uint16_t *)to)[i] =
                type == DTYPE_BF16 ? (uint16_t)(bits >> 16) : fp16_of_float(from[i]);
    }
}

static void decode(dtype type, const void *from, float *to, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (type == DTYPE_F32)
            to[i] = ((const float *)from)[i];
        else if (type == DTYPE_BF16)
            to[i] = bf16_to_float(((const uint16_t *)from)[i]);
        else
            to[i] = fp16_to_float(((const uint16_t *)from)[i]);
    }
}

array values_new(subject *s, size_t count) {
    return array_new(s, count * dtype_bytes(s->type));
}

array values_of(subject *s, const float *host, size_t count) {
    void *encoded = malloc(count * dtype_bytes(s->type) + 1);
    if (!encoded)
        abort();
    encode(s->type, host, encoded, count);
    array self = array_of(s, encoded, count * dtype_bytes(s->type));
    free(encoded);
    return self;
}

float *values_get(subject *s, const array *from, size_t count) {
    void *encoded = malloc(from->bytes + 1);
    float *host = floats(count);
    if (!encoded)
        abort();
    array_get(s, from, encoded);
    decode(s->type, encoded, host, count);
    free(encoded);
    return host;
}

/* --- layouts, by strides: written apart from the ref device's helper, which it checks */

typedef struct strides {
    size_t n, h, w, channel;
    size_t group, plane; /* channels of a group; from one group to the next */
} strides;

static strides strides_of(tensor_layout layout, dims d) {
    size_t area = (size_t)d.height * (size_t)d.width, row = (size_t)d.width;
    size_t c = (size_t)d.channels;
    if (layout == LAYOUT_NCHW)
        return (strides){.n = area * c, .h = row, .w = 1, .channel = area, .group = c};
    if (layout == LAYOUT_NHWC)
        return (strides){.n = area * c, .h = row * c, .w = c, .channel = 1, .group = c};
    if (layout == LAYOUT_NHWC_PADDED) {
        size_t lying = (c + 7) / 8 * 8;
        return (strides){
            .n = area * lying, .h = row * lying, .w = lying, .channel = 1, .group = lying};
    }
    size_t group = layout == LAYOUT_NCHW16C ? 16 : 8;
    return (strides){.n = area * ((c + group - 1) / group * group),
                     .h = group * row,
                     .w = group,
                     .channel = 1,
                     .group = group,
                     .plane = group * area};
}

static size_t place(strides at, size_t n, size_t h, size_t w, size_t c) {
    return n * at.n + h * at.h + w * at.w + c % at.group * at.channel + c / at.group * at.plane;
}

/* Copies between the canonical order and a layout: which one is written is `to_layout`. */
static void convert(tensor_layout layout, dims d, float *canonical, float *laid_out,
                    bool to_layout) {
    strides at = strides_of(layout, d);
    size_t i = 0;
    for (int n = 0; n < d.n; n++)
        for (int h = 0; h < d.height; h++)
            for (int w = 0; w < d.width; w++)
                for (int c = 0; c < d.channels; c++, i++) {
                    float *there = &laid_out[place(at, (size_t)n, (size_t)h, (size_t)w, (size_t)c)];
                    if (to_layout)
                        *there = canonical[i];
                    else
                        canonical[i] = *there;
                }
}

const char *layout_name(tensor_layout layout) {
    static const char *const names[] = {[LAYOUT_NHWC] = "nhwc",
                                        [LAYOUT_NCHW] = "nchw",
                                        [LAYOUT_NCHW16C] = "nchw16c",
                                        [LAYOUT_NCHW8C] = "nchw8c",
                                        [LAYOUT_NHWC_PADDED] = "nhwc, padded"};
    return names[layout];
}

size_t layout_elements(tensor_layout layout, dims d) {
    return (size_t)d.n * strides_of(layout, d).n;
}

array tensor_new(subject *s, tensor_layout layout, dims d) {
    return values_new(s, layout_elements(layout, d));
}

array tensor_of(subject *s, tensor_layout layout, dims d, const float *canonical) {
    float *laid_out = floats(layout_elements(layout, d));
    if (layout == LAYOUT_NHWC_PADDED) /* whose padding is 0 */
        memset(laid_out, 0, layout_elements(layout, d) * sizeof *laid_out);
    convert(layout, d, (float *)canonical, laid_out, true);
    array self = values_of(s, laid_out, layout_elements(layout, d));
    free(laid_out);
    return self;
}

float *tensor_get(subject *s, tensor_layout layout, dims d, const array *from) {
    float *laid_out = values_get(s, from, layout_elements(layout, d));
    float *canonical = floats(dims_count(d));
    convert(layout, d, canonical, laid_out, false);
    free(laid_out);
    return canonical;
}

array parameters_new(subject *s, size_t count) {
    return array_new(s, (count + PARAMETER_SKIP) * sizeof(float));
}

array parameters_of(subject *s, const float *host, size_t count) {
    array self = parameters_new(s, count);
    copy(s, parameters_at(&self), host, count * sizeof *host, COPY_HOST_TO_DEVICE);
    return self;
}

float *parameters_at(const array *self) {
    return (float *)self->memory + PARAMETER_SKIP;
}

float *parameters_get(subject *s, const array *self, size_t count) {
    float *host = floats(count);
    copy(s, host, parameters_at(self), count * sizeof *host, COPY_DEVICE_TO_HOST);
    return host;
}

/* --- finite differences */

uint64_t signs_of(const float *values, size_t count) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ (values[i] > 0)) * 1099511628211u;
    return hash;
}

void expect_gradient(const char *what, const differences *how, float *values, const float *gradient,
                     size_t count) {
    size_t tried = 0, skipped = 0, wrong = 0, worst = 0;
    double largest = -1, worst_slope = 0;
    for (size_t i = 0; i < count; i += how->stride) {
        float before = values[i], up = before + how->step, down = before - how->step;
        uint64_t signature_up = 0, signature_down = 0;
        values[i] = up;
        double above = how->loss(how->context, &signature_up);
        values[i] = down;
        double below = how->loss(how->context, &signature_down);
        values[i] = before;
        tried++;
        if (signature_up != signature_down) {
            skipped++;
            continue;
        }
        double slope = (above - below) / ((double)up - (double)down);
        double distance = fabs(slope - (double)gradient[i]);
        wrong += !(distance <= how->tolerance);
        if (!(distance <= largest)) {
            largest = distance;
            worst = i;
            worst_slope = slope;
        }
    }
    expect(wrong == 0, "%s: %zu of %zu differ by more than %.3g; [%zu] is %.9g, the slope is %.9g",
           what, wrong, tried, how->tolerance, worst, (double)gradient[worst], worst_slope);
    expect(skipped * 2 <= tried, "%s: %zu of %zu differences cross a kink: the test is blind", what,
           skipped, tried);
}
