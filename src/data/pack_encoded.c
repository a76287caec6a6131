#include "data/pack_encoded.h"

#include "base/atomic_file.h"
#include "base/crc32c.h"
#include "base/permutation.h"
#include "data/crew.h"
#include "data/digest.h"
#include "data/file_read.h"
#include "data/memory.h"
#include "data/pack_notes.h"
#include "data/pack_stage.h"
#include "data/shard_stream.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the threads share. HDF5 is entered with `hdf5` held. */
typedef struct packing {
    crew crew;
    const image_folder *from;
    const encoded_choices *choices;
    pack_stage *stage;
    permutation order; /* of the training images */
    memory_budget budget;
    pthread_mutex_t hdf5;
} packing;

/* The memory of one thread: a shard that grows, or what of it is not in its file yet. */
typedef struct shard_memory {
    uint8_t *bytes;
    int64_t capacity, used; /* of bytes */
    shard_stream *stream;   /* NULL: the shard is written when it is whole */
    bool unplanned;         /* it will not be what the stream has room for */
    int64_t places;         /* of the split that are done */
    int64_t images;
    int32_t *labels, *sizes;
    int64_t *offsets;
    uint32_t *crcs;
} shard_memory;

static int memory_start(shard_memory *self, int64_t bytes, int64_t images, ls_error *error) {
    size_t count = (size_t)images;
    *self = (shard_memory){.bytes = memory_map((size_t)bytes),
                           .capacity = bytes,
                           .labels = malloc(count * sizeof *self->labels),
                           .sizes = malloc(2 * count * sizeof *self->sizes),
                           .offsets = malloc((count + 1) * sizeof *self->offsets),
                           .crcs = malloc(count * sizeof *self->crcs)};
    if (self->bytes && self->labels && self->sizes && self->offsets && self->crcs)
        return LS_OK;
    return ls_fail(error, LS_FAILED,
                   "out of memory for a shard of %lld MiB (more --shards make them smaller)",
                   (long long)(bytes >> 20));
}

static void memory_end(shard_memory *self) {
    memory_unmap(self->bytes, (size_t)self->capacity);
    free(self->labels);
    free(self->sizes);
    free(self->offsets);
    free(self->crcs);
}

/* Room for `bytes` more: files that were converted, or grew, may be larger than was planned. */
static int memory_reserve(packing *packer, shard_memory *self, int64_t bytes, ls_error *error) {
    if (self->used + bytes <= self->capacity)
        return LS_OK;
    int64_t capacity = self->used + bytes + self->capacity / 8, more = capacity - self->capacity;
    uint8_t *grown = NULL;
    if (budget_try(&packer->budget, more))
        grown = memory_grow(self->bytes, (size_t)self->capacity, (size_t)capacity);
    if (!grown)
        return ls_fail(error, LS_FAILED,
                       "out of memory for a shard that grew by %lld MiB (more --shards make them "
                       "smaller; --memory is the bound)",
                       (long long)(more >> 20));
    self->bytes = grown;
    self->capacity = capacity;
    return LS_OK;
}

/* Whole blocks go into the file; at the end all. */
static int memory_flush(shard_memory *self, bool all, ls_error *error) {
    int64_t blocks = self->used / FORMAT_BLOCK_BYTES * FORMAT_BLOCK_BYTES;
    int64_t gone = all ? self->used : blocks;
    if (!self->stream || gone == 0)
        return LS_OK;
    LS_TRY(shard_stream_add(self->stream, self->bytes, gone, error));
    memmove(self->bytes, self->bytes + gone, (size_t)(self->used - gone));
    self->used -= gone;
    return LS_OK;
}

static void memory_add(shard_memory *self, int32_t label, const image_file *file) {
    int64_t index = self->images++;
    self->labels[index] = label;
    self->sizes[2 * index] = file->height;
    self->sizes[2 * index + 1] = file->width;
    self->crcs[index] = crc32c(self->bytes + self->used, file->length);
    self->used += (int64_t)file->length;
    self->offsets[index + 1] = self->offsets[index] + (int64_t)file->length;
}

/* Which image lies at a place of a split. */
static int64_t image_at(const packing *self, int split, int64_t place) {
    return split == SPLIT_TRAIN && self->choices->shuffled ? permutation_at(&self->order, place)
                                                           : place;
}

/* Reads the file behind what the shard holds, and leaves there what it becomes. LS_BAD_INPUT: only
 * this file cannot be had. */
static int take_file(packing *self, const char *path, shard_memory *memory, image_file *out,
                     ls_error *error) {
    open_file file;
    LS_TRY(file_start(&file, path, IMAGE_FILE_LIMIT, error));
    int status = memory_reserve(self, memory, file.bytes, error);
    if (status == LS_OK)
        status = file_read(&file, path, memory->bytes + memory->used, error);
    file_end(&file);
    LS_TRY(status);
    LS_TRY(image_file_take(&self->choices->file, &self->budget, path, memory->bytes + memory->used,
                           (size_t)file.bytes, out, error));
    if (!out->bytes)
        return LS_OK;
    status = memory_reserve(self, memory, (int64_t)out->length, error);
    if (status == LS_OK)
        memcpy(memory->bytes + memory->used, out->bytes, out->length);
    free(out->bytes);
    out->bytes = NULL;
    return status;
}

static void note(const image_file *file, const char *path, pack_record *record) {
    record->warned += file->warned;
    record->converted += file->became[0] != '\0';
    if (file->odd)
        note_add(&record->converted_list, path, file->became);
}

static int pack_image(packing *self, stage_job *job, int64_t index, shard_memory *memory,
                      pack_record *record, ls_error *error) {
    char path[4096];
    image_file file = {0};
    ls_error why = {0};
    const image_entry *entry = &self->from->splits[job->split].entries[index];
    LS_TRY(image_folder_path(self->from, job->split, index, path, sizeof path, error));
    int status = take_file(self, path, memory, &file, &why);
    memory->unplanned |=
        status == LS_OK ? (int64_t)file.length != entry->bytes : self->choices->skip_bad;
    if (status == LS_OK) {
        memory_add(memory, entry->label, &file);
        note(&file, path, record);
    } else if (status != LS_BAD_INPUT) {
        return ls_fail(error, status, "%s", why.text);
    } else if (self->choices->skip_bad) {
        record->left_out++;
        note_add(&record->left_out_list, path, why.text);
    } else if (!atomic_load(&self->crew.stop)) {
        crew_complain(&self->crew, &why);
    }
    atomic_fetch_add(&self->crew.done_images, 1);
    atomic_fetch_add(&self->crew.done_bytes, entry->bytes);
    return memory_flush(memory, false, error);
}

static shard_header header_of(const packing *self, const stage_job *job, int64_t images,
                              int64_t bytes) {
    return (shard_header){.kind = CONTENT_ENCODED,
                          .split = split_names[job->split],
                          .images = images,
                          .number = job->number,
                          .bytes = bytes,
                          .classes = &self->from->classes};
}

/* With HDF5 to itself. What is whole is written in one piece, or ends its stream. */
static int write_values(packing *self, const stage_job *job, const atomic_file *file,
                        const shard_memory *memory, pack_record *record, ls_error *error) {
    const void *values[] = {memory->bytes, memory->labels, memory->offsets, memory->sizes,
                            memory->crcs};
    shard_header header = header_of(self, job, memory->images, memory->used);
    if (memory->stream)
        return shard_stream_end(memory->stream, values, record->sha256, error);
    return shard_write(file->temporary, file->path, &header, record->sha256, values, error);
}

static int digest_values(packing *self, const stage_job *job, const shard_memory *memory,
                         pack_record *record, ls_error *error) {
    const void *values[] = {memory->bytes, memory->labels, memory->offsets, memory->sizes,
                            memory->crcs};
    shard_header header = header_of(self, job, memory->images, memory->used);
    return shard_digest(&header, values, record->sha256, error);
}

/* Before the next thread enters a failed HDF5, all are told to stop. */
static int leave_hdf5(packing *self, int status) {
    if (status != LS_OK)
        atomic_store(&self->crew.stop, 1);
    pthread_mutex_unlock(&self->hdf5);
    return status;
}

/* The file stays the caller's to discard. */
static int write_shard(packing *self, stage_job *job, atomic_file *file, shard_memory *memory,
                       pack_record *record, ls_error *error) {
    int status = LS_OK;
    if (memory->stream)
        LS_TRY(memory_flush(memory, true, error));
    else
        LS_TRY(digest_values(self, job, memory, record, error));
    pthread_mutex_lock(&self->hdf5);
    if (!atomic_load(&self->crew.stop))
        status = write_values(self, job, file, memory, record, error);
    LS_TRY(leave_hdf5(self, status));
    if (atomic_load(&self->crew.stop))
        return LS_OK;
    LS_TRY(atomic_file_commit(file, error));
    return stage_finish(self->stage, job, record, error);
}

static int take_files(packing *self, stage_job *job, shard_memory *memory, pack_record *record,
                      ls_error *error) {
    memory->used = memory->images = memory->places = 0;
    memory->offsets[0] = 0;
    memory->unplanned = false;
    while (memory->places < job->images && !atomic_load(&self->crew.stop) &&
           !(memory->stream && memory->unplanned)) {
        int64_t index = image_at(self, job->split, job->first + memory->places++);
        LS_TRY(pack_image(self, job, index, memory, record, error));
    }
    return LS_OK;
}

static int pack_files(packing *self, stage_job *job, atomic_file *file, shard_memory *memory,
                      pack_record *record, ls_error *error) {
    LS_TRY(take_files(self, job, memory, record, error));
    if (memory->stream && memory->unplanned)
        return LS_OK;
    LS_TRY(text_buffer_check(&record->converted_list, error));
    LS_TRY(text_buffer_check(&record->left_out_list, error));
    if (memory->images + record->left_out < job->images || atomic_load(&self->crew.stop))
        return LS_OK; /* a file is damaged: the shard is made when it is mended */
    if (memory->images == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: of the %lld files for it none can be packed (fewer --shards have more "
                       "files each)",
                       job->path, (long long)job->images);
    record->images = memory->images;
    record->bytes = memory->offsets[memory->images];
    return write_shard(self, job, file, memory, record, error);
}

/* Writes the shard while its files are read, as what they were listed as. Nothing is done where
 * they are not that any more, or become other files: memory->unplanned. */
static int pack_as_listed(packing *self, stage_job *job, atomic_file *file, shard_memory *memory,
                          pack_record *record, ls_error *error) {
    shard_stream stream;
    shard_header header = header_of(self, job, job->images, job->bytes);
    pthread_mutex_lock(&self->hdf5);
    int status = shard_stream_begin(&stream, file->temporary, file->path, &header, error);
    LS_TRY(leave_hdf5(self, status));
    memory->stream = &stream;
    status = pack_files(self, job, file, memory, record, error);
    memory->stream = NULL;
    shard_stream_close(&stream);
    return status;
}

/* What was counted of a job that begins again. */
static void uncount(packing *self, const stage_job *job, const shard_memory *memory) {
    for (int64_t place = 0; place < memory->places; place++) {
        int64_t index = image_at(self, job->split, job->first + place);
        atomic_fetch_sub(&self->crew.done_bytes,
                         self->from->splits[job->split].entries[index].bytes);
    }
    atomic_fetch_sub(&self->crew.done_images, memory->places);
}

static void start_record(pack_record *self, const stage_job *job) {
    pack_record_release(self);
    *self = (pack_record){0};
    memcpy(self->plan, job->plan, sizeof self->plan);
}

static int pack_job_run(packing *self, stage_job *job, shard_memory *memory, pack_record *record,
                        ls_error *error) {
    const image_file_settings *choices = &self->choices->file;
    bool as_listed = job->bytes > 0 && !choices->encode_all && !choices->max_side;
    atomic_file file;
    memory->unplanned = !as_listed;
    start_record(record, job);
    LS_TRY(atomic_file_begin(&file, job->path, error));
    int status = LS_OK;
    if (as_listed)
        status = pack_as_listed(self, job, &file, memory, record, error);
    if (status == LS_OK && memory->unplanned && !atomic_load(&self->crew.stop)) {
        if (as_listed) {
            uncount(self, job, memory);
            start_record(record, job);
            unlink(file.temporary);
        }
        status = pack_files(self, job, &file, memory, record, error);
    }
    atomic_file_discard(&file); /* nothing, where it has its name */
    return status;
}

static int run_jobs(crew *threads, ls_error *error) {
    packing *self = threads->context;
    shard_memory memory;
    int status = memory_start(&memory, self->stage->most_bytes, self->stage->most_images, error);
    for (int index = 0; status == LS_OK && (index = crew_next(threads)) >= 0;) {
        stage_job *job = &self->stage->jobs[index];
        pack_record record = {0};
        if (!job->done)
            status = pack_job_run(self, job, &memory, &record, error);
        pack_record_release(&record);
    }
    memory_end(&memory);
    return status;
}

/* Of the bound: the list of images, what libraries take beside it, a shard a thread, of which
 * there are no more than half of it holds; the rest is for decoding. */
static int share_memory(packing *self, int *threads, ls_error *error) {
    enum { LEAST_DECODING = 16 << 20, LIBRARIES = 16 << 20, ENTRY = 80 };
    int64_t bound = self->choices->memory_bytes, images = self->stage->total_images;
    if (!bound)
        bound = memory_available_bytes() / 4 * 3;
    int64_t each = self->stage->most_bytes + self->stage->most_images * 24;
    int64_t left = bound - LIBRARIES - images * ENTRY;
    while (*threads > 1 && *threads * each > left / 2)
        --*threads;
    left -= *threads * each;
    if (left < LEAST_DECODING)
        return ls_fail(error, LS_BAD_INPUT,
                       "--memory: expected at least %lld MiB for shards of %lld MiB (more --shards "
                       "make them smaller), found %lld MiB",
                       (long long)((bound - left + LEAST_DECODING + (1 << 20) - 1) >> 20),
                       (long long)(self->stage->most_bytes >> 20), (long long)(bound >> 20));
    budget_start(&self->budget, left);
    return LS_OK;
}

static int run_threads(packing *self, const pack_settings *settings, ls_error *error) {
    pack_stage *stage = self->stage;
    int threads = settings->threads;
    LS_TRY(share_memory(self, &threads, error));
    self->crew = (crew){.settings = settings,
                        .work = run_jobs,
                        .context = self,
                        .jobs = stage->job_count,
                        .state = {.images = stage->total_images,
                                  .bytes = stage->total_bytes,
                                  .kept_images = stage->kept_images,
                                  .kept_bytes = stage->kept_bytes}};
    atomic_store(&self->crew.done_images, stage->kept_images);
    atomic_store(&self->crew.done_bytes, stage->kept_bytes);
    pthread_mutex_init(&self->hdf5, NULL);
    crew_start(&self->crew);
    int status = crew_run(&self->crew, threads, error);
    crew_end(&self->crew);
    pthread_mutex_destroy(&self->hdf5);
    budget_end(&self->budget);
    return status;
}

int pack_encoded_run(const image_folder *from, const encoded_choices *choices,
                     const pack_settings *settings, manifest *out, ls_error *error) {
    pack_stage stage;
    packing self = {.from = from, .choices = choices, .stage = &stage};
    permutation_start(&self.order, from->splits[SPLIT_TRAIN].count, choices->seed, 0);
    LS_TRY(stage_start(&stage, from, choices, settings, error));
    int status = run_threads(&self, settings, error);
    if (status == LS_OK)
        status = stage_commit(&stage, out, error);
    stage_end(&stage);
    return status;
}
