#include "data/image_folder.h"

#include "base/permutation.h"
#include "base/text_buffer.h"
#include "data/folder.h"
#include "data/pack_notes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* What listing needs beside what it makes. */
typedef struct listing {
    image_folder *out;
    const image_folder_choices *choices;
    text_buffer left_out;
} listing;

static int append(image_list *list, const image_entry *entry, ls_error *error) {
    if (list->count == list->capacity) {
        int64_t capacity = list->capacity ? list->capacity * 2 : 256;
        image_entry *grown = realloc(list->entries, (size_t)capacity * sizeof *grown);
        if (!grown)
            return ls_fail(error, LS_FAILED, "out of memory for the list of images");
        list->entries = grown;
        list->capacity = capacity;
    }
    list->entries[list->count++] = *entry;
    return LS_OK;
}

static bool is_image_name(const char *name, bool png) {
    const char *dot = strrchr(name, '.');
    return dot && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ||
                   (png && strcasecmp(dot, ".png") == 0));
}

/* Why the file at `path` is not listed. */
static int judge(const listing *self, const char *path, struct stat *found, ls_error *error) {
    const char *wanted = self->choices->png ? "JPEG files (.jpg, .jpeg; .png are converted)"
                                            : "JPEG files (.jpg, .jpeg)";
    if (stat(path, found) != 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: expected a JPEG file", path);
    if (S_ISDIR(found->st_mode))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected %s in a class's folder, found a folder",
                       path, wanted);
    if (!is_image_name(path, self->choices->png))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected %s in a class's folder, found this", path,
                       wanted);
    return LS_OK;
}

static int take_file(listing *self, const char *folder, const char *name, int32_t label,
                     image_list *out, ls_error *error) {
    char path[4096];
    struct stat found;
    ls_error why = {0};
    image_entry entry = {.label = label};
    LS_TRY(path_join(path, sizeof path, folder, name, error));
    if (judge(self, path, &found, &why) != LS_OK) {
        if (!self->choices->skip_bad)
            return ls_fail(error, why.code, "%s", why.text);
        note_add(&self->left_out, path, why.text);
        self->out->left_out_count++;
        return LS_OK;
    }
    if (self->choices->facts) {
        entry.bytes = found.st_size;
        entry.changed = found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec;
    }
    entry.name = strdup(name);
    if (!entry.name)
        return ls_fail(error, LS_FAILED, "out of memory for the list of images");
    int status = append(out, &entry, error);
    if (status != LS_OK)
        free(entry.name);
    return status;
}

static int list_class(listing *self, const char *folder, int32_t label, image_list *out,
                      ls_error *error) {
    name_list names;
    LS_TRY(folder_list(folder, &names, error));
    int64_t before = out->count;
    int status = LS_OK;
    for (int index = 0; status == LS_OK && index < names.count; index++)
        status = take_file(self, folder, names.names[index], label, out, error);
    if (status == LS_OK && out->count == before)
        status = ls_fail(error, LS_BAD_INPUT, "%s: expected JPEG files, found %s", folder,
                         names.count ? "none" : "an empty folder");
    name_list_release(&names);
    return status;
}

/* By bisection: the names are sorted. */
static int label_of(const class_names *classes, const char *name) {
    int low = 0, high = classes->count - 1;
    while (low <= high) {
        int middle = low + (high - low) / 2, order = strcmp(name, class_name(classes, middle));
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle - 1;
        else
            low = middle + 1;
    }
    return -1;
}

static int check_class_folder(const char *path, ls_error *error) {
    struct stat found;
    if (stat(path, &found) != 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: expected a class's folder", path);
    if (!S_ISDIR(found.st_mode))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected a class's folder, found a file", path);
    return LS_OK;
}

/* The images of all class folders in a split's folder, by class and then by name. */
static int list_split(listing *self, int split, const name_list *names, ls_error *error) {
    image_list *out = &self->out->splits[split];
    for (int index = 0; index < names->count; index++) {
        char path[4096];
        LS_TRY(path_join(path, sizeof path, out->folder, names->names[index], error));
        LS_TRY(check_class_folder(path, error));
        int label = label_of(&self->out->classes, names->names[index]);
        if (label < 0)
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: expected a class of the training images, found another", path);
        LS_TRY(list_class(self, path, label, out, error));
    }
    return LS_OK;
}

/* Every image's place in a permutation of all decides: a function of seed, fraction and the sorted
 * list, and of nothing else. */
static int split_off_test(listing *self, ls_error *error) {
    image_list *train = &self->out->splits[SPLIT_TRAIN], *test = &self->out->splits[SPLIT_TEST];
    image_list all = *train;
    int64_t wanted = llround((double)all.count * self->choices->test_fraction);
    permutation order;
    if (wanted < 1 || wanted >= all.count)
        return ls_fail(error, LS_BAD_INPUT,
                       "--test-fraction: expected at least one test and one training image, found "
                       "%lld of %lld images for test",
                       (long long)wanted, (long long)all.count);
    char *is_test = calloc((size_t)all.count, 1);
    if (!is_test)
        return ls_fail(error, LS_FAILED, "out of memory for the list of images");
    permutation_start(&order, all.count, self->choices->seed, 0);
    for (int64_t position = 0; position < wanted; position++)
        is_test[permutation_at(&order, position)] = 1;
    int status = LS_OK;
    int64_t kept = 0;
    memcpy(test->folder, train->folder, sizeof test->folder);
    for (int64_t index = 0; index < all.count; index++) {
        image_entry *at = &all.entries[index];
        if (!is_test[index])
            train->entries[kept++] = *at;
        else if (status != LS_OK || (status = append(test, at, error)) != LS_OK)
            free(at->name);
    }
    train->count = kept;
    free(is_test);
    return status;
}

static int list_folder(listing *self, const char *folder, int split, ls_error *error) {
    name_list names;
    image_list *out = &self->out->splits[split];
    LS_TRY(path_join(out->folder, sizeof out->folder, folder, "", error));
    LS_TRY(folder_list(folder, &names, error));
    int status = LS_OK;
    if (split == SPLIT_TRAIN)
        status = class_names_set(&self->out->classes, (const char *const *)names.names, names.count,
                                 folder, error);
    if (status == LS_OK)
        status = list_split(self, split, &names, error);
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
static int note_ignored(listing *self, const char *folder, const char *test, ls_error *error) {
    name_list names;
    LS_TRY(folder_list(folder, &names, error));
    size_t used = 0, room = sizeof self->out->ignored;
    for (int index = 0; index < names.count && used < room; index++) {
        const char *name = names.names[index];
        if (strcmp(name, "train") != 0 && strcmp(name, test) != 0)
            used += (size_t)snprintf(self->out->ignored + used, room - used, "%s%s",
                                     used ? ", " : "", name);
    }
    name_list_release(&names);
    return LS_OK;
}

static int list_all(listing *self, const char *folder, ls_error *error) {
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

int image_folder_path(const image_folder *self, int split, int64_t index, char *out,
                      size_t capacity, ls_error *error) {
    const image_list *list = &self->splits[split];
    const image_entry *entry = &list->entries[index];
    int used = snprintf(out, capacity, "%s%s/%s", list->folder,
                        class_name(&self->classes, entry->label), entry->name);
    if (used < 0 || (size_t)used >= capacity)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is longer than %zu bytes",
                       list->folder, capacity - 1);
    return LS_OK;
}

int image_folder_open(image_folder *self, const char *folder, const image_folder_choices *choices,
                      ls_error *error) {
    memset(self, 0, sizeof *self);
    listing made = {.out = self, .choices = choices};
    int status = list_all(&made, folder, error);
    if (status == LS_OK)
        status = text_buffer_check(&made.left_out, error);
    self->left_out = made.left_out.bytes;
    if (status != LS_OK)
        image_folder_close(self);
    return status;
}

void image_folder_close(image_folder *self) {
    for (int split = 0; split < SPLITS; split++) {
        for (int64_t index = 0; index < self->splits[split].count; index++)
            free(self->splits[split].entries[index].name);
        free(self->splits[split].entries);
    }
    class_names_release(&self->classes);
    free(self->left_out);
    memset(self, 0, sizeof *self);
}
