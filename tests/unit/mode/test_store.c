/* Who holds what (mode/store.h): ranges that begin anywhere, beside what the whole array would
 * have. */
#include "mode/store_memory.h"

#include "../check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH = 1000, BUFFERS = 37 };

static device *ref;
static device_stream *stream;
static ls_error error;
static const store_span parts[] = {{3, 61}, {64, 100}, {501, 300}};
enum { PARTS = sizeof parts / sizeof parts[0] };

/* A store of an optimizer with that many moments, and where `averages` an average. */
static store *make(int moments, bool averages, int rows) {
    static const char *const names[] = {"first", "second", NULL};
    store *made = NULL;
    store_settings settings = {.device = ref,
                               .parameter_count = LENGTH,
                               .buffer_count = BUFFERS,
                               .moments = names + (2 - moments),
                               .averages = averages,
                               .rows = rows};
    CHECK(store_create(&settings, &made, &error) == LS_OK, "%s", error.text);
    return made;
}

static bool is_held(size_t element) {
    for (int part = 0; part < PARTS; part++)
        if (element >= parts[part].first && element < parts[part].first + parts[part].count)
            return true;
    return false;
}

static void test_parts(void) {
    store *self = make(2, false, 1);
    float in[LENGTH], out[LENGTH];
    const store_span *spans, whole = {0, LENGTH}, middle = {30, 600};
    CHECK(store_hold(self, STORE_PARAMETERS, parts, PARTS, &error) == LS_OK, "%s", error.text);
    CHECK(store_spans(self, STORE_PARAMETERS, &spans) == PARTS &&
              memcmp(spans, parts, sizeof parts) == 0,
          "other ranges");
    CHECK(store_bytes(self, STORE_PARAMETERS) < (461 + 3 * 128) * sizeof(float), "%zu bytes",
          store_bytes(self, STORE_PARAMETERS));
    CHECK(store_spans(self, STORE_GRADIENTS, &spans) == 0 &&
              store_bytes(self, STORE_GRADIENTS) == 0,
          "gradients are held");
    for (int i = 0; i < LENGTH; i++) {
        in[i] = (float)(i + 1);
        out[i] = -1;
    }
    CHECK(store_clear(self, stream, STORE_PARAMETERS, &error) == LS_OK, "%s", error.text);
    CHECK(store_write(self, stream, STORE_PARAMETERS, middle, in + 30, &error) == LS_OK, "write");
    CHECK(store_read(self, stream, STORE_PARAMETERS, whole, out, &error) == LS_OK, "read");
    for (int i = 0; i < LENGTH; i++) {
        bool written = i >= 30 && i < 630;
        float want = !is_held((size_t)i) ? -1 : written ? in[i] : 0;
        CHECK(out[i] == want, "element %d is %g", i, (double)out[i]);
    }
    store_destroy(self);
    check_case("ranges are written and read by their place in the whole");
}

static void test_places(void) {
    store *self = make(0, false, 1);
    CHECK(store_hold(self, STORE_PARAMETERS, parts, PARTS, &error) == LS_OK, "%s", error.text);
    float *at = store_at(self, STORE_PARAMETERS, 510, 20);
    CHECK(at == store_at(self, STORE_PARAMETERS, 501, 300) + 9, "another place");
    CHECK((uintptr_t)at % 256 == 510 * sizeof(float) % 256, "not aligned as in the whole");
    CHECK(!store_at(self, STORE_PARAMETERS, 500, 2), "half of it is not here");
    CHECK(!store_at(self, STORE_PARAMETERS, 60, 10), "it lies in two pieces");
    CHECK(!store_at(self, STORE_GRADIENTS, 510, 1), "not held at all");
    store_destroy(self);
    check_case("places, and what has none");
}

/* Parameters whole, the rest in parts: arrays of a slice are one element's at one index. */
static void test_slices(void) {
    store *self = make(1, true, 1);
    CHECK(store_hold_whole(self, STORE_PARAMETERS, &error) == LS_OK &&
              store_hold_whole(self, STORE_GRADIENTS, &error) == LS_OK,
          "%s", error.text);
    CHECK(!store_updates(self), "nothing is updated yet");
    CHECK(store_update(self, parts, PARTS, &error) == LS_OK, "%s", error.text);
    CHECK(store_updates(self) && store_slice_count(self) == PARTS, "slices");
    for (int part = 0; part < PARTS; part++) {
        store_slice slice;
        CHECK(store_lend_update(self, part, STORE_UPDATED, STORE_UPDATED, &slice, &error) == LS_OK,
              "%s", error.text);
        size_t offset = parts[part].first - slice.origin;
        CHECK(slice.span.first == parts[part].first && slice.span.count == parts[part].count,
              "slice %d", part);
        CHECK(slice.parameters + offset == store_at(self, STORE_PARAMETERS, parts[part].first, 1) &&
                  slice.gradients + offset ==
                      store_at(self, STORE_GRADIENTS, parts[part].first, 1) &&
                  slice.moments[0] + offset == store_at(self, STORE_MOMENTS, parts[part].first, 1),
              "slice %d lies elsewhere", part);
        CHECK((uintptr_t)slice.moments[0] % 256 == 0 && (uintptr_t)slice.parameters % 256 == 0,
              "slice %d is not aligned", part);
        CHECK(slice.average + offset == store_at(self, STORE_AVERAGE, parts[part].first, 1),
              "the average of slice %d lies elsewhere", part);
        CHECK(!slice.moments[1] && !slice.added && !slice.copied, "slice %d has more", part);
        CHECK(store_return(self, STORE_UPDATED, &slice, &error) == LS_OK, "%s", error.text);
    }
    store_slice elsewhere = store_slice_of(self, 200, 100);
    CHECK(elsewhere.parameters && !elsewhere.moments[0], "moments that are not here");
    store_destroy(self);
    check_case("slices of an update");
}

static void test_rows(void) {
    store *self = make(0, false, 3);
    CHECK(store_hold_whole(self, STORE_GRADIENTS, &error) == LS_OK, "%s", error.text);
    CHECK(store_row_stride(self, STORE_GRADIENTS) == 1024, "%zu elements from row to row",
          store_row_stride(self, STORE_GRADIENTS));
    CHECK(store_bytes(self, STORE_GRADIENTS) == (2 * 1024 + LENGTH) * sizeof(float), "bytes");
    CHECK(store_hold_whole(self, STORE_BUFFERS, &error) == LS_OK, "%s", error.text);
    CHECK(store_row_stride(self, STORE_BUFFERS) == 64 &&
              store_bytes(self, STORE_BUFFERS) == (2 * 64 + BUFFERS) * sizeof(float),
          "bytes of buffers");
    float other[LENGTH], *first = store_at(self, STORE_GRADIENTS, 0, LENGTH);
    CHECK(store_exchange(self, STORE_GRADIENTS, other) == first &&
              store_at(self, STORE_GRADIENTS, 7, 1) == other + 7,
          "another array");
    store_exchange(self, STORE_GRADIENTS, first);
    store_destroy(self);
    check_case("rows, buffers, another array");
}

static fingerprint print_of(const store *self, store_kind kind) {
    fingerprint out;
    CHECK(store_fingerprint(self, stream, kind, &out, &error) == LS_OK, "%s", error.text);
    return out;
}

/* Two ranks that hold every element once have prints that add up to the whole's. */
static void test_fingerprints(void) {
    static const store_span rest[] = {{0, 3}, {164, 337}, {801, 199}};
    store *whole = make(0, false, 1), *here = make(0, false, 1), *there = make(0, false, 1);
    store_span all = {0, LENGTH};
    store *stores[] = {whole, here, there};
    float in[LENGTH];
    for (int i = 0; i < LENGTH; i++)
        in[i] = 1 / (float)(i + 1);
    CHECK(store_hold_whole(whole, STORE_PARAMETERS, &error) == LS_OK &&
              store_hold(here, STORE_PARAMETERS, parts, PARTS, &error) == LS_OK &&
              store_hold(there, STORE_PARAMETERS, rest, 3, &error) == LS_OK,
          "%s", error.text);
    CHECK(store_is_whole(whole, STORE_PARAMETERS) && !store_is_whole(here, STORE_PARAMETERS),
          "what is whole");
    for (int index = 0; index < 3; index++)
        CHECK(store_write(stores[index], stream, STORE_PARAMETERS, all, in, &error) == LS_OK, "%s",
              error.text);
    fingerprint want = print_of(whole, STORE_PARAMETERS), got = print_of(here, STORE_PARAMETERS);
    fingerprint more = print_of(there, STORE_PARAMETERS);
    got.hash += more.hash;
    for (int bucket = 0; bucket < FINGERPRINT_BUCKETS; bucket++)
        got.sketch[bucket] += more.sketch[bucket];
    CHECK(memcmp(&got, &want, sizeof got) == 0, "other prints: %llx, %llx",
          (unsigned long long)got.hash, (unsigned long long)want.hash);
    for (int index = 0; index < 3; index++)
        store_destroy(stores[index]);
    check_case("prints of parts add up to the whole's");
}

/* What a run keeps, and under which name. */
static void test_kinds(void) {
    store *self = make(1, true, 1), *less = make(0, false, 1);
    CHECK(strcmp(store_name(self, STORE_PARAMETERS), "parameters") == 0 &&
              strcmp(store_name(self, STORE_BUFFERS), "buffers") == 0 &&
              strcmp(store_name(self, STORE_AVERAGE), "average") == 0 &&
              strcmp(store_name(self, STORE_MOMENTS), "second") == 0,
          "names");
    CHECK(store_length(self, STORE_MOMENTS) == LENGTH &&
              store_length(self, STORE_MOMENTS + 1) == 0 &&
              store_length(self, STORE_AVERAGE) == LENGTH &&
              store_length(self, STORE_BUFFERS) == BUFFERS,
          "lengths");
    CHECK(store_length(less, STORE_MOMENTS) == 0 && store_length(less, STORE_AVERAGE) == 0,
          "kinds that are not kept");
    CHECK(store_is_state(STORE_MOMENTS) && store_is_state(STORE_AVERAGE) &&
              !store_is_state(STORE_GRADIENTS),
          "what is state");
    store_destroy(self), store_destroy(less);
    check_case("kinds, their names and lengths");
}

static void test_swap(void) {
    store *self = make(0, true, 1);
    float values[LENGTH], average[LENGTH], out[LENGTH];
    store_span all = {0, LENGTH};
    CHECK(store_hold(self, STORE_PARAMETERS, parts, PARTS, &error) == LS_OK &&
              store_update(self, parts, PARTS, &error) == LS_OK,
          "%s", error.text);
    for (int i = 0; i < LENGTH; i++) {
        values[i] = (float)i;
        average[i] = (float)-i;
        out[i] = 0.5f;
    }
    CHECK(store_write(self, stream, STORE_PARAMETERS, all, values, &error) == LS_OK &&
              store_write(self, stream, STORE_AVERAGE, all, average, &error) == LS_OK &&
              store_swap(self, stream, STORE_PARAMETERS, STORE_AVERAGE, &error) == LS_OK,
          "%s", error.text);
    CHECK(store_read(self, stream, STORE_PARAMETERS, all, out, &error) == LS_OK, "read");
    for (int i = 0; i < LENGTH; i++)
        CHECK(out[i] == (is_held((size_t)i) ? average[i] : 0.5f), "parameter %d is %g", i,
              (double)out[i]);
    CHECK(store_read(self, stream, STORE_AVERAGE, all, out, &error) == LS_OK, "read");
    for (int i = 0; i < LENGTH; i++)
        CHECK(out[i] == (is_held((size_t)i) ? values[i] : 0.5f), "average %d is %g", i,
              (double)out[i]);
    store_destroy(self);
    check_case("parameters and average change places");
}

int main(void) {
    device_request request = {.local_size = 1, .threads = 1};
    if (device_open("ref", &request, &ref, &error) != LS_OK ||
        ref->is->stream_create(ref, &stream, &error) != LS_OK)
        return 1;
    test_parts();
    test_places();
    test_slices();
    test_rows();
    test_kinds();
    test_fingerprints();
    test_swap();
    ref->is->stream_destroy(ref, stream);
    device_close(ref);
    return check_done();
}
