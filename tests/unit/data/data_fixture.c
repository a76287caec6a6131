#include "data_fixture.h"

#include "data/h5.h"
#include "data/pack.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root[64];

static void need(int condition, const char *what) {
    if (condition)
        return;
    printf("Bail out! %s\n", what);
    exit(1);
}

const char *fixture_folder(void) {
    if (!root[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(root, sizeof root, "%.40s/lockstep-XXXXXX",
                 base && strlen(base) < 40 ? base : "/tmp");
        need(mkdtemp(root) != NULL, "no temporary folder");
    }
    return root;
}

void fixture_end(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    need(!root[0] || system(command) == 0, command);
}

const char *fixture_path(const char *folder, const char *name) {
    static char buffers[64][4096];
    static int next;
    char *out = buffers[next++ % 64];
    snprintf(out, sizeof buffers[0], "%.2000s/%.2000s", folder, name);
    return out;
}

const char *fixture_pack(const char *name, uint64_t seed) {
    const char *folder = fixture_path(fixture_folder(), name);
    ls_error error = {0};
    source *from = NULL;
    manifest packed;
    synthetic_settings generated = {
        .images = 800, .test_images = 30, .classes = 4, .size = 32, .seed = seed};
    pack_settings settings = {.folder = folder, .shards = 2, .threads = 2};
    int status = source_synthetic_open(&generated, &from, &error);
    if (status == LS_OK)
        status = pack_run(from, &settings, &packed, &error);
    need(status == LS_OK, error.text);
    manifest_release(&packed);
    source_close(from);
    return folder;
}

static hid_t open_to_change(const char *path) {
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    need(file >= 0, path);
    return file;
}

void damage_flip(const char *path, const char *set, int64_t byte) {
    hid_t file = open_to_change(path);
    hid_t opened = H5Dopen2(file, set, H5P_DEFAULT);
    off_t at = (off_t)H5Dget_offset(opened) + byte;
    H5Dclose(opened);
    H5Fclose(file);
    unsigned char value = 0;
    int descriptor = open(path, O_RDWR);
    need(pread(descriptor, &value, 1, at) == 1, path);
    value ^= 0x10;
    need(pwrite(descriptor, &value, 1, at) == 1, path);
    close(descriptor);
}

void damage_truncate(const char *path, int64_t bytes) {
    need(truncate(path, bytes) == 0, path);
}

void damage_text(const char *path) {
    FILE *file = fopen(path, "w");
    need(file && fputs("This is no HDF5 file.\n", file) >= 0 && fclose(file) == 0, path);
}

void damage_copy(const char *from, const char *to) {
    char command[8300];
    snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    need(system(command) == 0, command);
}

void damage_replace(const char *path, const char *set, int64_t type, int rank,
                    const unsigned long long *extent) {
    hsize_t sizes[8];
    for (int index = 0; index < rank; index++)
        sizes[index] = extent[index];
    hid_t file = open_to_change(path);
    need(H5Ldelete(file, set, H5P_DEFAULT) >= 0, path);
    hid_t space = H5Screate_simple(rank, sizes, NULL);
    hid_t made = H5Dcreate2(file, set, (hid_t)type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    need(made >= 0 && H5Dclose(made) >= 0, path);
    H5Sclose(space);
    H5Fclose(file);
}

void damage_integer(const char *path, const char *attribute, int64_t value) {
    hid_t file = open_to_change(path);
    hid_t opened = H5Aopen(file, attribute, H5P_DEFAULT);
    need(opened >= 0 && H5Awrite(opened, H5T_NATIVE_INT64, &value) >= 0, attribute);
    H5Aclose(opened);
    H5Fclose(file);
}
