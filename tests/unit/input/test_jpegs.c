/* Encoded images as samples: whatever the memory, the number of threads and ranks, a batch has the
 * pixels that its images' own decoding gives; a resume goes on; damage is named. */
#include "../check.h"
#include "../data/data_fixture.h"
#include "base/atomic_file.h"
#include "base/crc32c.h"
#include "base/share.h"
#include "data/digest.h"
#include "data/encoded.h"
#include "data/manifest.h"
#include "data/shard.h"
#include "input/crop.h"
#include "input/jpeg_store.h"
#include "input/loader.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jpeglib.h>

enum { SHARDS = 3, IMAGES = 200, ALL = SHARDS * IMAGES, SIZE = 24, BYTES = SIZE * SIZE * 3 };

static const char *const names[] = {"cat", "dog"};
static class_names classes;
static uint8_t *files[ALL];
static unsigned long lengths[ALL];

/* Every image has a size and colours of its own. */
static uint8_t *encode(int index, int height, int width, unsigned long *count) {
    struct jpeg_compress_struct encoder;
    struct jpeg_error_mgr manager;
    uint8_t *out = NULL, row[300];
    encoder.err = jpeg_std_error(&manager);
    jpeg_create_compress(&encoder);
    jpeg_mem_dest(&encoder, &out, count);
    encoder.image_width = (JDIMENSION)width;
    encoder.image_height = (JDIMENSION)height;
    encoder.input_components = 3;
    encoder.in_color_space = JCS_RGB;
    jpeg_set_defaults(&encoder);
    jpeg_start_compress(&encoder, TRUE);
    for (int y = 0; y < height; y++) {
        for (int at = 0; at < 3 * width; at++)
            row[at] = (uint8_t)(at * (1 + index % 5) + y * (index % 7) + index * 29);
        JSAMPROW rows = row;
        jpeg_write_scanlines(&encoder, &rows, 1);
    }
    jpeg_finish_compress(&encoder);
    jpeg_destroy_compress(&encoder);
    return out;
}

static void make_shard(const char *folder, int split, int number, manifest_shard *entry,
                       int damaged) {
    static int32_t labels[IMAGES], sizes[2 * IMAGES];
    static int64_t offsets[IMAGES + 1];
    static uint32_t crcs[IMAGES];
    ls_error error = {0};
    uint8_t *bytes = malloc((size_t)IMAGES * 10000);
    for (int image = 0; image < IMAGES; image++) {
        int index = number * IMAGES + image;
        unsigned long length = index == damaged ? lengths[index] / 2 : lengths[index];
        memcpy(bytes + offsets[image], files[index], length);
        crcs[image] = crc32c(files[index], length);
        offsets[image + 1] = offsets[image] + (int64_t)length;
        labels[image] = index % 2;
        sizes[2 * image] = 20 + index % 41;
        sizes[2 * image + 1] = 20 + index % 37;
    }
    const void *values[] = {bytes, labels, offsets, sizes, crcs};
    shard_header header = {.kind = CONTENT_ENCODED,
                           .split = split_names[split],
                           .images = IMAGES,
                           .number = number,
                           .bytes = offsets[IMAGES],
                           .classes = &classes};
    shard_name(entry->name, header.split, number);
    entry->images = IMAGES;
    entry->bytes = header.bytes;
    const char *path = fixture_path(folder, entry->name);
    CHECK(shard_digest(&header, values, entry->sha256, &error) == LS_OK, "%s", error.text);
    CHECK(shard_write(path, path, &header, entry->sha256, values, &error) == LS_OK, "%s",
          error.text);
    free(bytes);
}

/* Image `damaged` of both splits is cut in half, and recorded as that; -1: none. */
static const char *make(const char *name, int damaged) {
    const char *folder = fixture_path(fixture_folder(), name);
    ls_error error = {0};
    atomic_file file;
    manifest made = {.kind = CONTENT_ENCODED, .encoded = {.quality = 95}};
    CHECK(mkdir(folder, 0777) == 0);
    CHECK(class_names_set(&made.classes, names, 2, "here", &error) == LS_OK);
    CHECK(class_names_set(&classes, names, 2, "here", &error) == LS_OK);
    for (int split = 0; split < SPLITS; split++) {
        manifest_split *out = &made.splits[split];
        out->shards = SHARDS;
        out->list = calloc(SHARDS, sizeof *out->list);
        for (int number = 0; number < SHARDS; number++) {
            make_shard(folder, split, number, &out->list[number], damaged);
            out->images += IMAGES;
        }
    }
    CHECK(manifest_id(&made, made.id, &error) == LS_OK);
    CHECK(manifest_prepare(&made, folder, &file, &error) == LS_OK, "%s", error.text);
    CHECK(atomic_file_commit(&file, &error) == LS_OK, "%s", error.text);
    manifest_release(&made);
    class_names_release(&classes);
    return folder;
}

static int host_allocate(device *self, size_t bytes, void **out, ls_error *error) {
    (void)self, (void)error;
    *out = malloc(bytes);
    return LS_OK;
}

static void host_release(device *self, void *memory) {
    (void)self;
    free(memory);
}

static const device_interface fake_interface = {
    .name = "fake", .host_allocate = host_allocate, .host_release = host_release};
static device fake = {.is = &fake_interface};

static sample_choices choices_of(bool block, int64_t memory_mb) {
    sample_choices made = {.augment = "resized-crop", .seed = 11, .jpegs = JPEGS_DEFAULTS};
    made.jpegs.image_size = SIZE;
    made.jpegs.shuffle = block ? "block" : "full";
    made.jpegs.shuffle_window = 64;
    made.jpegs.memory_mb = memory_mb;
    return made;
}

/* What the loader must give for a sample of training. */
static void decode_alone(picture *picture, int epoch, int64_t id, uint8_t *out) {
    ls_error error = {0};
    crop_draw draw = {.seed = 11, .epoch = epoch, .sample = id};
    CHECK(picture_begin(picture, files[id], lengths[id], &error) == LS_OK, "%s", error.text);
    view view = crop_resized(&draw, picture->height, picture->width, SIZE);
    CHECK(picture_take(picture, &view, DECODE_EXACT, out, &error) == LS_OK, "%s", error.text);
}

/* The number of wrong samples in an epoch from batch `first` on, of all ranks. */
static int wrong_in_epoch(const samples *data, int threads, int ranks, int epoch, int64_t first) {
    int wrong = 0, found = 0;
    picture picture;
    ls_error error = {0};
    uint8_t *alone = malloc(BYTES);
    picture_open(&picture, &error);
    for (int rank = 0; rank < ranks; rank++) {
        loader_settings settings = {.global_batch = 50,
                                    .rank = rank,
                                    .size = ranks,
                                    .seed = 11,
                                    .shuffled = true,
                                    .slots = 3,
                                    .threads = threads};
        loader *loader;
        loader_batch batch;
        sampler order;
        samples_order(data, 11, epoch, true, &order);
        CHECK(loader_create(data, &fake, &settings, &loader, &error) == LS_OK, "%s", error.text);
        CHECK(loader_start_epoch(loader, epoch + 1, 0, &error) == LS_OK, "one that is given up");
        CHECK(loader_start_epoch(loader, epoch, first, &error) == LS_OK, "%s", error.text);
        for (int64_t index = first; index < loader_batches(loader); index++) {
            int64_t all = ALL - index * 50 < 50 ? ALL - index * 50 : 50;
            share mine = share_of(all, rank, ranks);
            CHECK(loader_next(loader, &batch, &error) == LS_OK, "%s", error.text);
            CHECK(batch.count == mine.count, "%d", batch.count);
            for (int k = 0; k < batch.count; k++, found++) {
                int64_t id = sampler_index(&order, index * 50 + mine.first + k);
                decode_alone(&picture, epoch, id, alone);
                wrong += batch.indices[k] != id || batch.labels[k] != id % 2 ||
                         memcmp(batch.samples + (size_t)k * BYTES, alone, BYTES) != 0;
            }
        }
        loader_close(loader);
    }
    picture_close(&picture);
    free(alone);
    CHECK(found == ALL - first * 50, "%d samples", found);
    return wrong;
}

static void test_batches(const char *folder) {
    static const struct {
        bool block;
        int64_t memory_mb;
        int threads, ranks;
        const char *name;
    } cases[] = {{false, 2000, 1, 1, "in memory"},
                 {false, 2000, 3, 2, "in memory, 3 threads, 2 ranks"},
                 {false, 1, 3, 2, "read one by one"},
                 {true, 2000, 2, 1, "blocks, in memory"},
                 {true, 1, 1, 1, "blocks, as they are needed"},
                 {true, 1, 4, 3, "blocks, as they are needed, 4 threads, 3 ranks"}};
    for (size_t which = 0; which < sizeof cases / sizeof cases[0]; which++) {
        sample_choices choices = choices_of(cases[which].block, cases[which].memory_mb);
        ls_error error = {0};
        samples *data;
        CHECK(samples_open(folder, "train", &choices, true, &data, &error) == LS_OK, "%s",
              error.text);
        CHECK(data->facts.height == SIZE && data->facts.samples == ALL, "%d", data->facts.height);
        CHECK(data->is->load(data, &error) == LS_OK, "%s", error.text);
        for (int epoch = 1; epoch <= 2; epoch++) {
            int wrong = wrong_in_epoch(data, cases[which].threads, cases[which].ranks, epoch,
                                       epoch == 2 ? 4 : 0);
            CHECK(wrong == 0, "%d wrong samples", wrong);
        }
        samples_close(data);
        check_case(cases[which].name);
    }
}

/* Blocks come from a part of the bytes at a time. */
static void test_bound(const char *folder) {
    ls_error error = {0};
    dataset *data;
    encoded *images;
    jpeg_store *store;
    int64_t all = 0;
    for (int index = 0; index < ALL; index++)
        all += (int64_t)lengths[index];
    CHECK(all > 500000, "%lld bytes fit into half of a megabyte", (long long)all);
    CHECK(dataset_open(folder, "train", &data, &error) == LS_OK, "%s", error.text);
    CHECK(encoded_open(data, &images, &error) == LS_OK, "%s", error.text);
    jpeg_store_settings settings = {.memory = all / 10, .block = 8, .kept = 2};
    CHECK(jpeg_store_open(images, &settings, &store, &error) == LS_OK, "%s", error.text);
    CHECK(jpeg_store_memory(store) <= all / 10, "%lld of %lld", (long long)jpeg_store_memory(store),
          (long long)all);
    for (int64_t image = 0; image < ALL; image++) {
        jpeg_store_bytes taken;
        int64_t which = image * 7 % ALL;
        jpeg_store_expect(store, which / 8);
        CHECK(jpeg_store_take(store, which, &taken, &error) == LS_OK, "%s", error.text);
        CHECK(taken.count == lengths[which] && !memcmp(taken.bytes, files[which], taken.count),
              "image %lld", (long long)which);
        jpeg_store_give(store, &taken);
    }
    jpeg_store_close(store);
    settings.kept = 1000;
    CHECK(jpeg_store_open(images, &settings, &store, &error) == LS_BAD_INPUT, "%s", error.text);
    CHECK(strstr(error.text, "--data-memory"), "%s", error.text);
    encoded_close(images);
    dataset_close(data);
    check_case("a tenth of the bytes is enough, and is not exceeded");
}

static void test_damage(const char *folder) {
    sample_choices choices = choices_of(false, 2000);
    ls_error error = {0};
    samples *data;
    int32_t label;
    uint8_t *out = malloc(BYTES);
    CHECK(samples_open(folder, "test", &choices, false, &data, &error) == LS_OK, "%s", error.text);
    CHECK(data->is->load(data, &error) == LS_OK, "%s", error.text);
    CHECK(data->is->fetch(data, 1, 220, out, &label, &error) == LS_OK, "%s", error.text);
    CHECK(data->is->fetch(data, 1, 221, out, &label, &error) == LS_BAD_INPUT, "taken");
    CHECK(strstr(error.text, "test-00001.h5: image 21: expected a whole JPEG"), "%s", error.text);
    samples_close(data);
    free(out);
    check_case("a damaged image is named by its shard and number");
}

static void refused(const char *folder, const sample_choices *choices, const char *expected) {
    ls_error error = {0};
    samples *data;
    int status = samples_open(folder, "train", choices, true, &data, &error);
    CHECK(status == LS_BAD_INPUT && strstr(error.text, expected), "%s", error.text);
    if (status == LS_OK)
        samples_close(data);
}

static void test_choices(const char *folder) {
    sample_choices choices = choices_of(false, 2000);
    choices.augment = "crop-flip";
    refused(folder, &choices, "--augment crop-flip");
    choices = choices_of(false, 2000);
    choices.jpegs.mean = "0.5,0.5";
    refused(folder, &choices, "--mean: expected three numbers");
    choices = choices_of(false, 2000);
    choices.jpegs.std = "0.5,0,0.5";
    refused(folder, &choices, "--std: expected three numbers");
    check_case("choices that do not fit are refused by name");
}

int main(void) {
    picture picture;
    ls_error error = {0};
    if (picture_open(&picture, &error) != LS_OK) {
        printf("1..0 # SKIP %s\n", error.text);
        return 0;
    }
    picture_close(&picture);
    for (int index = 0; index < ALL; index++)
        files[index] = encode(index, 20 + index % 41, 20 + index % 37, &lengths[index]);
    const char *folder = make("whole", -1);
    test_batches(folder);
    test_bound(folder);
    test_choices(folder);
    test_damage(make("damaged", 221));
    for (int index = 0; index < ALL; index++)
        free(files[index]);
    fixture_end();
    return check_done();
}
