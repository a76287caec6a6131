/* Packing, reading back, and every bad input that a reader must name in one line. */
#include "../check.h"
#include "data/dataset.h"
#include "data/digest.h"
#include "data/memory.h"
#include "data/pack.h"
#include "data/shard.h"
#include "data_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The plainest CRC-32C: bit by bit, as the standard's polynomial says. */
static uint32_t slow_crc32c(const uint8_t *bytes, size_t length) {
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t index = 0; index < length; index++) {
        crc ^= bytes[index];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
    }
    return ~crc;
}

static void test_crc(void) {
    uint8_t bytes[1000];
    CHECK(crc32c("123456789", 9) == 0xE3069283u, "%08x", crc32c("123456789", 9));
    for (size_t index = 0; index < sizeof bytes; index++)
        bytes[index] = (uint8_t)(index * 37 + 11);
    for (size_t length = 0; length <= sizeof bytes; length += 37)
        CHECK(crc32c(bytes, length) == slow_crc32c(bytes, length), "%zu", length);
    check_case("CRC-32C is the standard's");
}

static void test_sha(void) {
    sha256 digest;
    ls_error error = {0};
    char hex[FORMAT_DIGEST_BYTES];
    CHECK(sha256_start(&digest, &error) == LS_OK);
    sha256_add(&digest, "a", 1);
    sha256_add(&digest, "bc", 2);
    sha256_finish(&digest, hex);
    CHECK(strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0,
          "%s", hex);
    check_case("SHA-256 of abc is FIPS 180's");
}

static int open_ids(void) {
    return (int)H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL);
}

static void test_round_trip(void) {
    const char *folder = fixture_pack("round-trip", 1);
    ls_error error = {0};
    dataset *train = NULL, *test = NULL;
    source *from = NULL;
    static uint8_t images[800 * 3072];
    static int32_t labels[800];
    int64_t warned = 0;
    synthetic_settings settings = {
        .images = 800, .test_images = 30, .classes = 4, .size = 32, .seed = 1};
    CHECK(source_synthetic_open(&settings, &from, &error) == LS_OK, "%s", error.text);
    CHECK(from->is->fill(from, SPLIT_TRAIN, 0, 800, images, labels, &warned, &error) == LS_OK);
    source_close(from);
    CHECK(dataset_open(folder, "train", &train, &error) == LS_OK, "%s", error.text);
    CHECK(dataset_open(folder, "test", &test, &error) == LS_OK, "%s", error.text);
    if (train && test) {
        CHECK(train->facts.images == 800 && train->facts.shards == 2 && train->facts.classes == 4);
        CHECK(train->facts.height == 32 && train->facts.width == 32 && train->facts.channels == 3);
        CHECK(test->facts.images == 30 && strcmp(test->facts.id, train->facts.id) == 0);
        CHECK(strlen(train->facts.id) == 64 && !train->images);
        CHECK(dataset_load(train, &error) == LS_OK, "%s", error.text);
        CHECK(dataset_load(test, &error) == LS_OK, "%s", error.text);
        CHECK(train->images && memcmp(train->images, images, sizeof images) == 0);
        CHECK(train->labels && memcmp(train->labels, labels, sizeof labels) == 0);
    }
    dataset_close(train);
    dataset_close(test);
    dataset_close(NULL);
    CHECK(open_ids() == 0, "%d objects of HDF5 stay open", open_ids());
    check_case("what is packed is what is read");
}

/* Opens and loads the training split: expects one line that holds all three texts. */
static void refused(const char *folder, const char *a, const char *b, const char *c) {
    ls_error error = {0};
    dataset *opened = NULL;
    int status = dataset_open(folder, "train", &opened, &error);
    if (status == LS_OK)
        status = dataset_load(opened, &error);
    CHECK(status == LS_BAD_INPUT, "expected '%s', '%s', '%s'; found %d %s", a, b, c, status,
          error.text);
    CHECK(strstr(error.text, a) && strstr(error.text, b) && strstr(error.text, c),
          "expected '%s', '%s', '%s'; found %s", a, b, c, error.text);
    dataset_close(opened);
    CHECK(open_ids() == 0, "%s: %d objects of HDF5 stay open", error.text, open_ids());
}

static void test_bad_files(void) {
    const char *folder = fixture_pack("files", 1);
    const char *shard = fixture_path(folder, "train-00001.h5");
    damage_truncate(shard, 1000000);
    refused(folder, "train-00001.h5", "truncated", "");
    damage_truncate(shard, 20);
    refused(folder, "train-00001.h5", "", "");
    damage_truncate(shard, 0);
    refused(folder, "train-00001.h5", "HDF5", "");
    damage_text(shard);
    refused(folder, "train-00001.h5", "expected an HDF5 file", "");
    unlink(shard);
    refused(folder, "train-00001.h5", "found none", "No such file");
    CHECK(mkdir(shard, 0777) == 0);
    refused(folder, "train-00001.h5", "regular file", "");
    damage_text(fixture_path(folder, "manifest.h5"));
    refused(folder, "manifest.h5", "expected an HDF5 file", "");
    unlink(fixture_path(folder, "manifest.h5"));
    refused(folder, "manifest.h5", "found none", "");
    check_case("files that are truncated, no HDF5 or absent");
}

static void test_flipped(void) {
    const char *folder = fixture_pack("flipped", 1);
    damage_flip(fixture_path(folder, "train-00001.h5"), "/images", FORMAT_BLOCK_BYTES + 5);
    refused(folder, "train-00001.h5", "/images", "block 1");
    folder = fixture_pack("flipped-first", 1);
    damage_flip(fixture_path(folder, "train-00000.h5"), "/images", 0);
    refused(folder, "train-00000.h5", "/images", "block 0");
    folder = fixture_pack("flipped-label", 1);
    damage_flip(fixture_path(folder, "train-00000.h5"), "/labels", 399 * 4);
    refused(folder, "train-00000.h5", "/labels", "block 0");
    check_case("a flipped byte is found by file, data set and block");
}

static void test_shapes(void) {
    static const struct {
        const char *set;
        int wide_type, rank;
        unsigned long long extent[5];
        const char *expected;
    } cases[] = {
        {"/images", 1, 4, {400, 32, 32, 3}, "expected uint8, found 8-byte integer"},
        {"/labels", 1, 1, {400}, "expected int32, found 8-byte integer"},
        {"/images", 0, 3, {400, 32, 96}, "expected 4 dimensions, found 3"},
        {"/labels", 0, 2, {400, 1}, "expected 1 dimensions, found 2"},
        {"/images", 0, 4, {400, 32, 31, 3}, "crc32c"},
        {"/images", 0, 4, {399, 32, 32, 3}, "as many labels as images"},
        {"/labels", 0, 1, {401}, "as many labels as images"},
        {"/images", 0, 4, {400, 32, 0, 3}, "a width of 1 to"},
        {"/images", 0, 4, {400, 1000000, 32, 3}, "a height of 1 to"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        char name[32];
        snprintf(name, sizeof name, "shape-%zu", index);
        const char *folder = fixture_pack(name, 1);
        int images = strcmp(cases[index].set, "/images") == 0;
        int64_t type = cases[index].wide_type ? H5T_STD_I64LE
                       : images               ? H5T_STD_U8LE
                                              : H5T_STD_I32LE;
        damage_replace(fixture_path(folder, "train-00000.h5"), cases[index].set, type,
                       cases[index].rank, cases[index].extent);
        refused(folder, "train-00000.h5", cases[index].expected, "");
    }
    check_case("wrong types, ranks, shapes and counts");
}

static void test_shards(void) {
    const char *folder = fixture_pack("shards", 1), *other = fixture_pack("shards-other", 2);
    const char *first = fixture_path(folder, "train-00000.h5");
    const char *second = fixture_path(folder, "train-00001.h5");
    const char *kept = fixture_path(fixture_folder(), "kept.h5");
    damage_copy(first, fixture_path(folder, "train-00002.h5"));
    refused(folder, "train-00002.h5", "expected 2 train shards", "");
    unlink(fixture_path(folder, "train-00002.h5"));
    damage_copy(second, kept);
    damage_copy(first, second);
    refused(folder, "train-00001.h5", "first index", "expected");
    damage_copy(fixture_path(folder, "test-00001.h5"), second);
    refused(folder, "train-00001.h5", "train split", "'test'");
    damage_copy(fixture_path(other, "train-00001.h5"), second);
    refused(folder, "train-00001.h5", "another data set", "SHA-256");
    damage_copy(kept, second);
    damage_integer(second, "first_index", 0);
    refused(folder, "train-00001.h5", "first index", "");
    damage_integer(second, "format_version", 3);
    refused(folder, "train-00001.h5", "@format_version", "expected 1 to 2, found 3");
    damage_copy(kept, second);
    damage_copy(fixture_path(other, "manifest.h5"), fixture_path(folder, "manifest.h5"));
    refused(folder, "train-00000.h5", "another data set", "");
    check_case("shards missing, doubled, too many, of another split or data set");
}

static void test_folders(void) {
    const char *folder = fixture_path(fixture_folder(), "empty");
    refused(fixture_path(fixture_folder(), "absent"), "absent", "readable folder", "No such");
    CHECK(mkdir(folder, 0777) == 0);
    refused(folder, "empty", "empty folder", "");
    const char *file = fixture_path(fixture_folder(), "file");
    damage_text(file);
    refused(file, "file", "readable folder", "Not a directory");
    char longest[5000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    refused(longest, "longer than 4095", "", "");
    ls_error error = {0};
    dataset *opened = NULL;
    CHECK(dataset_open(fixture_pack("split", 1), "valid", &opened, &error) == LS_BAD_INPUT);
    CHECK(strstr(error.text, "'valid'") != NULL, "%s", error.text);
    check_case("folders that are missing, empty or no folders; an unknown split");
}

/* As root nothing is unreadable: another user is. */
static void test_unreadable(void) {
    const char *folder = fixture_pack("unreadable", 1);
    chmod(fixture_folder(), 0755);
    chmod(folder, 0755);
    chmod(fixture_path(folder, "train-00001.h5"), 0);
    int was_root = geteuid() == 0;
    if (was_root && seteuid(65534) != 0) {
        check_case("unreadable files and folders # SKIP cannot become another user");
        return;
    }
    refused(folder, "train-00001.h5", "Permission denied", "");
    if (was_root)
        CHECK(seteuid(0) == 0);
    chmod(folder, 0);
    if (was_root)
        CHECK(seteuid(65534) == 0);
    refused(folder, "unreadable", "Permission denied", "");
    if (was_root)
        CHECK(seteuid(0) == 0);
    chmod(folder, 0755);
    check_case("unreadable files and folders");
}

/* Every byte of the manifest, changed: read as it was, or refused with a line; never a crash. */
static void test_manifest_bytes(void) {
    const char *folder = fixture_pack("bytes", 1);
    const char *path = fixture_path(folder, "manifest.h5");
    struct stat found;
    CHECK(stat(path, &found) == 0);
    manifest expected;
    ls_error error = {0};
    CHECK(manifest_read(&expected, folder, &error) == LS_OK, "%s", error.text);
    int refusals = 0, tried = 0;
    int descriptor = open(path, O_RDWR);
    for (off_t at = 0; at < found.st_size; at += 3, tried++) {
        unsigned char value = 0, changed;
        manifest read;
        CHECK(pread(descriptor, &value, 1, at) == 1);
        changed = value ^ (unsigned char)(1 << at % 8);
        CHECK(pwrite(descriptor, &changed, 1, at) == 1);
        error = (ls_error){0};
        if (manifest_read(&read, folder, &error) == LS_OK) {
            CHECK(strcmp(read.id, expected.id) == 0 &&
                      read.splits[0].images == expected.splits[0].images &&
                      read.shape.width == expected.shape.width &&
                      class_names_equal(&read.classes, &expected.classes),
                  "byte %lld changed what is read", (long long)at);
            manifest_release(&read);
        } else {
            refusals++;
            CHECK(error.code == LS_BAD_INPUT && strstr(error.text, "manifest.h5"), "%s",
                  error.text);
        }
        CHECK(pwrite(descriptor, &value, 1, at) == 1);
    }
    close(descriptor);
    manifest_release(&expected);
    CHECK(refusals > tried / 4, "%d of %d", refusals, tried);
    check_case("a flipped bit anywhere in the manifest is refused or changes nothing");
}

/* 400 names of 250 bytes are more than an object header holds (64 KiB). */
static void test_long_names(void) {
    enum { COUNT = 400, LENGTH = 250 };
    static char texts[COUNT][LENGTH + 1];
    static uint8_t images[4 * 3072];
    static int32_t labels[4] = {0, 1, COUNT - 1, 7};
    const char *names[COUNT], *path = fixture_path(fixture_folder(), "names.h5");
    ls_error error = {0};
    class_names classes;
    shard opened;
    for (int index = 0; index < COUNT; index++) {
        snprintf(texts[index], sizeof texts[index], "%0*d", LENGTH, index);
        names[index] = texts[index];
    }
    CHECK(class_names_set(&classes, names, COUNT, "here", &error) == LS_OK, "%s", error.text);
    const void *values[] = {images, labels};
    shard_header header = {
        .split = "train", .images = 4, .shape = {32, 32, 3}, .classes = &classes};
    CHECK(shard_write(path, path, &header, "x", values, &error) == LS_OK, "%s", error.text);
    CHECK(shard_open(&opened, path, &error) == LS_OK, "%s", error.text);
    CHECK(class_names_equal(&classes, &opened.classes));
    CHECK(shard_read(&opened, PART_LABELS, labels, &error) == LS_OK, "%s", error.text);
    shard_close(&opened);
    unlink(path);
    labels[2] = COUNT;
    CHECK(shard_write(path, path, &header, "x", values, &error) == LS_OK, "%s", error.text);
    CHECK(shard_open(&opened, path, &error) == LS_OK, "%s", error.text);
    CHECK(shard_read(&opened, PART_LABELS, labels, &error) == LS_BAD_INPUT);
    CHECK(strstr(error.text, "/labels[2]: expected a class from 0 to 399, found 400"), "%s",
          error.text);
    shard_close(&opened);
    class_names_release(&classes);
    check_case("many long class names; a label outside the classes");
}

static void test_memory(void) {
    int64_t available = memory_available_bytes();
    CHECK(available > (int64_t)1 << 20 && available < (int64_t)1 << 50, "%lld",
          (long long)available);
    check_case("the memory that is available is a plausible number");
}

int main(void) {
    test_crc();
    test_sha();
    test_round_trip();
    test_bad_files();
    test_flipped();
    test_shapes();
    test_shards();
    test_folders();
    test_unreadable();
    test_manifest_bytes();
    test_long_names();
    test_memory();
    fixture_end();
    return check_done();
}
