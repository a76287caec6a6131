#include "input/jpegs.h"

#include "data/dataset.h"
#include "input/crop.h"
#include "input/jpeg_store.h"
#include "input/samples.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const data_kind data_jpegs;

/* Neighbouring images that are read together: 7 MB of ImageNet. */
enum { BLOCK = 64, CHANNELS = 3 };

/* A decoder that no thread uses. */
typedef struct idle {
    struct idle *next;
    picture picture;
} idle;

typedef struct jpegs {
    samples base;
    dataset *data;
    encoded *images;
    jpeg_store *store;
    bool training, crops; /* crops: at random */
    decode_how how;
    float jitter, hue;
    uint64_t seed;
    int64_t memory; /* bytes, of this split */
    float scale[CHANNELS], shift[CHANNELS];
    pthread_mutex_t lock;
    idle *idle;
    _Atomic int64_t expected; /* windows of all epochs that were announced */
} jpegs;

static jpegs *of(const samples *self) {
    return (jpegs *)(uintptr_t)self;
}

static bool recognises(const char *folder) {
    return dataset_holds(folder, CONTENT_ENCODED);
}

static int three_numbers(const char *option, const char *text, double least, double *out,
                         ls_error *error) {
    char behind;
    if (sscanf(text, "%lf,%lf,%lf%c", &out[0], &out[1], &out[2], &behind) == CHANNELS &&
        out[0] >= least && out[1] >= least && out[2] >= least && out[0] <= 1000 && out[1] <= 1000 &&
        out[2] <= 1000)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "--%s: expected three numbers from %g to 1000 as in 0.5,0.5,0.5, found '%s'",
                   option, least, text);
}

int jpegs_normalisation(const jpegs_choices *choices, double mean[3], double std[3],
                        ls_error *error) {
    LS_TRY(three_numbers("mean", choices->mean, -1000, mean, error));
    return three_numbers("std", choices->std, 1e-6, std, error);
}

/* (x / 255 - mean) / std */
static int normalisation(jpegs *self, const jpegs_choices *choices, ls_error *error) {
    double mean[CHANNELS], std[CHANNELS];
    LS_TRY(jpegs_normalisation(choices, mean, std, error));
    for (int channel = 0; channel < CHANNELS; channel++) {
        self->scale[channel] = (float)(1 / (255 * std[channel]));
        self->shift[channel] = (float)(-mean[channel] / std[channel]);
    }
    return LS_OK;
}

static int choose(jpegs *self, const sample_choices *choices, bool training, ls_error *error) {
    const jpegs_choices *mine = &choices->jpegs;
    const char *augment = choices->augment;
    bool block = strcmp(mine->shuffle, "block") == 0;
    self->crops = training && strcmp(augment, "resized-crop") == 0;
    if (strcmp(augment, "none") != 0 && strcmp(augment, "resized-crop") != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--augment %s: the data set holds images of any size: expected "
                       "resized-crop, or none",
                       augment);
    self->training = training;
    self->how = strcmp(mine->decode, "fast") == 0 ? DECODE_FAST : DECODE_EXACT;
    self->jitter = training ? (float)mine->jitter : 0;
    self->hue = training ? (float)mine->hue : 0;
    self->seed = choices->seed;
    self->memory = mine->memory_mb * 1000000 / 2;
    if (training && block)
        self->base.facts.blocks =
            (sampler_blocks){.block = BLOCK, .window = (mine->shuffle_window + BLOCK - 1) / BLOCK};
    return normalisation(self, mine, error);
}

static void describe(jpegs *self, int64_t size) {
    const dataset_facts *facts = &self->data->facts;
    sample_facts *out = &self->base.facts;
    out->samples = facts->images;
    out->height = out->width = (int)size;
    out->channels = CHANNELS;
    out->classes = facts->classes;
    out->bytes = (size_t)size * (size_t)size * CHANNELS;
    memcpy(out->id, facts->id, sizeof out->id);
}

static int open_split(const char *folder, const char *split, const sample_choices *choices,
                      bool training, samples **out, ls_error *error) {
    jpegs *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->base.is = &data_jpegs;
    pthread_mutex_init(&self->lock, NULL);
    int status = dataset_open(folder, split, &self->data, error);
    if (status == LS_OK)
        status = choose(self, choices, training, error);
    if (status != LS_OK) {
        data_jpegs.close(&self->base);
        return status;
    }
    describe(self, choices->jpegs.image_size ? choices->jpegs.image_size : 224);
    *out = &self->base;
    return LS_OK;
}

static void close_split(samples *base) {
    jpegs *self = of(base);
    for (idle *each = self->idle, *next; each; each = next) {
        next = each->next;
        picture_close(&each->picture);
        free(each);
    }
    jpeg_store_close(self->store);
    encoded_close(self->images);
    dataset_close(self->data);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

/* Known once the split is loaded. */
static int mean_longer_side(const encoded *images) {
    double sum = 0;
    int64_t count = encoded_count(images);
    for (int64_t index = 0; index < count; index++) {
        const encoded_image *each = encoded_at(images, index);
        sum += each->height > each->width ? each->height : each->width;
    }
    return count > 0 ? (int)(sum / (double)count + 0.5) : 0;
}

/* A split that is not shuffled, or in blocks. */
static bool is_read_in_blocks(const jpegs *self) {
    return self->base.facts.blocks.window > 0 || !self->training;
}

/* Two windows of blocks are in use where one ends. */
static int load(samples *base, ls_error *error) {
    jpegs *self = of(base);
    jpeg_store_settings settings = {.memory = self->memory};
    if (self->base.facts.blocks.window > 0)
        settings.kept = 2 * self->base.facts.blocks.window;
    else if (!self->training)
        settings.kept = 2;
    settings.block = settings.kept > 0 ? BLOCK : 0;
    LS_TRY(encoded_open(self->data, &self->images, error));
    self->base.facts.longer_side = mean_longer_side(self->images);
    return jpeg_store_open(self->images, &settings, &self->store, error);
}

/* The list of the images, and their bytes: all of them, or blocks of them; else each is read by
 * itself. */
static size_t load_bytes(const samples *base) {
    const jpegs *self = of(base);
    int64_t all = self->data->facts.bytes, shelves = is_read_in_blocks(self) ? self->memory : 0;
    return (size_t)self->data->facts.images * sizeof(encoded_image) +
           (size_t)(all <= self->memory ? all : shelves);
}

static int take_decoder(jpegs *self, idle **out, ls_error *error) {
    pthread_mutex_lock(&self->lock);
    *out = self->idle;
    if (*out)
        self->idle = (*out)->next;
    pthread_mutex_unlock(&self->lock);
    if (*out)
        return LS_OK;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status = picture_open(&(*out)->picture, error);
    if (status != LS_OK)
        free(*out);
    return status;
}

static void give_decoder(jpegs *self, idle *decoder) {
    pthread_mutex_lock(&self->lock);
    decoder->next = self->idle;
    self->idle = decoder;
    pthread_mutex_unlock(&self->lock);
}

static int decode(const jpegs *self, picture *picture, const crop_draw *draw,
                  const jpeg_store_bytes *from, uint8_t *out, ls_error *error) {
    int size = self->base.facts.height;
    LS_TRY(picture_begin(picture, from->bytes, from->count, error));
    view view = self->crops ? crop_resized(draw, picture->height, picture->width, size)
                            : crop_centre(picture->height, picture->width, size);
    LS_TRY(picture_take(picture, &view, self->how, out, error));
    if (self->jitter > 0 || self->hue > 0)
        crop_jitter(draw, self->jitter, self->hue, out, (size_t)size * (size_t)size);
    return LS_OK;
}

/* A damaged image, by its shard and number. */
static int name_image(const jpegs *self, int64_t id, const ls_error *found, ls_error *error) {
    char file[FORMAT_SHARD_NAME_BYTES];
    int shard = encoded_shard_of(self->images, id);
    shard_name(file, self->data->split, shard);
    return ls_fail(error, found->code,
                   "%s/%s: image %" PRId64 ": %s (`lockstep pack images --encoded` with --check "
                   "decode names all such files, --skip-bad leaves them out)",
                   self->data->folder, file, id - encoded_shard_at(self->images, shard)->first,
                   found->text);
}

static int fetch(const samples *base, int epoch, int64_t id, void *out, int32_t *label,
                 ls_error *error) {
    jpegs *self = of(base);
    crop_draw draw = {.seed = self->seed, .epoch = epoch, .sample = id};
    jpeg_store_bytes bytes;
    idle *decoder;
    ls_error found = {0};
    if (!self->store)
        return ls_fail(error, LS_FAILED, "the data set %s is not loaded", self->data->folder);
    *label = encoded_at(self->images, id)->label;
    LS_TRY(take_decoder(self, &decoder, error));
    int status = jpeg_store_take(self->store, id, &bytes, error);
    if (status == LS_OK) {
        if (decode(self, &decoder->picture, &draw, &bytes, out, &found) != LS_OK)
            status = name_image(self, id, &found, error);
        jpeg_store_give(self->store, &bytes);
    }
    give_decoder(self, decoder);
    return status;
}

/* The blocks of this window, where nobody has said so, and of the next. */
static void expect_windows(jpegs *self, const sampler *order, int64_t position) {
    int64_t epoch = (int64_t)order->epoch << 32;
    int64_t here = sampler_window(order, position);
    for (int64_t window = here; window <= here + 1; window++) {
        int64_t mark = epoch + window + 1, before = atomic_load(&self->expected);
        if (mark <= before || !atomic_compare_exchange_strong(&self->expected, &before, mark))
            continue;
        int64_t block;
        for (int64_t index = 0; (block = sampler_window_block(order, window, index)) >= 0; index++)
            jpeg_store_expect(self->store, block);
    }
}

static void expect(const samples *base, const sampler *order, int64_t position, int64_t count) {
    jpegs *self = of(base);
    if (!self->store)
        return;
    if (order->blocks.window > 0)
        expect_windows(self, order, position);
    else if (!self->training)
        jpeg_store_expect(self->store, position / BLOCK);
    else
        for (int64_t index = 0; index < count; index++)
            jpeg_store_expect(self->store, sampler_index(order, position + index));
}

static int make(const samples *self, device *device, device_stream *stream,
                const sample_place *from, int count, const sample_target *to, ls_error *error) {
    batch_arguments arguments = samples_batch(self, from, count, to);
    arguments.by_channel = true;
    memcpy(arguments.scales, of(self)->scale, sizeof arguments.scales);
    memcpy(arguments.shifts, of(self)->shift, sizeof arguments.shifts);
    return device->is->ops->make_batch(device, stream, &arguments, error);
}

const data_kind data_jpegs = {
    .name = "encoded",
    .recognises = recognises,
    .open = open_split,
    .close = close_split,
    .load_bytes = load_bytes,
    .load = load,
    .fetch = fetch,
    .expect = expect,
    .make = make,
    .slow = true,
};
