/* A checkpoint's files: what is written is read back, and nothing that is damaged is believed. */
#include "../check.h"
#include "checkpoint_fixture.h"

#include "checkpoint/background.h"

#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], name[CHECKPOINT_FOLDER_BYTES], folder[4096];

static void begin(void) {
    ls_error error = {0};
    fixture_folder(dir);
    CHECK(fixture_write(dir, 1, 123, 0, name, &error) == LS_OK, "%s", error.text);
    snprintf(folder, sizeof folder, "%s/%s", dir, name);
}

static void path_of(char out[4200], const char *file) {
    snprintf(out, 4200, "%s/%s", folder, file);
}

/* Opens, checks all digests and reads all arrays. */
static int read_whole(ls_error *error) {
    checkpoint found;
    LS_TRY(checkpoint_open(&found, folder, error));
    static float values[FIXTURE_PARAMETERS];
    int status = checkpoint_verify(&found, 0, 1, error);
    for (int array = 0; status == LS_OK && array < found.manifest.array_count; array++)
        status = checkpoint_read(&found, found.manifest.arrays[array].name, 0,
                                 found.manifest.arrays[array].length, values, error);
    checkpoint_close(&found);
    return status;
}

static void reads_back(void) {
    checkpoint found;
    ls_error error = {0};
    static float values[FIXTURE_PARAMETERS];
    static const char *const arrays[] = {"parameters", "moment1", "buffers"};
    begin();
    CHECK(checkpoint_open(&found, folder, &error) == LS_OK, "%s", error.text);
    CHECK(found.manifest.step == 123 && found.manifest.epoch == 2 && found.manifest.position == 64);
    CHECK(isnan(found.manifest.test_loss) && found.manifest.part_count == 2);
    for (int array = 0; array < 3; array++) {
        int64_t length = found.manifest.arrays[array].length, wrong = 0;
        CHECK(checkpoint_read(&found, arrays[array], 0, length, values, &error) == LS_OK, "%s",
              error.text);
        for (int64_t at = 0; at < length; at++)
            wrong += values[at] != fixture_value(array, at);
        CHECK(wrong == 0, "%s: %lld wrong", arrays[array], (long long)wrong);
    }
    /* Across the border of the two parts, and of a block. */
    CHECK(checkpoint_read(&found, "parameters", 149990, 20, values, &error) == LS_OK);
    CHECK(values[0] == fixture_value(0, 149990) && values[19] == fixture_value(0, 150009));
    CHECK(checkpoint_read(&found, "parameters", 299999, 2, values, &error) == LS_BAD_INPUT);
    CHECK(checkpoint_find_tensor(&found, "fc1.bias")->range.first == 299000);
    CHECK(!checkpoint_find_tensor(&found, "fc2.bias"));
    checkpoint_close(&found);
    check_case("arrays are read back");
}

static void reads_values(void) {
    checkpoint found;
    ls_error error = {0};
    const char *text;
    const double *reals;
    int64_t count, value;
    begin();
    CHECK(checkpoint_open(&found, folder, &error) == LS_OK, "%s", error.text);
    const record *state = &found.manifest.state;
    CHECK(record_get_text(state, "x", "options", &text, &error) == LS_OK &&
          strcmp(text, "model=cnn\nseed=1\n") == 0);
    CHECK(record_get_text(state, "x", "empty", &text, &error) == LS_OK && text[0] == '\0');
    CHECK(record_get_reals(state, "x", "rates", &reals, &count, &error) == LS_OK && count == 3 &&
          reals[1] == 1.0 / 3.0 && isnan(reals[2]));
    CHECK(record_get_reals(state, "x", "none", &reals, &count, &error) == LS_OK && count == 0);
    CHECK(record_get_integer(state, "x", "lanes", -9, 9, &value, &error) == LS_OK && value == -4);
    CHECK(record_get_integer(state, "x", "lanes", 0, 9, &value, &error) == LS_BAD_INPUT &&
              strcmp(error.text, "x: lanes: expected 0 to 9, found -4") == 0,
          "%s", error.text);
    checkpoint_close(&found);
    check_case("values are read back");
}

static int64_t size_of(const char *path) {
    struct stat found;
    return stat(path, &found) == 0 ? (int64_t)found.st_size : -1;
}

static void flip(const char *path, int64_t at, unsigned char bits) {
    unsigned char byte = 0;
    int file = open(path, O_RDWR);
    CHECK(file >= 0 && pread(file, &byte, 1, at) == 1);
    byte ^= bits;
    CHECK(pwrite(file, &byte, 1, at) == 1);
    close(file);
}

/* Every byte of [from, to) of a file, one after the other. */
static int64_t count_missed(const char *path, int64_t from, int64_t to, int64_t step) {
    int64_t missed = 0;
    for (int64_t at = from; at < to; at += step) {
        ls_error error = {0};
        unsigned char bits = (unsigned char)(1u << (at % 8));
        flip(path, at, bits);
        missed += read_whole(&error) == LS_OK || error.text[0] == '\0';
        flip(path, at, bits);
    }
    return missed;
}

static void finds_flips(void) {
    char path[4200];
    ls_error error = {0};
    begin();
    path_of(path, CHECKPOINT_MANIFEST_SUM);
    CHECK(count_missed(path, 0, size_of(path), 1) == 0);
    path_of(path, CHECKPOINT_MANIFEST);
    CHECK(size_of(path) > 4096);
    CHECK(count_missed(path, 0, size_of(path), 1) == 0);
    path_of(path, "part-00001.h5");
    CHECK(count_missed(path, 0, 2048, 1) == 0);
    CHECK(count_missed(path, 2048, size_of(path), 4001) == 0);
    CHECK(read_whole(&error) == LS_OK, "%s", error.text);
    check_case("each flipped byte of manifest, its digest and a part's header is found");
}

/* Without the digest of the part: the blocks' sums alone. */
static void blocks_find_flips(void) {
    char path[4200];
    int64_t missed = 0;
    static float values[FIXTURE_PARAMETERS];
    begin();
    path_of(path, "part-00000.h5");
    for (int64_t at = 4096; at < 600000; at += 30011) {
        checkpoint found;
        ls_error error = {0};
        flip(path, at, 0x10);
        if (checkpoint_open(&found, folder, &error) == LS_OK) {
            checkpoint_trust(&found);
            missed += checkpoint_read(&found, "parameters", 0, FIXTURE_PARAMETERS, values,
                                      &error) == LS_OK;
            checkpoint_close(&found);
        }
        flip(path, at, 0x10);
    }
    CHECK(missed == 0, "%lld missed", (long long)missed);
    check_case("CRC-32C finds flipped payload");
}

static void refuse(const char *what, const char *expected) {
    ls_error error = {0};
    int status = read_whole(&error);
    CHECK(status == LS_BAD_INPUT && strstr(error.text, expected), "%s: %d, %s", what, status,
          error.text);
}

static void refuses_parts(void) {
    char path[4200], other[4200], aside[4210];
    begin();
    path_of(path, "part-00000.h5");
    path_of(other, "part-00001.h5");
    CHECK(truncate(path, size_of(path) - 1) == 0);
    refuse("truncated", "expected");
    CHECK(truncate(path, 0) == 0);
    refuse("empty", "expected");
    unlink(path);
    refuse("missing", "cannot read");
    CHECK(link(other, path) == 0);
    refuse("doubled", "expected");
    begin();
    path_of(path, "part-00000.h5");
    path_of(other, "part-00001.h5");
    snprintf(aside, sizeof aside, "%s.x", path);
    CHECK(rename(path, aside) == 0 && rename(other, path) == 0 && rename(aside, other) == 0);
    refuse("swapped", "expected");
    path_of(path, CHECKPOINT_MANIFEST);
    unlink(path);
    refuse("no manifest", "cannot read");
    check_case("truncated, empty, missing, doubled and swapped parts are refused");
}

/* The manifest with one change, and its digest made anew: a foreign or hostile one. */
static void change_manifest(void (*change)(hid_t file)) {
    char path[4200], command[9000];
    begin();
    path_of(path, CHECKPOINT_MANIFEST);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    change(file);
    H5Fclose(file);
    snprintf(command, sizeof command, "cd '%s' && sha256sum manifest.h5 > manifest.sha256", folder);
    CHECK(system(command) == 0);
}

static void newer_version(hid_t file) {
    int64_t version = CHECKPOINT_FORMAT_VERSION + 1;
    hid_t attribute = H5Aopen(file, "format_version", H5P_DEFAULT);
    H5Awrite(attribute, H5T_NATIVE_INT64, &version);
    H5Aclose(attribute);
}

static void external_link(hid_t file) {
    H5Ldelete(file, "/state/lanes", H5P_DEFAULT);
    H5Lcreate_external("/etc/passwd", "/x", file, "/state/lanes", H5P_DEFAULT, H5P_DEFAULT);
}

static void soft_loop(hid_t file) {
    H5Ldelete(file, "/state", H5P_DEFAULT);
    H5Lcreate_soft("/state", file, "/state", H5P_DEFAULT, H5P_DEFAULT);
}

static void overwrite(hid_t file, const char *where, int64_t index, int64_t value) {
    hid_t set = H5Dopen2(file, where, H5P_DEFAULT);
    int64_t values[64];
    H5Dread(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    values[index] = value;
    H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(set);
}

static void huge_array(hid_t file) {
    overwrite(file, "/arrays/lengths", 0, INT64_MAX);
}

static void wide_range(hid_t file) {
    overwrite(file, "/parts/count", 0, INT64_MAX);
}

static void gap(hid_t file) {
    overwrite(file, "/parts/count", 0, 149999);
}

static void huge_value(hid_t file) {
    hsize_t extent = (hsize_t)1 << 45;
    H5Ldelete(file, "/state/rates", H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &extent, NULL), late = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_alloc_time(late, H5D_ALLOC_TIME_LATE);
    H5Dclose(
        H5Dcreate2(file, "/state/rates", H5T_IEEE_F64LE, space, H5P_DEFAULT, late, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(late);
}

static void chunked_value(hid_t file) {
    hsize_t extent = 1 << 20;
    H5Ldelete(file, "/state/rates", H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &extent, NULL), creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 1, &extent);
    H5Pset_deflate(creation, 9);
    H5Dclose(H5Dcreate2(file, "/state/rates", H5T_IEEE_F64LE, space, H5P_DEFAULT, creation,
                        H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(creation);
}

static void wrong_type(hid_t file) {
    hsize_t extent = 2;
    H5Ldelete(file, "/run/step", H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &extent, NULL);
    H5Dclose(
        H5Dcreate2(file, "/run/step", H5T_STD_I16BE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
}

static void refuses_manifests(void) {
    static const struct {
        const char *what, *expected;
        void (*change)(hid_t file);
    } cases[] = {
        {"newer", "expected format version 1, found 2", newer_version},
        {"external link", "found a link to somewhere else", external_link},
        {"loop", "found a link to somewhere else", soft_loop},
        {"huge array", "an array has 9223372036854775807 elements", huge_array},
        {"wide range", "lies outside its array", wide_range},
        {"gap", "is in no part", gap},
        {"huge value", "more values than the file has", huge_value},
        {"compressed", "in pieces, or compressed", chunked_value},
        {"type", "a type or a shape that this format has not", wrong_type},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        change_manifest(cases[index].change);
        refuse(cases[index].what, cases[index].expected);
    }
    check_case("foreign and hostile manifests are refused by name");
}

static void refuses_infinite(void) {
    ls_error error = {0};
    fixture_folder(dir);
    CHECK(fixture_write(dir, 1, 5, 1, name, &error) == LS_FAILED);
    CHECK(strcmp(error.text, "parameters: element 17 is not a finite number") == 0, "%s",
          error.text);
    check_case("a value that is not finite is not saved");
}

static int slow(void *context, ls_error *error) {
    usleep(20000);
    return *(int *)context ? ls_fail(error, LS_FAILED, "no luck") : LS_OK;
}

static void runs_tasks(void) {
    background *thread;
    ls_error error = {0};
    int fails = 0;
    CHECK(background_open("writer", NULL, 0, &thread, &error) == LS_OK);
    CHECK(!background_busy(thread) && background_take(thread, &error) == LS_OK);
    background_start(thread, slow, &fails);
    CHECK(background_busy(thread));
    CHECK(background_take(thread, &error) == LS_OK && !background_busy(thread));
    fails = 1;
    background_start(thread, slow, &fails);
    CHECK(background_take(thread, &error) == LS_FAILED && strcmp(error.text, "no luck") == 0);
    background_start(thread, slow, &fails);
    background_close(thread);
    check_case("a thread runs one task at a time");
}

int main(void) {
    reads_back();
    reads_values();
    finds_flips();
    blocks_find_flips();
    refuses_parts();
    refuses_manifests();
    refuses_infinite();
    runs_tasks();
    return check_done();
}
