#include "data/pack_stage.h"

#include "base/atomic_file.h"
#include "base/permutation.h"
#include "base/share.h"
#include "data/digest.h"
#include "data/folder.h"
#include "data/shard.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Fewer files than shards of 64 MiB: ImageNet has 1,100 of these. */
static const int64_t default_shard_bytes = (int64_t)128 << 20;

/* A file that is too large is refused when it is read, and needs no room. */
static int64_t room_of(const image_entry *entry) {
    return entry->bytes > IMAGE_FILE_LIMIT ? 0 : entry->bytes;
}

static int count_shards(const image_list *list, const char *split, int wanted, int *out,
                        ls_error *error) {
    int64_t bytes = 0, shards = wanted;
    for (int64_t index = 0; index < list->count; index++)
        bytes += room_of(&list->entries[index]);
    if (list->count < 1)
        return ls_fail(error, LS_BAD_INPUT, "images: expected at least one %s image, found none",
                       split);
    if (wanted > list->count)
        return ls_fail(error, LS_BAD_INPUT,
                       "--shards: expected at most %" PRId64 ", the images of the %s split, found "
                       "%d",
                       list->count, split, wanted);
    if (!wanted)
        shards = bytes / default_shard_bytes + 1;
    shards = shards < list->count ? shards : list->count;
    *out = (int)(shards < FORMAT_SHARD_LIMIT ? shards : FORMAT_SHARD_LIMIT);
    return LS_OK;
}

/* What a job's shard is made of, and how: choices, classes, and its files as they were listed. A
 * choice of what happens to files of which nothing can be made changes no shard that has none. */
typedef struct planner {
    const image_folder *from;
    const encoded_choices *choices;
    permutation order;
} planner;

static void add_text(sha256 *digest, const char *text) {
    sha256_add(digest, text, strlen(text) + 1);
}

static int start_plan(const planner *self, const stage_job *job, sha256 *digest, ls_error *error) {
    const image_file_settings *file = &self->choices->file;
    char text[256];
    LS_TRY(sha256_start(digest, error));
    snprintf(text, sizeof text, "plan 1 %s %d %d %d %d %d %s %d", LOCKSTEP_VERSION, file->decode,
             file->apply_exif, file->max_side, file->quality, file->encode_all,
             split_names[job->split], job->number);
    add_text(digest, text);
    for (int index = 0; index < self->from->classes.count; index++)
        add_text(digest, class_name(&self->from->classes, index));
    add_text(digest, self->from->splits[job->split].folder);
    return LS_OK;
}

static int plan_job(const planner *self, stage_job *job, ls_error *error) {
    const image_list *list = &self->from->splits[job->split];
    bool shuffled = job->split == SPLIT_TRAIN && self->choices->shuffled;
    sha256 digest;
    LS_TRY(start_plan(self, job, &digest, error));
    for (int64_t place = job->first; place < job->first + job->images; place++) {
        const image_entry *entry =
            &list->entries[shuffled ? permutation_at(&self->order, place) : place];
        int64_t facts[3] = {entry->label, entry->bytes, entry->changed};
        sha256_add(&digest, facts, sizeof facts);
        add_text(&digest, entry->name);
        job->bytes += room_of(entry);
    }
    sha256_finish(&digest, job->plan);
    return LS_OK;
}

static int add_jobs(pack_stage *self, const planner *plan, int split, int wanted, ls_error *error) {
    manifest_split *out = &self->manifest.splits[split];
    const image_list *list = &self->from->splits[split];
    LS_TRY(count_shards(list, split_names[split], wanted, &out->shards, error));
    out->list = calloc((size_t)out->shards, sizeof *out->list);
    stage_job *jobs =
        realloc(self->jobs, (size_t)(self->job_count + out->shards) * sizeof *self->jobs);
    if (jobs)
        self->jobs = jobs;
    if (!out->list || !jobs)
        return ls_fail(error, LS_FAILED, "out of memory for the list of shards");
    for (int number = 0; number < out->shards; number++) {
        share part = share_of(list->count, number, out->shards);
        stage_job *job = &self->jobs[self->job_count++];
        *job = (stage_job){.split = split,
                           .number = number,
                           .first = part.first,
                           .images = part.count,
                           .entry = &out->list[number]};
        shard_name(job->entry->name, split_names[split], number);
        LS_TRY(plan_job(plan, job, error));
        self->total_images += job->images;
        self->total_bytes += job->bytes;
        self->most_images = job->images > self->most_images ? job->images : self->most_images;
        self->most_bytes = job->bytes > self->most_bytes ? job->bytes : self->most_bytes;
    }
    return LS_OK;
}

static int name_job(pack_stage *self, stage_job *job, ls_error *error) {
    LS_TRY(path_join(job->path, sizeof job->path, self->packing, job->entry->name, error));
    int used =
        snprintf(job->record, sizeof job->record, "%s/%s.txt", self->packing, job->entry->name);
    if (used < 0 || (size_t)used >= sizeof job->record)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is longer than %zu bytes",
                       self->packing, sizeof job->record - 1);
    return LS_OK;
}

/* Is the shard at `path` the one that the record tells of? Its header says: it got its name after
 * all of it was on the disk. */
static bool is_there(const char *path, const pack_record *record) {
    shard opened;
    ls_error ignored = {0};
    if (access(path, R_OK) != 0 || shard_open(&opened, path, &ignored) != LS_OK)
        return false;
    bool same = opened.header.kind == CONTENT_ENCODED && opened.header.bytes == record->bytes &&
                opened.header.images == record->images &&
                strcmp(opened.sha256, record->sha256) == 0;
    shard_close(&opened);
    return same;
}

static void take_record(pack_stage *self, stage_job *job, const pack_record *record) {
    job->done = true;
    memcpy(job->entry->sha256, record->sha256, sizeof job->entry->sha256);
    job->entry->images = record->images;
    job->entry->bytes = record->bytes;
    atomic_fetch_add(&self->finished, 1);
}

/* A pack that ended while shards got their last names has left some there. */
static int find_finished(pack_stage *self, stage_job *job, ls_error *error) {
    pack_record record;
    char last[4096];
    LS_TRY(path_join(last, sizeof last, self->folder.path, job->entry->name, error));
    if (!pack_record_read(&record, job->record))
        return LS_OK;
    if (strcmp(record.plan, job->plan) == 0) {
        bool here = is_there(job->path, &record);
        if (!here && is_there(last, &record))
            memcpy(job->path, last, sizeof job->path), here = true;
        if (here) {
            take_record(self, job, &record);
            self->kept_images += job->images;
            self->kept_bytes += job->bytes;
        }
    }
    pack_record_release(&record);
    return LS_OK;
}

static int start(pack_stage *self, const encoded_choices *choices, const pack_settings *settings,
                 ls_error *error) {
    planner plan = {.from = self->from, .choices = choices};
    permutation_start(&plan.order, self->from->splits[SPLIT_TRAIN].count, choices->seed, 0);
    self->manifest.kind = CONTENT_ENCODED;
    self->manifest.encoded = (encoded_facts){.exif_applied = choices->file.apply_exif,
                                             .max_side = choices->file.max_side,
                                             .quality = choices->file.quality,
                                             .decoded = choices->file.decode,
                                             .shuffled = choices->shuffled,
                                             .seed = (int64_t)choices->seed};
    LS_TRY(class_names_check_utf8(&self->from->classes, "images", error));
    LS_TRY(class_names_copy(&self->manifest.classes, &self->from->classes, error));
    for (int split = 0; split < SPLITS; split++)
        LS_TRY(add_jobs(self, &plan, split, settings->shards, error));
    LS_TRY(pack_folder_take(&self->folder, settings, error));
    LS_TRY(
        path_join(self->packing, sizeof self->packing, self->folder.path, PACKING_FOLDER, error));
    LS_TRY(folder_create(self->packing, error));
    for (int index = 0; index < self->job_count; index++) {
        LS_TRY(name_job(self, &self->jobs[index], error));
        LS_TRY(find_finished(self, &self->jobs[index], error));
    }
    return LS_OK;
}

int stage_start(pack_stage *self, const image_folder *from, const encoded_choices *choices,
                const pack_settings *settings, ls_error *error) {
    memset(self, 0, sizeof *self);
    self->from = from;
    self->most_bytes = 1 << 16; /* where all files are empty */
    int status = start(self, choices, settings, error);
    if (status != LS_OK)
        stage_end(self);
    return status;
}

int stage_finish(pack_stage *self, stage_job *job, const pack_record *record, ls_error *error) {
    LS_TRY(pack_record_write(record, job->record, error));
    take_record(self, job, record);
    return LS_OK;
}

static int gather_records(pack_stage *self, text_buffer *converted, text_buffer *left_out,
                          ls_error *error) {
    if (self->from->left_out)
        text_add(left_out, "%s", self->from->left_out);
    self->manifest.splits[SPLIT_TRAIN].left_out = self->from->left_out_count;
    for (int index = 0; index < self->job_count; index++) {
        stage_job *job = &self->jobs[index];
        manifest_split *split = &self->manifest.splits[job->split];
        pack_record record;
        if (!pack_record_read(&record, job->record))
            return ls_fail(error, LS_FAILED, "%s: expected it whole, as it was written just now",
                           job->record);
        split->images += record.images;
        split->bytes += record.bytes;
        split->warned += record.warned;
        split->converted += record.converted;
        split->left_out += record.left_out;
        if (record.converted_list.length)
            text_add_bytes(converted, record.converted_list.bytes, record.converted_list.length);
        if (record.left_out_list.length)
            text_add_bytes(left_out, record.left_out_list.bytes, record.left_out_list.length);
        pack_record_release(&record);
    }
    LS_TRY(text_buffer_check(converted, error));
    return text_buffer_check(left_out, error);
}

/* A list without lines is no file; that of a replaced data set goes. */
static int write_list(const pack_stage *self, const char *name, const text_buffer *lines,
                      ls_error *error) {
    char path[4096];
    LS_TRY(path_join(path, sizeof path, self->folder.path, name, error));
    if (lines->length)
        return atomic_file_write(path, lines->bytes, lines->length, error);
    if (unlink(path) != 0 && errno != ENOENT)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot remove the old list", path);
    return LS_OK;
}

static int move_shards(pack_stage *self, ls_error *error) {
    for (int index = 0; index < self->job_count; index++) {
        char last[4096];
        stage_job *job = &self->jobs[index];
        LS_TRY(path_join(last, sizeof last, self->folder.path, job->entry->name, error));
        if (strcmp(job->path, last) != 0 && rename(job->path, last) != 0)
            return ls_fail_errno(error, LS_FAILED, "%s: cannot give it its name", last);
        memcpy(job->path, last, sizeof job->path);
    }
    return path_sync(self->folder.path, error);
}

/* Everything in PACKING_FOLDER is ours, of this pack or of one with other choices. */
static void remove_packing(const pack_stage *self) {
    name_list names;
    ls_error ignored = {0};
    if (!self->packing[0] || folder_list(self->packing, &names, &ignored) != LS_OK)
        return;
    for (int index = 0; index < names.count; index++) {
        char path[4096];
        if (path_join(path, sizeof path, self->packing, names.names[index], &ignored) == LS_OK)
            unlink(path);
    }
    name_list_release(&names);
    rmdir(self->packing);
}

/* Replacing a data set, its manifest goes first, so that no mixture ever has one. */
static int put_in_place(pack_stage *self, const text_buffer *converted, const text_buffer *left_out,
                        ls_error *error) {
    atomic_file manifest_file;
    LS_TRY(claim_check(self->folder.claim, error));
    LS_TRY(manifest_id(&self->manifest, self->manifest.id, error));
    LS_TRY(manifest_prepare(&self->manifest, self->folder.path, &manifest_file, error));
    int status = LS_OK;
    if (unlink(manifest_file.path) != 0 && errno != ENOENT)
        status = ls_fail_errno(error, LS_FAILED, "%s: cannot replace it", manifest_file.path);
    if (status == LS_OK)
        status = move_shards(self, error);
    if (status == LS_OK)
        status = pack_folder_remove_surplus(&self->folder, &self->manifest, error);
    if (status == LS_OK)
        status = write_list(self, CONVERTED_LIST, converted, error);
    if (status == LS_OK)
        status = write_list(self, LEFT_OUT_LIST, left_out, error);
    if (status == LS_OK)
        status = atomic_file_commit(&manifest_file, error);
    atomic_file_discard(&manifest_file);
    return status;
}

int stage_commit(pack_stage *self, manifest *out, ls_error *error) {
    text_buffer converted = {0}, left_out = {0};
    int status = gather_records(self, &converted, &left_out, error);
    if (status == LS_OK)
        status = put_in_place(self, &converted, &left_out, error);
    text_free(&converted);
    text_free(&left_out);
    LS_TRY(status);
    remove_packing(self);
    self->committed = true;
    *out = self->manifest;
    memset(&self->manifest, 0, sizeof self->manifest);
    return LS_OK;
}

void stage_end(pack_stage *self) {
    if (self->committed || atomic_load(&self->finished) > 0) {
        pack_folder_release(&self->folder);
    } else {
        /* Only who holds the claim may remove what lies there. */
        if (self->folder.claim)
            remove_packing(self);
        pack_folder_undo(&self->folder);
    }
    manifest_release(&self->manifest);
    free(self->jobs);
    self->jobs = NULL;
    self->job_count = 0;
}
