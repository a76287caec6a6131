/* What moves a run of steps on, on any device: the verdict on gradients, the loss scale, counters,
 * norms and casts; and events and progress words. */
#include "ops_fixture.h"

#include "base/float16.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static step_state state_get(subject *s, const array *from) {
    step_state out;
    array_get(s, from, &out);
    return out;
}

/* --- check_finite */

static void one_verdict(subject *s, size_t count, size_t at, float value, int32_t before,
                        int32_t want) {
    ls_error error = {0};
    float *values = random_floats(count, 9100, -1, 1);
    for (size_t i = 0; i < count; i += 17)
        values[i] = i % 2 ? FLT_MAX : -0.0f; /* large and zero are finite */
    if (at < count)
        values[at] = value;
    step_state now = {.step = 3, .cursor = 5, .loss_scale = 64, .overflow = before};
    array device_values = parameters_of(s, values, count), state = array_of(s, &now, sizeof now);
    must(s->ops->check_finite(s->device, s->stream, parameters_at(&device_values), count,
                              state.memory, &error),
         &error);
    step_state after = state_get(s, &state);
    expect(!after.overflow == !want, "%g at %zu of %zu, overflow %d before: %d, expected %d",
           (double)value, at, count, before, after.overflow, want);
    after.overflow = now.overflow;
    expect(memcmp(&after, &now, sizeof now) == 0, "something else of the state has changed");
    array_free(s, &device_values), array_free(s, &state);
    free(values);
}

void test_check_finite(subject *s) {
    static const size_t counts[] = {1, 3, 255, 1000, 100003};
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        size_t count = counts[i];
        one_verdict(s, count, count, 0, 0, 0);
        one_verdict(s, count, count, 0, 1, 1); /* it stays */
        for (int k = 0; k < 3; k++) {
            one_verdict(s, count, 0, bad[k], 0, 1);
            one_verdict(s, count, count / 2, bad[k], 0, 1);
            one_verdict(s, count, count - 1, bad[k], 0, 1);
        }
    }
    case_done(s, "check_finite");
}

/* --- advance */

static step_state advanced(subject *s, step_state from, int64_t images, bool updated,
                           bool scaling) {
    ls_error error = {0};
    array state = array_of(s, &from, sizeof from);
    must(s->ops->advance(s->device, s->stream, state.memory, images, updated, scaling, &error),
         &error);
    step_state after = state_get(s, &state);
    array_free(s, &state);
    return after;
}

static void expect_state(const char *when, step_state got, step_state want) {
    expect(got.step == want.step && got.cursor == want.cursor && got.epoch == want.epoch &&
               got.skipped == want.skipped && got.overflow == want.overflow &&
               got.loss_scale == want.loss_scale,
           "%s: step %lld, cursor %lld, epoch %lld, skipped %lld, overflow %d, scale %g; expected "
           "%lld, %lld, %lld, %lld, %d, %g",
           when, (long long)got.step, (long long)got.cursor, (long long)got.epoch,
           (long long)got.skipped, got.overflow, (double)got.loss_scale, (long long)want.step,
           (long long)want.cursor, (long long)want.epoch, (long long)want.skipped, want.overflow,
           (double)want.loss_scale);
}

void test_advance(subject *s) {
    step_state start = {.step = 41, .cursor = 640, .epoch = 2, .skipped = 1, .loss_scale = 65536};
    step_state want = start;
    want.step = 42, want.cursor = 704;
    expect_state("a good step", advanced(s, start, 64, true, true), want);
    expect_state("a good step, nothing scaled", advanced(s, start, 64, true, false), want);
    want.step = 41;
    expect_state("an evaluation", advanced(s, start, 64, false, false), want);
    step_state overflowed = start;
    overflowed.overflow = 1, overflowed.good_steps = 1999;
    want.skipped = 2, want.loss_scale = 32768;
    step_state after = advanced(s, overflowed, 64, true, true);
    expect_state("an overflow", after, want);
    expect(after.good_steps == 0, "an overflow: %d good steps", after.good_steps);
    case_done(s, "advance: a good step, an evaluation, an overflow");

    step_state now = {.loss_scale = 1024, .good_steps = LOSS_SCALE_GROWTH_STEPS - 2};
    now = advanced(s, now, 1, true, true);
    expect(now.loss_scale == 1024 && now.good_steps == LOSS_SCALE_GROWTH_STEPS - 1,
           "one step before: scale %g after %d good steps", (double)now.loss_scale, now.good_steps);
    now = advanced(s, now, 1, true, true);
    expect(now.loss_scale == 2048 && now.good_steps == 0, "scale %g after %d good steps",
           (double)now.loss_scale, now.good_steps);
    now.good_steps = LOSS_SCALE_GROWTH_STEPS - 1;
    now = advanced(s, now, 1, true, false);
    expect(now.loss_scale == 2048, "scale %g although nothing is scaled", (double)now.loss_scale);
    case_done(s, "advance: the loss scale doubles after %d good steps", LOSS_SCALE_GROWTH_STEPS);
}

/* --- cast */

static const dtype floating[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};

static precision precision_for(dtype type) {
    return type == DTYPE_BF16  ? PRECISION_BF16
           : type == DTYPE_F16 ? PRECISION_FP16
                               : PRECISION_FP32;
}

/* One value in `type`, from a float that the type holds. */
static void put(dtype type, void *array, size_t i, float value) {
    if (type == DTYPE_F32)
        ((float *)array)[i] = value;
    else
        ((uint16_t *)array)[i] = type == DTYPE_BF16 ? bf16_of_float(value) : fp16_of_float(value);
}

static float at(dtype type, const void *array, size_t i) {
    return type == DTYPE_F32    ? ((const float *)array)[i]
           : type == DTYPE_BF16 ? bf16_to_float(((const uint16_t *)array)[i])
                                : fp16_to_float(((const uint16_t *)array)[i]);
}

/* Of every size, ties among them, and beyond what fp16 holds. No subnormals of bf16: hardware
 * conversions take them for zero. */
static float cast_value(size_t i, const float *random) {
    static const float special[] = {
        0.0f,      -0.0f,      1.0f,       65504.0f, 65519.0f,   65520.0f, -1e6f,    0x1.01p0f,
        0x1.03p0f, 0x1.002p0f, 0x1.006p0f, 0x1p-24f, 0x1.8p-24f, 0x1p-25f, INFINITY, -INFINITY};
    if (i < sizeof special / sizeof *special)
        return special[i];
    return ldexpf(random[i], (int)(i % 61) - 30);
}

static void one_cast(subject *s, dtype from, dtype to, size_t count) {
    ls_error error = {0};
    float *random = random_floats(count, 9200, -1, 1);
    void *source = malloc(count * dtype_bytes(from)), *got = malloc(count * dtype_bytes(to));
    float *want = floats(count), *found = floats(count);
    if (!source || !got)
        abort();
    for (size_t i = 0; i < count; i++) {
        put(from, source, i, rounded_to(precision_for(from), cast_value(i, random)));
        want[i] = rounded_to(precision_for(to), at(from, source, i));
    }
    array device_from = array_of(s, source, count * dtype_bytes(from));
    array device_to = array_new(s, count * dtype_bytes(to));
    must(s->ops->cast(s->device, s->stream, count, from, device_from.memory, to, device_to.memory,
                      &error),
         &error);
    array_get(s, &device_to, got);
    for (size_t i = 0; i < count; i++)
        found[i] = at(to, got, i);
    expect_equal("cast", found, want, count);
    array_free(s, &device_from), array_free(s, &device_to);
    free(random), free(source), free(got), free(want), free(found);
}

void test_cast(subject *s) {
    static const size_t counts[] = {1, 31, 10007};
    for (int from = 0; from < 3; from++)
        for (int to = 0; to < 3; to++) {
            for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
                one_cast(s, floating[from], floating[to], counts[i]);
            case_done(s, "cast %s to %s", dtype_name(floating[from]), dtype_name(floating[to]));
        }
}

/* --- norms */

static void sums_of(subject *s, const array *values, size_t first, size_t count, double *out) {
    ls_error error = {0};
    size_t grains = squares_grains(count);
    array sums = array_new(s, (grains ? grains : 1) * sizeof *out);
    must(s->ops->sums_of_squares(s->device, s->stream, parameters_at(values) + first, count,
                                 sums.memory, &error),
         &error);
    if (count > 0)
        array_get(s, &sums, out);
    array_free(s, &sums);
}

/* Of an array, and of what lies from its third grain on, an element further in memory. */
void test_sums_of_squares(subject *s) {
    static const size_t counts[] = {0, 1, 9, 1000, 1024, 1025, 300007};
    enum { MOST = 300007 / SQUARES_GRAIN + 1, LATER = 2 };
    static double got[MOST], again[MOST];
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        size_t count = counts[i], later = LATER * SQUARES_GRAIN;
        float *values = random_floats(count + 1, 9300, -100, 100);
        memmove(values + 1, values, count * sizeof *values);
        array skewed = parameters_of(s, values, count + 1),
              plain = parameters_of(s, values + 1, count);
        sums_of(s, &plain, 0, count, got);
        for (size_t grain = 0; grain < squares_grains(count); grain++) {
            double want = 0;
            for (size_t k = grain * SQUARES_GRAIN; k < count && k < (grain + 1) * SQUARES_GRAIN;
                 k++)
                want += (double)values[k + 1] * (double)values[k + 1];
            /* All terms are positive: each addition rounds by 2^-53 of the sum at most. */
            expect(fabs(got[grain] - want) <= want * 0x1p-53 * (SQUARES_GRAIN + 1),
                   "grain %zu of %zu values: %.17g, expected %.17g", grain, count, got[grain],
                   want);
        }
        if (count > later) {
            sums_of(s, &skewed, later + 1, count - later, again);
            expect(memcmp(got + LATER, again, squares_grains(count - later) * sizeof *got) == 0,
                   "%zu values: other bits from the third grain on, elsewhere in memory", count);
        }
        array_free(s, &plain), array_free(s, &skewed);
        free(values);
    }
    case_done(s, "sums_of_squares");
}

/* --- clip_norm */

static void one_clip(subject *s, size_t count, double most, float loss_scale, bool overflow) {
    ls_error error = {0};
    float *values = random_floats(count, 9300, -1, 1);
    double squares = 0;
    for (size_t i = 0; i < count; i++)
        squares += (double)values[i] * (double)values[i];
    double norm = sqrt(squares) / (double)loss_scale, clip = most / (norm + 1e-6);
    step_state now = {.step = 4,
                      .loss_scale = loss_scale,
                      .overflow = overflow,
                      .clip = 0.125f,
                      .gradient_norm_sum = 3.5};
    array gradients = parameters_of(s, values, count), state = array_of(s, &now, sizeof now);
    size_t grains = squares_grains(count);
    array sums = array_new(s, grains * sizeof(double));
    must(s->ops->sums_of_squares(s->device, s->stream, parameters_at(&gradients), count,
                                 sums.memory, &error),
         &error);
    must(s->ops->clip_norm(s->device, s->stream, sums.memory, grains, most, state.memory, &error),
         &error);
    step_state after = state_get(s, &state);
    double want = !overflow && most > 0 && clip < 1 ? clip : 1;
    double sum = 3.5 + (overflow ? 0 : norm);
    expect(fabs(after.gradient_norm - norm) <= 1e-12 * norm, "norm %.17g, expected %.17g",
           after.gradient_norm, norm);
    expect(fabs((double)after.clip - want) <= 0x1p-24, "clip %.9g, expected %.9g",
           (double)after.clip, want);
    expect(fabs(after.gradient_norm_sum - sum) <= 1e-12 * sum, "sum %.17g, expected %.17g",
           after.gradient_norm_sum, sum);
    after.gradient_norm = now.gradient_norm, after.gradient_norm_sum = now.gradient_norm_sum;
    after.clip = now.clip;
    expect(memcmp(&after, &now, sizeof now) == 0, "something else of the state has changed");
    array_free(s, &gradients), array_free(s, &state), array_free(s, &sums);
    free(values);
}

void test_clip_norm(subject *s) {
    static const size_t counts[] = {1, 1000, 100003};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        one_clip(s, counts[i], 1e-3, 1, false);
        one_clip(s, counts[i], 1e6, 1, false); /* nothing to clip */
        one_clip(s, counts[i], 0, 1, false);   /* measured alone */
        one_clip(s, counts[i], 0.5, 1024, false);
        one_clip(s, counts[i], 1e-3, 64, true);
    }
    case_done(s, "clip_norm");
}

/* --- the device itself: a stamp of time, and a word that the host watches */

void test_device(subject *s) {
    ls_error error = {0};
    const device_interface *is = s->device->is;
    device_event *before, *after;
    void *memory, *word;
    double seconds = -1;
    bool done = false;
    enum { BYTES = 1 << 24 };
    must(is->event_create(s->device, &before, &error), &error);
    must(is->event_create(s->device, &after, &error), &error);
    must(is->allocate(s->device, BYTES, "a test", &memory, &error), &error);
    must(is->host_allocate(s->device, sizeof(uint32_t), &word, &error), &error);
    must(is->event_record(s->device, before, s->stream, &error), &error);
    must(is->fill_zero(s->device, s->stream, memory, BYTES, &error), &error);
    must(is->write_word(s->device, s->stream, word, 0xABCD1234u, &error), &error);
    must(is->event_record(s->device, after, s->stream, &error), &error);
    must(is->event_synchronize(s->device, after, &error), &error);
    expect(*(volatile uint32_t *)word == 0xABCD1234u, "the word is %x", *(uint32_t *)word);
    must(is->event_query(s->device, after, &done, &error), &error);
    expect(done, "an event that was waited for is not complete");
    must(is->event_seconds(s->device, before, after, &seconds, &error), &error);
    expect(seconds >= 0 && seconds < 60, "%g seconds between two events", seconds);
    is->event_destroy(s->device, before), is->event_destroy(s->device, after);
    is->release(s->device, memory), is->host_release(s->device, word);
    case_done(s, "events and a progress word");
}
