#include "data/dataset.h"

#include "data/folder.h"
#include "data/manifest.h"
#include "data/memory.h"
#include "data/shard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dataset_shards {
    manifest manifest;
    const manifest_split *split; /* the one that is open */
    size_t mapped_bytes;
};

static int differs(const shard *found, const char *what, int64_t expected, int64_t value,
                   ls_error *error) {
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: expected %s %" PRId64 ", as " FORMAT_MANIFEST " says, found %" PRId64,
                   found->path, what, expected, value);
}

static int compare_encoded(const shard *found, const manifest_shard *entry, int number,
                           ls_error *error) {
    if (found->header.number != number)
        return differs(found, "the shard number", number, found->header.number, error);
    if (found->header.bytes != entry->bytes)
        return differs(found, "bytes of images of", entry->bytes, found->header.bytes, error);
    return LS_OK;
}

static int compare_pixels(const shard *found, const manifest *expected, int64_t first,
                          ls_error *error) {
    const shard_header *header = &found->header;
    if (header->first != first)
        return differs(found, "a first index of", first, header->first, error);
    if (header->shape.height != expected->shape.height)
        return differs(found, "a height of", expected->shape.height, header->shape.height, error);
    if (header->shape.width != expected->shape.width)
        return differs(found, "a width of", expected->shape.width, header->shape.width, error);
    if (header->shape.channels != expected->shape.channels)
        return differs(found, "a number of channels of", expected->shape.channels,
                       header->shape.channels, error);
    return LS_OK;
}

/* A shard is what the manifest says it is, or it is another data set's, or in another's place:
 * shard `number` of `split`, whose first image is `first`. */
static int compare(const shard *found, const manifest *expected, const char *split,
                   const manifest_shard *entry, int number, int64_t first, ls_error *error) {
    const shard_header *header = &found->header;
    if (strcmp(found->split, split) != 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected a shard of the %s split, found '%s'",
                       found->path, split, found->split);
    if (header->kind != expected->kind)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected a shard of the kind '%s', as " FORMAT_MANIFEST
                       " says, found '%s'",
                       found->path, content_names[expected->kind], content_names[header->kind]);
    if (header->images != entry->images)
        return differs(found, "a number of images of", entry->images, header->images, error);
    LS_TRY(header->kind == CONTENT_ENCODED ? compare_encoded(found, entry, number, error)
                                           : compare_pixels(found, expected, first, error));
    if (!class_names_equal(&found->classes, &expected->classes))
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected the class names of " FORMAT_MANIFEST ", found others",
                       found->path);
    if (strcmp(found->sha256, entry->sha256) != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected the shard with SHA-256 %.16s..., as " FORMAT_MANIFEST
                       " says, found %.16s...: it belongs to another data set",
                       found->path, entry->sha256, found->sha256);
    return LS_OK;
}

/* Opens shard `index`, whose first image is `first`, and compares it with the manifest. */
static int open_shard(const dataset *self, int index, int64_t first, shard *out, ls_error *error) {
    const manifest *expected = &self->shards->manifest;
    const manifest_shard *entry = &self->shards->split->list[index];
    char path[sizeof out->path];
    LS_TRY(path_join(path, sizeof path, self->folder, entry->name, error));
    LS_TRY(shard_open(out, path, error));
    int status = compare(out, expected, self->split, entry, index, first, error);
    if (status != LS_OK)
        shard_close(out);
    return status;
}

int dataset_each_shard(const dataset *self, dataset_visit visit, void *context, ls_error *error) {
    int64_t first = 0;
    for (int index = 0; index < self->facts.shards; index++) {
        shard opened;
        LS_TRY(open_shard(self, index, first, &opened, error));
        int status = visit(context, &opened, index, first, error);
        first += opened.header.images;
        shard_close(&opened);
        LS_TRY(status);
    }
    return LS_OK;
}

static int look(void *context, const shard *opened, int number, int64_t first, ls_error *error) {
    (void)context, (void)opened, (void)number, (void)first, (void)error;
    return LS_OK;
}

static int load_shard(void *context, const shard *opened, int number, int64_t first,
                      ls_error *error) {
    dataset *self = context;
    (void)number;
    LS_TRY(shard_read(opened, PART_LABELS, self->labels + first, error));
    return shard_read(opened, PART_IMAGES,
                      self->images + first * image_bytes(&opened->header.shape), error);
}

static int choose_split(dataset *self, const char *split, ls_error *error) {
    const manifest *found = &self->shards->manifest;
    for (int index = 0; index < SPLITS; index++)
        if (strcmp(split, split_names[index]) == 0)
            self->shards->split = &found->splits[index];
    if (!self->shards->split)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected the split train or test, found '%s'",
                       self->folder, split);
    snprintf(self->split, sizeof self->split, "%s", split);
    bool encoded = found->kind == CONTENT_ENCODED;
    self->facts = (dataset_facts){.kind = found->kind,
                                  .images = self->shards->split->images,
                                  .height = found->shape.height,
                                  .width = found->shape.width,
                                  .channels = encoded ? 3 : found->shape.channels,
                                  .bytes = self->shards->split->bytes,
                                  .exif_applied = found->encoded.exif_applied,
                                  .classes = found->classes.count,
                                  .shards = self->shards->split->shards};
    memcpy(self->facts.id, found->id, sizeof self->facts.id);
    return LS_OK;
}

/* A shard too many is the mark of two data sets mixed in one folder. */
static int refuse_surplus(const dataset *self, ls_error *error) {
    char path[4096];
    LS_TRY(folder_surplus_shard(self->folder, self->split, self->facts.shards, path, sizeof path,
                                error));
    if (path[0] == '\0')
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: expected %d %s shards, as " FORMAT_MANIFEST " says, found this one too",
                   path, self->facts.shards, self->split);
}

static int open_all(dataset *self, const char *folder, const char *split, ls_error *error) {
    char manifest_path[4096];
    LS_TRY(path_join(manifest_path, sizeof manifest_path, folder, FORMAT_MANIFEST, error));
    snprintf(self->folder, sizeof self->folder, "%s", folder);
    name_list names; /* says what is wrong with the folder itself, before its manifest's absence */
    LS_TRY(folder_list(folder, &names, error));
    int empty = names.count == 0;
    name_list_release(&names);
    if (empty)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected a data set (lockstep pack makes one), found an empty folder",
                       folder);
    LS_TRY(manifest_read(&self->shards->manifest, folder, error));
    LS_TRY(choose_split(self, split, error));
    LS_TRY(refuse_surplus(self, error));
    return dataset_each_shard(self, look, NULL, error);
}

bool dataset_holds(const char *folder, content_kind kind) {
    manifest found;
    ls_error ignored = {0};
    if (manifest_read(&found, folder, &ignored) != LS_OK)
        return false;
    bool holds = found.kind == kind;
    manifest_release(&found);
    return holds;
}

int dataset_require(const dataset *self, content_kind kind, ls_error *error) {
    if (self->facts.kind == kind)
        return LS_OK;
    if (kind == CONTENT_PIXELS)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected shards of pixels, found JPEG files as they are (lockstep pack "
                       "images without --encoded makes those, with --size N)",
                       self->folder);
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: expected shards of JPEG files as they are, found pixels of %d x %d "
                   "(lockstep pack images --encoded makes those)",
                   self->folder, self->facts.height, self->facts.width);
}

int dataset_open(const char *folder, const char *split, dataset **out, ls_error *error) {
    dataset *self = calloc(1, sizeof *self);
    *out = NULL;
    if (self)
        self->shards = calloc(1, sizeof *self->shards);
    if (!self || !self->shards) {
        dataset_close(self);
        return ls_fail(error, LS_FAILED, "%s: out of memory", folder);
    }
    int status = open_all(self, folder, split, error);
    if (status == LS_OK)
        *out = self;
    else
        dataset_close(self);
    return status;
}

static int allocate(dataset *self, ls_error *error) {
    int64_t image = image_bytes(&self->shards->manifest.shape);
    int64_t available = memory_available_bytes(), needed = 0;
    if (__builtin_mul_overflow(self->facts.images, image + (int64_t)sizeof(int32_t), &needed))
        needed = INT64_MAX;
    uint8_t *memory = needed > available ? NULL : memory_map((size_t)needed);
    if (!memory)
        return ls_fail(error, LS_FAILED,
                       "%s: the %s split needs %" PRId64 " MiB of memory, %" PRId64
                       " MiB are available (data sets that do not fit are not supported yet)",
                       self->folder, self->split, needed >> 20, available >> 20);
    self->shards->mapped_bytes = (size_t)needed;
    /* Labels first: behind the images they might not be aligned. */
    self->labels = (int32_t *)memory;
    self->images = memory + (size_t)self->facts.images * sizeof(int32_t);
    return LS_OK;
}

static void release(dataset *self) {
    memory_unmap(self->labels, self->shards->mapped_bytes);
    self->images = NULL;
    self->labels = NULL;
}

int dataset_load(dataset *self, ls_error *error) {
    if (self->images)
        return LS_OK;
    LS_TRY(dataset_require(self, CONTENT_PIXELS, error));
    LS_TRY(allocate(self, error));
    int status = dataset_each_shard(self, load_shard, self, error);
    if (status != LS_OK)
        release(self);
    return status;
}

void dataset_close(dataset *self) {
    if (!self)
        return;
    if (self->shards) {
        release(self);
        manifest_release(&self->shards->manifest);
    }
    free(self->shards);
    free(self);
}
