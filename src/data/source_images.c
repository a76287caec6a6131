#include "data/folder.h"
#include "data/jpeg.h"
#include "data/resize.h"
#include "data/sampler.h"
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
    sampler order;
    if (wanted < 1 || wanted >= all.count)
        return ls_fail(error, LS_BAD_INPUT,
                       "--test-fraction: expected at least one test and one training image, found "
                       "%lld of %lld images for test",
                       (long long)wanted, (long long)all.count);
    char *is_test = calloc((size_t)all.count, 1);
    if (!is_test)
        return ls_fail(error, LS_FAILED, "out of memory for the list of images");
    sampler_start(&order, all.count, self->settings.seed, 0, 1);
    for (int64_t position = 0; position < wanted; position++)
        is_test[sampler_index(&order, position)] = 1;
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

static int list_all(source_images *self, const char *folder, ls_error *error) {
    char train[4096], test[4096], val[4096];
    LS_TRY(path_join(train, sizeof train, folder, "train", error));
    LS_TRY(path_join(test, sizeof test, folder, "test", error));
    LS_TRY(path_join(val, sizeof val, folder, "val", error));
    if (!is_folder(train) || (!is_folder(test) && !is_folder(val))) {
        LS_TRY(list_folder(self, folder, SPLIT_TRAIN, error));
        return split_off_test(self, error);
    }
    if (is_folder(test) && is_folder(val))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected test/ or val/ beside train/, found both",
                       folder);
    LS_TRY(list_folder(self, train, SPLIT_TRAIN, error));
    return list_folder(self, is_folder(test) ? test : val, SPLIT_TEST, error);
}

static int fill(const source *base, int split, int64_t first, int64_t count, uint8_t *images,
                int32_t *labels, ls_error *error) {
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
    source_images *self = calloc(1, sizeof *self);
    *out = NULL;
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
