/* The fingerprint of an array: the same on every device, whatever the threads; every change of a
 * bit and of the order shows in its hash; its sketch tells norms and distances. */
#include "ops_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static fingerprint of(subject *s, const float *values, size_t count) {
    ls_error error = {0};
    fingerprint got = {0};
    array device_values = parameters_of(s, values, count), out = array_of(s, &got, sizeof got);
    must(s->ops->fingerprint(s->device, s->stream, parameters_at(&device_values), 0, count,
                             out.memory, &error),
         &error);
    array_get(s, &out, &got);
    array_free(s, &device_values), array_free(s, &out);
    return got;
}

/* The definition in base/fingerprint.h, in the opposite order and in two parts. */
static fingerprint in_parts(const float *values, size_t count) {
    fingerprint parts[2] = {{0}, {0}};
    for (size_t i = count; i-- > 0;) {
        fingerprint *part = &parts[i % 3 == 0];
        fingerprint_block block = fingerprint_block_at(i / FINGERPRINT_BUCKETS);
        unsigned j = (unsigned)(i % FINGERPRINT_BUCKETS);
        uint64_t fixed = (uint64_t)llrint(fmin(fmax((double)values[i], -1024), 1024) * 0x1p40);
        part->hash += fingerprint_term(i, fingerprint_bits(values[i]));
        part->sketch[(j + block.rotation) % FINGERPRINT_BUCKETS] +=
            fingerprint_sign(&block, j) ? 0 - fixed : fixed;
    }
    parts[0].hash += parts[1].hash;
    for (int bucket = 0; bucket < FINGERPRINT_BUCKETS; bucket++)
        parts[0].sketch[bucket] += parts[1].sketch[bucket];
    return parts[0];
}

static void same_on_all(subject *s, size_t count) {
    float *values = random_floats(count, 9400, -2, 2);
    for (size_t i = 0; i < count; i += 97)
        values[i] = ldexpf(values[i], (int)(i % 60) - 45);
    if (count > 400)
        values[399] = INFINITY, values[200] = -5000, values[17] = -0.0f;
    fingerprint got = of(s, values, count), want = in_parts(values, count);
    expect(memcmp(&got, &want, sizeof got) == 0, "%zu values: not what its parts add up to", count);
    free(values);
}

/* Cut anywhere, the parts add up to the whole. */
static void parts_add_up(subject *s) {
    static const size_t cuts[] = {0, 1, 2, 120, 127, 256, 300, 301, 640, 5001, 9000};
    enum { CUTS = sizeof cuts / sizeof *cuts };
    ls_error error = {0};
    fingerprint got = {0};
    float *values = random_floats(cuts[CUTS - 1], 9450, -2, 2);
    array out = array_of(s, &got, sizeof got);
    for (size_t cut = CUTS - 1; cut-- > 0;) {
        size_t count = cuts[cut + 1] - cuts[cut];
        array part = parameters_of(s, values + cuts[cut], count);
        must(s->ops->fingerprint(s->device, s->stream, parameters_at(&part), cuts[cut], count,
                                 out.memory, &error),
             &error);
        array_free(s, &part);
    }
    array_get(s, &out, &got);
    array_free(s, &out);
    fingerprint want = of(s, values, cuts[CUTS - 1]);
    expect(memcmp(&got, &want, sizeof got) == 0, "parts give another fingerprint than the whole");
    free(values);
}

/* Position by position: a changed lowest bit, the sign of a zero, two neighbours exchanged. */
static void changes_show(subject *s) {
    enum { COUNT = 300 };
    float *values = random_floats(COUNT, 9500, -1, 1);
    values[7] = 0;
    uint64_t before = of(s, values, COUNT).hash;
    for (size_t i = 0; i < COUNT; i += 13) {
        float kept = values[i];
        values[i] = nextafterf(kept, 2);
        expect(of(s, values, COUNT).hash != before, "the last bit of value %zu does not show", i);
        values[i] = values[COUNT - 1 - i];
        values[COUNT - 1 - i] = kept;
        expect(of(s, values, COUNT).hash != before, "values %zu and %zu exchanged do not show", i,
               COUNT - 1 - i);
        values[COUNT - 1 - i] = values[i];
        values[i] = kept;
    }
    expect(of(s, values, COUNT).hash == before, "the same values have another hash");
    values[7] = -0.0f;
    expect(of(s, values, COUNT).hash != before, "the sign of a zero does not show");
    free(values);
}

/* Of the difference of two sketches; of one where b is NULL. */
static double norm(const fingerprint *a, const fingerprint *b) {
    double sum = 0;
    for (int bucket = 0; bucket < FINGERPRINT_BUCKETS; bucket++) {
        double term = (double)(int64_t)(a->sketch[bucket] - (b ? b->sketch[bucket] : 0));
        sum += term * term;
    }
    return sqrt(sum) * FINGERPRINT_UNIT;
}

/* Where a and b differ: everywhere, in every 128th element (which a sketch without rotations would
 * put into one bucket), in one element. */
static const struct {
    const char *name;
    size_t stride, count;
} differences_at[] = {{"everywhere", 1, 5000}, {"in every 128th", 128, 100000}};

/* The ratio of norms, estimated and exact, over many pairs: unbiased to within its error, and
 * spread as base/fingerprint.h says. */
static void tells_distances(subject *s, int where) {
    enum { PAIRS = 60 };
    size_t count = differences_at[where].count, stride = differences_at[where].stride;
    double mean = 0, squares = 0;
    for (int pair = 0; pair < PAIRS; pair++) {
        float *a = random_floats(count, 9600 + (uint64_t)pair, -0.1f, 0.1f);
        float *other = random_floats(count, 9700 + (uint64_t)pair, -1e-5f, 1e-5f);
        double exact = 0, size = 0;
        fingerprint of_a = of(s, a, count);
        for (size_t i = 0; i < count; i++) {
            float moved = i % stride == 5 % stride ? a[i] + other[i] : a[i];
            exact += pow((double)moved - (double)a[i], 2);
            size += (double)a[i] * (double)a[i];
            a[i] = moved;
        }
        fingerprint of_b = of(s, a, count);
        double ratio = norm(&of_a, &of_b) / norm(&of_a, NULL) / sqrt(exact / size);
        mean += (ratio - 1) / PAIRS;
        squares += (ratio - 1) * (ratio - 1) / PAIRS;
        free(a), free(other);
    }
    double error = 1 / sqrt(FINGERPRINT_BUCKETS);
    expect(fabs(mean) < 4 * error / sqrt(PAIRS), "%s: off by %g in the mean",
           differences_at[where].name, mean);
    expect(sqrt(squares) > 0.6 * error && sqrt(squares) < 1.5 * error,
           "%s: a standard error of %g, expected about %g", differences_at[where].name,
           sqrt(squares), error);
}

void test_fingerprint(subject *s) {
    static const size_t counts[] = {0, 1, 127, 128, 129, 1000, 100003};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        same_on_all(s, counts[i]);
    parts_add_up(s);
    changes_show(s);
    case_done(s, "fingerprint: its parts' sum, and any change shows");
    if (strcmp(s->name, "ref") != 0) /* the same bits: what its sketches tell, all tell */
        return;
    for (int where = 0; where < 2; where++)
        tells_distances(s, where);
    case_done(s, "fingerprint: distances from sketches are the exact ones, to 9%%");
}
