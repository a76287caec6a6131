/* Encoded shards: what is written is what is read, by image and in runs; their damage. */
#include "../check.h"
#include "base/atomic_file.h"
#include "base/crc32c.h"
#include "data/digest.h"
#include "data/encoded.h"
#include "data/manifest.h"
#include "data/shard.h"
#include "data_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHARDS = 3, IMAGES = 40, MOST = 70000 };

static const char *const names[] = {"cat", "dog", "eel"};
static class_names classes;

/* Bytes, size and label of image `index` of a split are functions of it. */
static int64_t length_of(int index) {
    return 1 + (int64_t)index * 7919 % MOST;
}

static uint8_t byte_of(int index, int64_t at) {
    return (uint8_t)((at * 31 + index * 17) >> (index % 3));
}

static void fill_image(int index, uint8_t *out) {
    for (int64_t at = 0; at < length_of(index); at++)
        out[at] = byte_of(index, at);
}

typedef struct shard_memory {
    uint8_t *bytes;
    int32_t labels[IMAGES], sizes[2 * IMAGES];
    int64_t offsets[IMAGES + 1];
    uint32_t crcs[IMAGES];
} shard_memory;

static void make_shard(const char *folder, int split, int number, manifest_shard *entry) {
    static shard_memory memory;
    ls_error error = {0};
    memory.bytes = malloc((size_t)IMAGES * (MOST + 1));
    for (int image = 0; image < IMAGES; image++) {
        int index = number * IMAGES + image;
        uint8_t *at = memory.bytes + memory.offsets[image];
        fill_image(index, at);
        memory.offsets[image + 1] = memory.offsets[image] + length_of(index);
        memory.labels[image] = index % 3;
        memory.sizes[2 * image] = 10 + index;
        memory.sizes[2 * image + 1] = 20 + index;
        memory.crcs[image] = crc32c(at, (size_t)length_of(index));
    }
    const void *values[] = {memory.bytes, memory.labels, memory.offsets, memory.sizes, memory.crcs};
    shard_header header = {.kind = CONTENT_ENCODED,
                           .split = split_names[split],
                           .images = IMAGES,
                           .number = number,
                           .bytes = memory.offsets[IMAGES],
                           .classes = &classes};
    shard_name(entry->name, header.split, number);
    entry->images = IMAGES;
    entry->bytes = header.bytes;
    const char *path = fixture_path(folder, entry->name);
    CHECK(shard_digest(&header, values, entry->sha256, &error) == LS_OK, "%s", error.text);
    CHECK(shard_write(path, path, &header, entry->sha256, values, &error) == LS_OK, "%s",
          error.text);
    free(memory.bytes);
}

static const char *make(const char *name) {
    const char *folder = fixture_path(fixture_folder(), name);
    ls_error error = {0};
    atomic_file file;
    manifest made = {.kind = CONTENT_ENCODED,
                     .encoded = {.quality = 95, .shuffled = true, .seed = 7, .decoded = true}};
    CHECK(mkdir(folder, 0777) == 0);
    CHECK(class_names_set(&made.classes, names, 3, "here", &error) == LS_OK);
    CHECK(class_names_set(&classes, names, 3, "here", &error) == LS_OK);
    for (int split = 0; split < SPLITS; split++) {
        manifest_split *out = &made.splits[split];
        out->shards = SHARDS;
        out->list = calloc(SHARDS, sizeof *out->list);
        for (int number = 0; number < SHARDS; number++) {
            make_shard(folder, split, number, &out->list[number]);
            out->images += IMAGES;
        }
    }
    made.splits[SPLIT_TRAIN].left_out = 5;
    made.splits[SPLIT_TEST].converted = 2;
    CHECK(manifest_id(&made, made.id, &error) == LS_OK);
    CHECK(manifest_prepare(&made, folder, &file, &error) == LS_OK, "%s", error.text);
    CHECK(atomic_file_commit(&file, &error) == LS_OK, "%s", error.text);
    manifest_release(&made);
    class_names_release(&classes);
    return folder;
}

static int is_image(int index, const uint8_t *bytes) {
    for (int64_t at = 0; at < length_of(index); at++)
        if (bytes[at] != byte_of(index, at))
            return 0;
    return 1;
}

static void test_reading(const char *folder) {
    ls_error error = {0};
    dataset *data;
    encoded *files;
    CHECK(dataset_holds(folder, CONTENT_ENCODED) && !dataset_holds(folder, CONTENT_PIXELS));
    CHECK(dataset_open(folder, "train", &data, &error) == LS_OK, "%s", error.text);
    CHECK(data->facts.kind == CONTENT_ENCODED && data->facts.images == SHARDS * IMAGES &&
          data->facts.channels == 3 && data->facts.classes == 3);
    CHECK(encoded_open(data, &files, &error) == LS_OK, "%s", error.text);
    CHECK(encoded_count(files) == SHARDS * IMAGES && encoded_shards(files) == SHARDS);
    uint8_t *out = malloc((size_t)encoded_largest_run_bytes(files, IMAGES));
    int64_t total = 0, largest = 0;
    for (int index = 0; index < SHARDS * IMAGES; index++) {
        const encoded_image *image = encoded_at(files, index);
        total += image->bytes;
        largest = image->bytes > largest ? image->bytes : largest;
        CHECK(image->bytes == length_of(index) && image->label == index % 3 &&
              image->height == 10 + index && image->width == 20 + index);
        CHECK(encoded_shard_of(files, index) == index / IMAGES);
        CHECK(encoded_read(files, index, 1, out, &error) == LS_OK, "%s", error.text);
        CHECK(is_image(index, out), "%d", index);
    }
    CHECK(total == data->facts.bytes && largest == encoded_largest_bytes(files));
    check_case("each image alone: bytes, label, size");
    for (int shard = 0; shard < SHARDS; shard++) {
        const encoded_shard *of = encoded_shard_at(files, shard);
        encoded_expect(files, of->first, of->images);
        CHECK(encoded_read(files, of->first, of->images, out, &error) == LS_OK, "%s", error.text);
        for (int64_t index = of->first; index < of->first + of->images; index++)
            CHECK(is_image((int)index, out + encoded_at(files, index)->offset));
    }
    free(out);
    encoded_close(files);
    check_case("a whole shard in one read");
    CHECK(dataset_load(data, &error) == LS_BAD_INPUT && strstr(error.text, "--size") != NULL, "%s",
          error.text);
    dataset_close(data);
    check_case("pixels are not to be had of it");
}

typedef struct reading {
    encoded *files;
    int first;
    int wrong;
} reading;

static void *read_some(void *argument) {
    reading *self = argument;
    static _Thread_local uint8_t out[MOST + 1];
    ls_error error = {0};
    for (int round = 0; round < 300; round++) {
        int index = (self->first + round * 37) % (SHARDS * IMAGES);
        self->wrong +=
            encoded_read(self->files, index, 1, out, &error) != LS_OK || !is_image(index, out);
    }
    return NULL;
}

static void test_threads(const char *folder) {
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    reading each[THREADS];
    ls_error error = {0};
    dataset *data;
    encoded *files;
    CHECK(dataset_open(folder, "test", &data, &error) == LS_OK, "%s", error.text);
    CHECK(encoded_open(data, &files, &error) == LS_OK, "%s", error.text);
    for (int index = 0; index < THREADS; index++) {
        each[index] = (reading){files, index * 31, 0};
        CHECK(pthread_create(&threads[index], NULL, read_some, &each[index]) == 0);
    }
    for (int index = 0; index < THREADS; index++) {
        pthread_join(threads[index], NULL);
        CHECK(each[index].wrong == 0);
    }
    encoded_close(files);
    dataset_close(data);
    check_case("four threads read at once");
}

/* Opens and reads everything; the first complaint is `error`. */
static int read_everything(const char *folder, ls_error *error) {
    dataset *data = NULL;
    encoded *files = NULL;
    uint8_t out[MOST + 1];
    int status = dataset_open(folder, "train", &data, error);
    if (status == LS_OK)
        status = encoded_open(data, &files, error);
    for (int64_t index = 0; status == LS_OK && index < encoded_count(files); index++)
        status = encoded_read(files, index, 1, out, error);
    encoded_close(files);
    dataset_close(data);
    return status;
}

static void test_damage(const char *folder) {
    static const char *const sets[] = {"/bytes", "/labels", "/offsets", "/sizes", "/crc32c"};
    const char *path = fixture_path(folder, "train-00001.h5");
    for (int part = 0; part < 5; part++) {
        ls_error error = {0};
        damage_flip(path, sets[part], 9);
        CHECK(read_everything(folder, &error) == LS_BAD_INPUT &&
                  strstr(error.text, "train-00001.h5") != NULL &&
                  strstr(error.text, "damaged") != NULL,
              "%s: %s", sets[part], error.text);
        damage_flip(path, sets[part], 9);
    }
    ls_error error = {0};
    CHECK(read_everything(folder, &error) == LS_OK, "%s", error.text);
    check_case("a flipped byte of each part is found, and the shard named");
}

static void test_other_kinds(const char *encoded_folder) {
    ls_error error = {0};
    dataset *data;
    encoded *files;
    const char *pixels = fixture_pack("pixels", 1);
    CHECK(dataset_open(pixels, "train", &data, &error) == LS_OK, "%s", error.text);
    CHECK(encoded_open(data, &files, &error) == LS_BAD_INPUT &&
              strstr(error.text, "--encoded") != NULL,
          "%s", error.text);
    dataset_close(data);
    damage_copy(fixture_path(pixels, "train-00001.h5"),
                fixture_path(encoded_folder, "train-00001.h5"));
    error = (ls_error){0};
    CHECK(dataset_open(encoded_folder, "train", &data, &error) == LS_BAD_INPUT &&
              strstr(error.text, "the kind 'encoded'") != NULL,
          "%s", error.text);
    check_case("a shard, or a data set, of the other kind");
}

int main(void) {
    const char *folder = make("encoded");
    char kept[4096];
    snprintf(kept, sizeof kept, "%s", folder);
    test_reading(kept);
    test_threads(kept);
    test_damage(kept);
    test_other_kinds(kept);
    fixture_end();
    return check_done();
}
