#include "input/jpeg_store.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef enum { EMPTY, READING, READY } state;

/* Room for a block. */
typedef struct shelf {
    int64_t block; /* -1: none */
    state state;
    int users;
    uint64_t used; /* when it was last asked for */
    uint8_t *bytes;
} shelf;

struct jpeg_store {
    encoded *images;
    jpeg_store_settings settings;
    uint8_t *whole;        /* all images, shard after shard; or NULL */
    int64_t *shard_starts; /* of the shards in it */
    uint8_t *memory;       /* of all shelves */
    int64_t shelf_bytes;
    int shelf_count;
    shelf *shelves;
    int *shelf_of; /* [blocks]; -1: none */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t clock;
};

static int no_memory(ls_error *error) {
    return ls_fail(error, LS_FAILED, "out of memory for encoded images");
}

static int64_t all_bytes(const encoded *images) {
    int64_t sum = 0;
    for (int shard = 0; shard < encoded_shards(images); shard++)
        sum += encoded_shard_at(images, shard)->bytes;
    return sum;
}

/* Calls of this size are long stretches for any file system, and one fault less if they fail. */
enum { STRETCH = 1024 };

static int read_whole(jpeg_store *self, ls_error *error) {
    int shards = encoded_shards(self->images);
    self->whole = malloc((size_t)all_bytes(self->images));
    self->shard_starts = calloc((size_t)shards, sizeof *self->shard_starts);
    if (!self->whole || !self->shard_starts)
        return no_memory(error);
    int64_t start = 0;
    for (int shard = 0; shard < shards; shard++) {
        const encoded_shard *from = encoded_shard_at(self->images, shard);
        self->shard_starts[shard] = start - encoded_at(self->images, from->first)->offset;
        for (int64_t first = 0; first < from->images; first += STRETCH) {
            int64_t left = from->images - first, image = from->first + first;
            LS_TRY(encoded_read(self->images, image, left < STRETCH ? left : STRETCH,
                                self->whole + self->shard_starts[shard] +
                                    encoded_at(self->images, image)->offset,
                                error));
        }
        start += from->bytes;
    }
    return LS_OK;
}

/* Images of block `block`: [*first, *first + count). */
static int64_t images_of(const jpeg_store *self, int64_t block, int64_t *first) {
    int64_t left = encoded_count(self->images) - block * self->settings.block;
    *first = block * self->settings.block;
    return left < self->settings.block ? left : self->settings.block;
}

static int64_t bytes_of(const jpeg_store *self, int64_t block) {
    int64_t first, count = images_of(self, block, &first), sum = 0;
    for (int64_t image = first; image < first + count; image++)
        sum += encoded_at(self->images, image)->bytes;
    return sum;
}

static int64_t block_count(const jpeg_store *self) {
    return (encoded_count(self->images) + self->settings.block - 1) / self->settings.block;
}

static int open_shelves(jpeg_store *self, ls_error *error) {
    int64_t blocks = block_count(self);
    for (int64_t block = 0; block < blocks; block++) {
        int64_t bytes = bytes_of(self, block);
        self->shelf_bytes = bytes > self->shelf_bytes ? bytes : self->shelf_bytes;
    }
    int64_t count = self->settings.memory / self->shelf_bytes;
    count = count < blocks ? count : blocks;
    int64_t needed = self->settings.kept < blocks ? self->settings.kept : blocks;
    if (count < needed)
        return ls_fail(error, LS_BAD_INPUT,
                       "--data-memory: half of it is a split's: expected at least %" PRId64
                       " MB of that for %" PRId64 " blocks of %" PRId64 " images, found %" PRId64
                       " MB (give more, or a smaller --shuffle-window)",
                       (needed * self->shelf_bytes + 999999) / 1000000, needed,
                       self->settings.block, self->settings.memory / 1000000);
    self->shelf_count = (int)count;
    self->memory = malloc((size_t)(count * self->shelf_bytes));
    self->shelves = calloc((size_t)count, sizeof *self->shelves);
    self->shelf_of = malloc((size_t)blocks * sizeof *self->shelf_of);
    if (!self->memory || !self->shelves || !self->shelf_of)
        return no_memory(error);
    for (int64_t block = 0; block < blocks; block++)
        self->shelf_of[block] = -1;
    for (int at = 0; at < self->shelf_count; at++)
        self->shelves[at] =
            (shelf){.block = -1, .bytes = self->memory + (size_t)(at * self->shelf_bytes)};
    return LS_OK;
}

int jpeg_store_open(encoded *images, const jpeg_store_settings *settings, jpeg_store **out,
                    ls_error *error) {
    jpeg_store *self = calloc(1, sizeof *self);
    *out = NULL;
    if (!self)
        return no_memory(error);
    self->images = images;
    self->settings = *settings;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, NULL);
    int status = LS_OK;
    if (all_bytes(images) <= settings->memory)
        status = read_whole(self, error);
    else if (settings->block > 0)
        status = open_shelves(self, error);
    if (status == LS_OK)
        *out = self;
    else
        jpeg_store_close(self);
    return status;
}

void jpeg_store_close(jpeg_store *self) {
    if (!self)
        return;
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    free(self->whole);
    free(self->shard_starts);
    free(self->memory);
    free(self->shelves);
    free(self->shelf_of);
    free(self);
}

/* A block may reach from one shard into the next. */
static int read_block(jpeg_store *self, int64_t block, uint8_t *out, ls_error *error) {
    int64_t first, count = images_of(self, block, &first), end = first + count;
    while (first < end) {
        const encoded_shard *shard =
            encoded_shard_at(self->images, encoded_shard_of(self->images, first));
        int64_t shard_end = shard->first + shard->images, stop = shard_end < end ? shard_end : end;
        LS_TRY(encoded_read(self->images, first, stop - first, out, error));
        for (; first < stop; first++)
            out += encoded_at(self->images, first)->bytes;
    }
    return LS_OK;
}

/* The shelf to give up; NULL where all are in use. */
static shelf *least_used(jpeg_store *self) {
    shelf *found = NULL;
    for (int at = 0; at < self->shelf_count; at++) {
        shelf *each = &self->shelves[at];
        if (each->users == 0 && each->state != READING && (!found || each->used < found->used))
            found = each;
    }
    return found;
}

/* Enters and leaves with the lock held; reads without it. */
static int fill(jpeg_store *self, shelf *target, int64_t block, ls_error *error) {
    if (target->block >= 0)
        self->shelf_of[target->block] = -1;
    *target =
        (shelf){.block = block, .state = READING, .used = ++self->clock, .bytes = target->bytes};
    self->shelf_of[block] = (int)(target - self->shelves);
    pthread_mutex_unlock(&self->lock);
    int status = read_block(self, block, target->bytes, error);
    pthread_mutex_lock(&self->lock);
    target->state = status == LS_OK ? READY : EMPTY;
    if (status != LS_OK) {
        self->shelf_of[block] = -1;
        target->block = -1;
    }
    pthread_cond_broadcast(&self->changed);
    return status;
}

/* A user more of the block's shelf. The lock is held. */
static int take_shelf(jpeg_store *self, int64_t block, shelf **out, ls_error *error) {
    for (;;) {
        int at = self->shelf_of[block];
        if (at >= 0 && self->shelves[at].state == READY) {
            *out = &self->shelves[at];
            (*out)->users++;
            (*out)->used = ++self->clock;
            return LS_OK;
        }
        shelf *room = at < 0 ? least_used(self) : NULL;
        if (room)
            LS_TRY(fill(self, room, block, error));
        else
            pthread_cond_wait(&self->changed, &self->lock);
    }
}

static int take_from_block(jpeg_store *self, int64_t image, jpeg_store_bytes *out,
                           ls_error *error) {
    int64_t first;
    shelf *from = NULL;
    out->block = image / self->settings.block;
    pthread_mutex_lock(&self->lock);
    int status = take_shelf(self, out->block, &from, error);
    pthread_mutex_unlock(&self->lock);
    LS_TRY(status);
    images_of(self, out->block, &first);
    out->bytes = from->bytes;
    for (; first < image; first++)
        out->bytes += encoded_at(self->images, first)->bytes;
    return LS_OK;
}

int jpeg_store_take(jpeg_store *self, int64_t image, jpeg_store_bytes *out, ls_error *error) {
    const encoded_image *of = encoded_at(self->images, image);
    *out = (jpeg_store_bytes){.count = (size_t)of->bytes, .block = -1};
    if (self->whole) {
        out->bytes =
            self->whole + self->shard_starts[encoded_shard_of(self->images, image)] + of->offset;
        return LS_OK;
    }
    if (self->settings.block > 0)
        return take_from_block(self, image, out, error);
    out->own = malloc(out->count);
    out->bytes = out->own;
    return out->own ? encoded_read(self->images, image, 1, out->own, error) : no_memory(error);
}

void jpeg_store_give(jpeg_store *self, jpeg_store_bytes *taken) {
    free(taken->own);
    if (taken->block >= 0) {
        pthread_mutex_lock(&self->lock);
        shelf *from = &self->shelves[self->shelf_of[taken->block]];
        if (--from->users == 0)
            pthread_cond_broadcast(&self->changed);
        pthread_mutex_unlock(&self->lock);
    }
    *taken = (jpeg_store_bytes){.block = -1};
}

void jpeg_store_expect(jpeg_store *self, int64_t number) {
    if (self->whole)
        return;
    int64_t first = number, count = 1;
    if (self->settings.block > 0)
        count = images_of(self, number, &first);
    for (int64_t end = first + count; first < end;) {
        const encoded_shard *shard =
            encoded_shard_at(self->images, encoded_shard_of(self->images, first));
        int64_t shard_end = shard->first + shard->images, stop = shard_end < end ? shard_end : end;
        encoded_expect(self->images, first, stop - first);
        first = stop;
    }
}

int64_t jpeg_store_memory(const jpeg_store *self) {
    return self->whole ? all_bytes(self->images) : self->shelf_count * self->shelf_bytes;
}
