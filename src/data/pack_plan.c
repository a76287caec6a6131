#include "data/pack_plan.h"

#include "base/share.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t default_shard_bytes = (int64_t)64 << 20;

static int count_shards(const source *from, int split, int wanted, int *out, ls_error *error) {
    int64_t images = from->images[split];
    if (images < 1)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected at least one %s image, found none",
                       from->is->name, split_names[split]);
    if (wanted > images)
        return ls_fail(error, LS_BAD_INPUT,
                       "--shards: expected at most %" PRId64 ", the images of the %s split, found "
                       "%d",
                       images, split_names[split], wanted);
    int64_t bytes, shards = wanted;
    if (__builtin_mul_overflow(images, (int64_t)image_bytes(&from->shape), &bytes) ||
        bytes > INT64_MAX - default_shard_bytes)
        return ls_fail(error, LS_BAD_INPUT,
                       "%" PRId64 " %s images of %" PRId64 " bytes are more than 2^63 bytes",
                       images, split_names[split], (int64_t)image_bytes(&from->shape));
    if (!wanted)
        shards = (bytes + default_shard_bytes - 1) / default_shard_bytes;
    shards = shards < images ? shards : images;
    *out = (int)(shards < FORMAT_SHARD_LIMIT ? shards : FORMAT_SHARD_LIMIT);
    return LS_OK;
}

static int plan_split(pack_plan *self, const source *from, int split, int wanted, ls_error *error) {
    manifest_split *out = &self->manifest.splits[split];
    LS_TRY(count_shards(from, split, wanted, &out->shards, error));
    out->images = from->images[split];
    out->list = calloc((size_t)out->shards, sizeof *out->list);
    pack_job *jobs =
        realloc(self->jobs, (size_t)(self->job_count + out->shards) * sizeof *self->jobs);
    if (jobs)
        self->jobs = jobs;
    if (!out->list || !jobs)
        return ls_fail(error, LS_FAILED, "%s: out of memory for its list of shards",
                       from->is->name);
    for (int index = 0; index < out->shards; index++) {
        share part = share_of(out->images, index, out->shards);
        manifest_shard *entry = &out->list[index];
        shard_name(entry->name, split_names[split], index);
        entry->images = part.count;
        self->jobs[self->job_count++] =
            (pack_job){.split = split, .first = part.first, .images = part.count, .entry = entry};
        if (part.count > self->largest_job_images)
            self->largest_job_images = part.count;
    }
    self->total_images += out->images;
    return LS_OK;
}

static int start(pack_plan *self, const source *from, const pack_settings *settings,
                 ls_error *error) {
    self->manifest.shape = from->shape;
    LS_TRY(class_names_check_utf8(&from->classes, from->is->name, error));
    LS_TRY(class_names_copy(&self->manifest.classes, &from->classes, error));
    for (int split = 0; split < SPLITS; split++)
        LS_TRY(plan_split(self, from, split, settings->shards, error));
    LS_TRY(pack_folder_take(&self->folder, settings, error));
    for (int index = 0; index < self->job_count; index++) {
        char path[4096];
        LS_TRY(
            path_join(path, sizeof path, self->folder.path, self->jobs[index].entry->name, error));
        LS_TRY(atomic_file_begin(&self->jobs[index].file, path, error));
    }
    return LS_OK;
}

int pack_plan_start(pack_plan *self, const source *from, const pack_settings *settings,
                    ls_error *error) {
    memset(self, 0, sizeof *self);
    int status = start(self, from, settings, error);
    if (status != LS_OK) {
        pack_plan_discard(self);
        pack_plan_release(self);
    }
    return status;
}

int pack_plan_commit(pack_plan *self, ls_error *error) {
    atomic_file manifest_file;
    LS_TRY(claim_check(self->folder.claim, error));
    LS_TRY(manifest_id(&self->manifest, self->manifest.id, error));
    LS_TRY(manifest_prepare(&self->manifest, self->folder.path, &manifest_file, error));
    int status = LS_OK, committed = 0;
    if (unlink(manifest_file.path) != 0 && errno != ENOENT)
        status = ls_fail_errno(error, LS_FAILED, "%s: cannot replace it", manifest_file.path);
    for (; status == LS_OK && committed < self->job_count; committed++)
        status = atomic_file_commit(&self->jobs[committed].file, error);
    if (status == LS_OK)
        status = pack_folder_remove_surplus(&self->folder, &self->manifest, error);
    if (status == LS_OK)
        status = atomic_file_commit(&manifest_file, error);
    atomic_file_discard(&manifest_file);
    for (int index = 0; status != LS_OK && index < committed; index++)
        unlink(self->jobs[index].file.path);
    return status;
}

void pack_plan_discard(pack_plan *self) {
    for (int index = 0; index < self->job_count; index++)
        atomic_file_discard(&self->jobs[index].file);
    pack_folder_undo(&self->folder);
}

void pack_plan_release(pack_plan *self) {
    pack_folder_release(&self->folder);
    manifest_release(&self->manifest);
    free(self->jobs);
    self->jobs = NULL;
    self->job_count = 0;
}
