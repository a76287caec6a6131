/* The loader against the sampler: every batch of every epoch, any rank, any ring, stopped in any
 * state. A device of host memory only stands in for a real one. */
#include "../check.h"
#include "../data/data_fixture.h"
#include "base/share.h"
#include "input/loader.h"
#include "input/pixels.h"
#include "input/sampler.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int allocations, calls;

static int host_allocate(device *self, size_t bytes, void **out, ls_error *error) {
    (void)self;
    calls++;
    if (bytes > (size_t)1 << 40)
        return ls_fail(error, LS_FAILED, "fake: too much");
    allocations++;
    *out = malloc(bytes); /* not zeroed: ASan and Valgrind see what is not written */
    return LS_OK;
}

static void host_release(device *self, void *memory) {
    (void)self;
    allocations--;
    free(memory);
}

static const device_interface fake_interface = {
    .name = "fake", .host_allocate = host_allocate, .host_release = host_release};
static device fake = {.is = &fake_interface};
static dataset *data;
static pixels images;

static loader_settings settings_of(int64_t batch, int rank, int size) {
    return (loader_settings){
        .global_batch = batch, .rank = rank, .size = size, .seed = 5, .shuffled = true, .slots = 3};
}

/* One batch against what the sampler, share_of and the data set say. */
static int is_right(const loader_batch *found, const loader_settings *settings, int epoch,
                    int64_t batch) {
    sampler order;
    int64_t first = batch * settings->global_batch, rest = data->facts.images - first;
    int64_t global = rest < settings->global_batch ? rest : settings->global_batch;
    share mine = share_of(global, settings->rank, settings->size);
    sampler_start(&order, data->facts.images, settings->seed, epoch, settings->shuffled);
    int right = found->count == mine.count;
    for (int index = 0; right && index < found->count; index++) {
        int64_t sample = sampler_index(&order, first + mine.first + index);
        right =
            found->indices[index] == sample && found->labels[index] == data->labels[sample] &&
            memcmp(found->samples + (size_t)index * 3072, data->images + sample * 3072, 3072) == 0;
    }
    return right;
}

static int epoch_is_right(loader *tested, const loader_settings *settings, int epoch) {
    ls_error error = {0};
    loader_batch found;
    int right = loader_start_epoch(tested, epoch, 0, &error) == LS_OK;
    for (int64_t batch = 0; right && batch < loader_batches(tested); batch++)
        right = loader_next(tested, &found, &error) == LS_OK &&
                is_right(&found, settings, epoch, batch);
    return right;
}

static void test_batches(void) {
    static const int64_t batches[] = {1, 7, 64, 128, 799, 800, 801, 5000};
    static const int sizes[] = {1, 2, 3, 7};
    for (int batch = 0; batch < 8; batch++)
        for (int size = 0; size < 4; size++)
            for (int rank = 0; rank < sizes[size]; rank++) {
                loader_settings settings = settings_of(batches[batch], rank, sizes[size]);
                settings.shuffled = rank % 2 == 0;
                settings.slots = 2 + rank;
                ls_error error = {0};
                loader *tested = NULL;
                CHECK(loader_create(&images.base, &fake, &settings, &tested, &error) == LS_OK, "%s",
                      error.text);
                CHECK(loader_batches(tested) == (800 + batches[batch] - 1) / batches[batch]);
                for (int epoch = 1; epoch <= 2; epoch++)
                    CHECK(epoch_is_right(tested, &settings, epoch), "batch %lld rank %d of %d",
                          (long long)batches[batch], rank, sizes[size]);
                loader_close(tested);
            }
    CHECK(allocations == 0, "%d", allocations);
    check_case("every batch of every rank, in order, the ragged last one included");
}

/* An epoch that goes on in its middle: what follows is what would have followed. */
static void test_first(void) {
    for (int64_t first = 0; first <= 13; first++) {
        ls_error error = {0};
        loader_settings settings = settings_of(64, 1, 3);
        loader *tested = NULL;
        loader_batch found;
        CHECK(loader_create(&images.base, &fake, &settings, &tested, &error) == LS_OK);
        CHECK(loader_start_epoch(tested, 2, first, &error) == LS_OK);
        for (int64_t batch = first; batch < 13; batch++)
            CHECK(loader_next(tested, &found, &error) == LS_OK &&
                      is_right(&found, &settings, 2, batch),
                  "batch %lld from %lld", (long long)batch, (long long)first);
        CHECK(loader_next(tested, &found, &error) == LS_FAILED, "a batch after the last");
        CHECK(epoch_is_right(tested, &settings, 3));
        loader_close(tested);
    }
    check_case("an epoch begins at any of its batches");
}

/* More ranks than images in the last batch: some have none of it, and say so. */
static void test_empty_share(void) {
    ls_error error = {0};
    loader_settings settings = settings_of(799, 0, 4);
    loader *tested = NULL;
    loader_batch found = {0};
    CHECK(loader_create(&images.base, &fake, &settings, &tested, &error) == LS_OK, "%s",
          error.text);
    CHECK(loader_start_epoch(tested, 1, 0, &error) == LS_OK);
    CHECK(loader_next(tested, &found, &error) == LS_OK && found.count == 199, "%d", found.count);
    CHECK(loader_next(tested, &found, &error) == LS_OK && found.count == 0, "%d", found.count);
    CHECK(loader_next(tested, &found, &error) == LS_FAILED, "a batch after the last");
    loader_close(tested);
    check_case("a rank may have no image of the last batch; none comes after it");
}

/* The held batch stays as it is while the thread reads ahead as far as it can. */
static void test_held(void) {
    ls_error error = {0};
    loader_settings settings = settings_of(16, 0, 1);
    settings.slots = 2;
    loader *tested = NULL;
    loader_batch found = {0};
    CHECK(loader_create(&images.base, &fake, &settings, &tested, &error) == LS_OK, "%s",
          error.text);
    CHECK(loader_start_epoch(tested, 3, 0, &error) == LS_OK);
    for (int64_t batch = 0; batch < 20; batch++) {
        CHECK(loader_next(tested, &found, &error) == LS_OK);
        usleep(2000);
        CHECK(is_right(&found, &settings, 3, batch), "batch %lld", (long long)batch);
    }
    loader_close(tested);
    check_case("the batch that is held is not written to");
}

/* Closed, or sent to the next epoch, before, during and after reading; a hang fails by timeout. */
static void test_stops(void) {
    for (int taken = -1; taken <= 50; taken++)
        for (int ending = 0; ending < 2; ending++) {
            ls_error error = {0};
            loader_settings settings = settings_of(16, 0, 1);
            loader *tested = NULL;
            loader_batch found;
            CHECK(loader_create(&images.base, &fake, &settings, &tested, &error) == LS_OK);
            if (taken >= 0)
                CHECK(loader_start_epoch(tested, 1, 0, &error) == LS_OK);
            for (int batch = 0; batch < taken; batch++)
                CHECK(loader_next(tested, &found, &error) == LS_OK, "%s", error.text);
            if (ending)
                CHECK(epoch_is_right(tested, &settings, 2), "after %d batches", taken);
            loader_close(tested);
        }
    loader_close(NULL);
    CHECK(allocations == 0, "%d", allocations);
    check_case("stopped and restarted in any state");
}

static void test_refusals(void) {
    ls_error error = {0};
    loader *tested = NULL;
    loader_batch found;
    loader_settings settings = settings_of(16, 0, 1);
    settings.slots = 1;
    CHECK(loader_create(&images.base, &fake, &settings, &tested, &error) == LS_FAILED && !tested);
    settings = settings_of(16, 2, 2);
    error = (ls_error){0};
    CHECK(loader_create(&images.base, &fake, &settings, &tested, &error) == LS_FAILED && !tested);
    settings = settings_of(16, 0, 1);
    error = (ls_error){0};
    CHECK(loader_create(&images.base, &fake, &settings, &tested, &error) == LS_OK);
    CHECK(loader_next(tested, &found, &error) == LS_FAILED, "a batch before the first epoch");
    loader_close(tested);
    settings.processing_units = (int[]){1000000};
    settings.processing_unit_count = 1;
    error = (ls_error){0};
    CHECK(loader_create(&images.base, &fake, &settings, &tested, &error) == LS_FAILED && !tested);
    check_case("bad settings are refused");
}

/* A sample that cannot be fetched is the batch's failure, and every later call's. */
static void test_failure(void) {
    ls_error error = {0};
    loader *tested = NULL;
    loader_batch found;
    loader_settings settings = settings_of(16, 0, 1);
    dataset unloaded = *data;
    unloaded.images = NULL;
    pixels none = pixels_of_dataset(&unloaded);
    CHECK(loader_create(&none.base, &fake, &settings, &tested, &error) == LS_OK, "%s", error.text);
    CHECK(loader_start_epoch(tested, 1, 0, &error) == LS_OK);
    CHECK(loader_next(tested, &found, &error) == LS_FAILED && strstr(error.text, "is not loaded"),
          "found '%s'", error.text);
    error = (ls_error){0};
    CHECK(loader_start_epoch(tested, 2, 0, &error) == LS_FAILED, "another epoch began");
    loader_close(tested);
    CHECK(allocations == 0, "%d", allocations);
    check_case("a sample that cannot be fetched");
}

/* No allocation past loader_create: the device is asked once. */
static void test_allocations(void) {
    ls_error error = {0};
    loader_settings settings = settings_of(64, 0, 1);
    loader *tested = NULL;
    calls = 0;
    CHECK(loader_create(&images.base, &fake, &settings, &tested, &error) == LS_OK);
    CHECK(epoch_is_right(tested, &settings, 1) && epoch_is_right(tested, &settings, 2));
    loader_close(tested);
    CHECK(calls == 1, "%d", calls);
    check_case("the device's memory is asked for once");
}

static int fetch_slowly(const samples *self, int epoch, int64_t id, void *out, int32_t *label,
                        ls_error *error) {
    usleep(1000);
    return images.base.is->fetch(self, epoch, id, out, label, error);
}

/* The number of threads changes while batches are taken, and no batch with it. The first window,
 * of one thread, is judged within its first hundred batches, however slow the machine is. */
static void test_search(void) {
    ls_error error = {0};
    data_kind slow = *images.base.is;
    pixels slowly = images;
    loader_settings settings = settings_of(16, 0, 1);
    loader *tested = NULL;
    slow.fetch = fetch_slowly;
    slow.slow = true;
    slowly.base.is = &slow;
    settings.threads = 1;
    settings.most_threads = 4;
    CHECK(loader_create(&slowly.base, &fake, &settings, &tested, &error) == LS_OK, "%s",
          error.text);
    loader_work before = loader_worked(tested);
    CHECK(before.threads == 1 && before.searches, "%d threads", before.threads);
    for (int epoch = 1; epoch <= 2; epoch++)
        CHECK(epoch_is_right(tested, &settings, epoch), "epoch %d", epoch);
    loader_work after = loader_worked(tested);
    CHECK(after.threads > 1 || !after.searches, "nothing was judged");
    CHECK(after.threads >= 1 && after.threads <= 4, "%d threads", after.threads);
    CHECK(after.fetched >= 1600 && after.busy_seconds >= 1.6 && after.waited_seconds > 0,
          "%lld samples, busy for %g s, waited for %g s", (long long)after.fetched,
          after.busy_seconds, after.waited_seconds);
    loader_close(tested);
    settings.most_threads = 0;
    settings.threads = 3;
    CHECK(loader_create(&slowly.base, &fake, &settings, &tested, &error) == LS_OK, "%s",
          error.text);
    CHECK(epoch_is_right(tested, &settings, 1));
    after = loader_worked(tested);
    CHECK(after.threads == 3 && !after.searches, "%d threads", after.threads);
    loader_close(tested);
    check_case("a search changes the number of threads and no batch; a given number stays");
}

int main(void) {
    ls_error error = {0};
    const char *folder = fixture_pack("data", 1);
    alarm(120);
    if (dataset_open(folder, "train", &data, &error) != LS_OK ||
        dataset_load(data, &error) != LS_OK) {
        printf("Bail out! %s\n", error.text);
        return 1;
    }
    images = pixels_of_dataset(data);
    test_batches();
    test_first();
    test_empty_share();
    test_held();
    test_stops();
    test_refusals();
    test_failure();
    test_allocations();
    test_search();
    dataset_close(data);
    fixture_end();
    return check_done();
}
