#include "base/permutation.h"
#include "data/folder.h"
#include "data/jpeg.h"
#include "data/resize.h"
#include "data/source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct entry {
    int32_t label;
    char *path; /* owned */
} entry;

typedef struct entry_list {
    int64_t count, capacity;
    entry *entries;
} entry_list;

typedef struct source_images {
    source base;
    image_folder_settings settings;
    entry_list lists[SPLITS];
} source_images;

static int append(entry_list *list, int32_t label, const char *path, ls_error *error) {
    if (list->count == list->capacity) {
        int64_t capacity = list->capacity ? list->capacity * 2 : 256;
        entry *grown = realloc(list->entries, (size_t)capacity * sizeof *grown);
        if (!grown)
            return ls_fail(error, LS_FAILED, "out of memory for the list of images");
        list->entries = grown;
        list->capacity = capacity;
    }
    char *copy = strdup(path);
    if (!copy)
        return ls_fail(error, LS_FAILED, "out of memory for the list of images");
    list->entries[list->count++] = (entry){label, copy};
    return LS_OK;
}

static int is_jpeg_name(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0);
}

static int list_class(const char *folder, int32_t label, entry_list *out, ls_error *error) {
    name_list names;
    LS_TRY(folder_list(folder, &names, error));
    int status = LS_OK;
    for (int index = 0; status == LS_OK && index < names.count; index++) {
        char path[4096];
        status = path_join(path, sizeof path, folder, names.names[index], error);
        if (status == LS_OK && (!is_jpeg_name(path) || is_folder(path)))
            status = ls_fail(
                error, LS_BAD_INPUT,
                "%s: expected JPEG files (.jpg, .jpeg) in a class's folder, found this", path);
        if (status == LS_OK)
            status = append(out, label, path, error);
    }
    if (status == LS_OK && names.count == 0)
        status =
            ls_fail(error, LS_BAD_INPUT, "%s: expected JPEG files, found an empty folder", folder);
    name_list_release(&names);
    return status;
}

static int label_of(const class_names *classes, const char *name) {
    for (int index = 0; index < classes->count; index++)
        if (strcmp(class_name(classes, index), name) == 0)
            return index;
    return -1;
}

/* The images of all class folders in `folder`, by class and then by name. */
static int list_split(const source_images *self, const char *folder, const name_list *names,
                      entry_list *out, ls_error *error) {
    for (int index = 0; index < names->count; index++) {
        char path[4096];
        LS_TRY(path_join(path, sizeof path, folder, names->names[index], error));
        if (!is_folder(path))
            return ls_fail(error, LS_BAD_INPUT, "%s: expected a class's folder, found a file",
                           path);
        int label = label_of(&self->base.classes, names->names[index]);
        if (label < 0)
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: expected a class of the training images, found another", path);
        LS_TRY(list_class(path, label, out, error));
    }
    return LS_OK;
}

/* Every image's place in a permutation of all decides: a function of seed, fraction and the sorted
 * list, and of nothing else. */
static int split_off_test(source_images *self, ls_error *error) {
    entry_list all = self->lists[SPLIT_TRAIN];
    int64_t wanted = llround((double)all.count * self->settings.test_fraction);
    permutation order;
    if (wanted < 1 || wanted >= all.count)
        return ls_fail(error, LS_BAD_INPUT,
                       "--test-fraction: expected at least one test and one training image, found "
                       "%lld of %lld images for test",
                       (long long)wanted, (long long)all.count);
    char *is_test = calloc((size_t)all.count, 1);
    if (!is_test)
        return ls_fail(error, LS_FAILED, "out of memory for the list of images");
    permutation_start(&order, all.count, self->settings.seed, 0);
    for (int64_t position = 0; position < wanted; position++)
        is_test[permutation_at(&order, position)] = 1;
    int status = LS_OK;
    int64_t kept = 0;
    for (int64_t index = 0; index < all.count; index++) {
        entry *at = &all.entries[index];
        if (!is_test[index]) {
            self->lists[SPLIT_TRAIN].entries[kept++] = *at;
            continue;
        }
        if (status == LS_OK)
            status = append(&self->lists[SPLIT_TEST], at->label, at->path, error);
        free(at->path);
    }
    self->lists[SPLIT_TRAIN].count = kept;
    free(is_test);
    return status;
}

static int list_folder(source_images *self, const char *folder, int split, ls_error *error) {
    name_list names;
    LS_TRY(folder_list(folder, &names, error));
    int status = LS_OK;
    if (split == SPLIT_TRAIN)
        status = class_names_set(&self->base.classes, (const char *const *)names.names, names.count,
                                 folder, error);
    if (status == LS_OK)
        status = list_split(self, folder, &names, &self->lists[split], error);
    name_list_release(&names);
    return status;
}

/* Is FOLDER/NAME a folder with folders in it? A class of that name holds files. */
static bool holds_folders(const char *folder, const char *name) {
    char path[4096], inside[4096];
    name_list names;
    ls_error ignored = {0};
    bool found = false;
    if (path_join(path, sizeof path, folder, name, &ignored) != LS_OK || !is_folder(path) ||
        folder_list(path, &names, &ignored) != LS_OK)
        return false;
    for (int index = 0; index < names.count && !found; index++)
        found = path_join(inside, sizeof inside, path, names.names[index], &ignored) == LS_OK &&
                is_folder(inside);
    name_list_release(&names);
    return found;
}

/* The one folder of test images beside train/; "" where there is none. */
static int find_test(const char *folder, const char **out, ls_error *error) {
    static const char *const words[] = {"test", "val", "valid", "validation"};
    *out = "";
    for (int index = 0; index < 4; index++) {
        char path[4096];
        LS_TRY(path_join(path, sizeof path, folder, words[index], error));
        if (!is_folder(path))
            continue;
        if ((*out)[0])
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: expected one folder of test images beside train/, found %s/ and "
                           "%s/",
                           folder, *out, words[index]);
        *out = words[index];
    }
    return LS_OK;
}

/* What lies beside train/ and the test images, as the list that pack shows. */
static int note_ignored(source_images *self, const char *folder, const char *test,
                        ls_error *error) {
    name_list names;
    LS_TRY(folder_list(folder, &names, error));
    size_t used = 0, room = sizeof self->base.ignored;
    for (int index = 0; index < names.count && used < room; index++) {
        const char *name = names.names[index];
        if (strcmp(name, "train") != 0 && strcmp(name, test) != 0)
            used += (size_t)snprintf(self->base.ignored + used, room - used, "%s%s",
                                     used ? ", " : "", name);
    }
    name_list_release(&names);
    return LS_OK;
}

static int list_all(source_images *self, const char *folder, ls_error *error) {
    char path[4096];
    const char *test = "";
    if (!holds_folders(folder, "train")) {
        LS_TRY(list_folder(self, folder, SPLIT_TRAIN, error));
        return split_off_test(self, error);
    }
    LS_TRY(find_test(folder, &test, error));
    LS_TRY(note_ignored(self, folder, test, error));
    LS_TRY(path_join(path, sizeof path, folder, "train", error));
    LS_TRY(list_folder(self, path, SPLIT_TRAIN, error));
    if (!test[0])
        return split_off_test(self, error);
    LS_TRY(path_join(path, sizeof path, folder, test, error));
    return list_folder(self, path, SPLIT_TEST, error);
}

static int fill(const source *base, int split, int64_t first, int64_t count, uint8_t *images,
                int32_t *labels, int64_t *warned, ls_error *error) {
    const source_images *self = (const source_images *)base;
    for (int64_t done = 0; done < count; done++) {
        const entry *from = &self->lists[split].entries[first + done];
        jpeg_image decoded;
        LS_TRY(jpeg_read(from->path, self->settings.size, &decoded, error));
        int status =
            resize_square(decoded.pixels, decoded.height, decoded.width, self->settings.size,
                          images + done * image_bytes(&base->shape), error);
        free(decoded.pixels);
        LS_TRY(status);
        *warned += decoded.warned;
        labels[done] = from->label;
    }
    return LS_OK;
}

static void release(source *base) {
    source_images *self = (source_images *)base;
    for (int split = 0; split < SPLITS; split++) {
        for (int64_t index = 0; index < self->lists[split].count; index++)
            free(self->lists[split].entries[index].path);
        free(self->lists[split].entries);
    }
    free(self);
}

static const source_interface image_folder = {.name = "images", .fill = fill, .close = release};

int source_images_open(const char *folder, const image_folder_settings *settings, source **out,
                       ls_error *error) {
    *out = NULL;
    LS_TRY(jpeg_check(error));
    source_images *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "%s: out of memory", folder);
    self->base.is = &image_folder;
    self->base.shape = (image_shape){settings->size, settings->size, 3};
    self->settings = *settings;
    int status = list_all(self, folder, error);
    for (int split = 0; split < SPLITS; split++)
        self->base.images[split] = self->lists[split].count;
    if (status == LS_OK)
        *out = &self->base;
    else
        source_close(&self->base);
    return status;
}
