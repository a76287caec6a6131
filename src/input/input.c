#include "input/input.h"

#include "input/augmentations.h"

#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(input_choices, field)

static const option options[] = {
    {"data", OPTION_TEXT, AT(folder), "DIR", NULL, NULL, 0, 0,
     "Read the shards in DIR, which `lockstep pack` wrote.", false},
    {"augment", OPTION_CHOICE, AT(augment), "NAME", "none", AUGMENTATION_CHOICES, 0, 0,
     "Augment training images: crop-flip: a random crop (4 pixels of padding) and mirroring; "
     "resized-crop (of encoded images): a random part of random size and shape, and mirroring.",
     false},
    {"color-jitter", OPTION_REAL, AT(jpegs.jitter), "S", "0", NULL, 0, 1,
     "Change brightness, contrast and saturation of encoded training images by up to S.", false},
    {"color-hue", OPTION_REAL, AT(jpegs.hue), "T", "0", NULL, 0, 0.5,
     "Turn the hue of encoded training images by up to T of the circle, either way.", false},
    {"mixup", OPTION_REAL, AT(mixup), "ALPHA", "0", NULL, 0, 1000,
     "Mix each training image and its target with another's, by a weight a step from Beta(ALPHA, "
     "ALPHA).",
     false},
    {"cutmix", OPTION_REAL, AT(cutmix), "ALPHA", "0", NULL, 0, 1000,
     "Put a box of another image into each, of an area from Beta(ALPHA, ALPHA); with --mixup: in "
     "every second step, on average.",
     false},
    {"data-place", OPTION_CHOICE, AT(place), "WHERE", "auto", FEED_PLACES, 0, 0,
     "Keep the images there; auto: on the GPU where they fit.", false},
    {"shuffle", OPTION_CHOICE, AT(jpegs.shuffle), "HOW", "full", SHUFFLE_CHOICES, 0, 0,
     "Shuffle encoded images; block: so that files are read in long stretches.", false},
    {"shuffle-window", OPTION_INTEGER, AT(jpegs.shuffle_window), "N", "2048", NULL, 64, 1048576,
     "With --shuffle block, mix N images at a time, of blocks of 64 from anywhere.", false},
    {0}};

/* What evaluation needs, too. */
static const option reading[] = {
    {"image-size", OPTION_INTEGER, AT(jpegs.image_size), "N", "0", NULL, 0, 4096,
     "Make N x N pixels of encoded images (0: 224); in evaluation, of the middle of N * 256 / 224.",
     false},
    {"decode", OPTION_CHOICE, AT(jpegs.decode), "HOW", "exact", DECODE_CHOICES, 0, 0,
     "Decode encoded images; exact: Pillow's pixels; fast: without what is hardly seen.", false},
    {"mean", OPTION_TEXT, AT(jpegs.mean), "R,G,B", JPEGS_MEAN, NULL, 0, 0,
     "Subtract this from encoded images' values between 0 and 1 (ImageNet's mean).", false},
    {"std", OPTION_TEXT, AT(jpegs.std), "R,G,B", JPEGS_STD, NULL, 0, 0,
     "Then divide by this (ImageNet's standard deviation).", false},
    {"data-memory", OPTION_INTEGER, AT(jpegs.memory_mb), "MB", "2000", NULL, 1, 16777216,
     "Hold at most so many megabytes of encoded images a rank, half of them a split.", true},
    {"loader-threads", OPTION_REAL, AT(loader_threads), "N", "auto", "auto", 1, 1024,
     "Decode encoded images with N threads a rank; auto: as many as keep up, searched while "
     "training, up to its processors.",
     true},
    {0}};

int input_add_reading_options(option_groups *list, size_t offset, ls_error *error) {
    return option_add_group(list, (option_group){"Encoded images", reading, offset}, error);
}

int input_add_options(option_groups *list, size_t offset, ls_error *error) {
    LS_TRY(option_add_group(list, (option_group){"Data", options, offset}, error));
    return input_add_reading_options(list, offset, error);
}

int input_pixels(const input *self, const input_choices *choices, double mean[3], double std[3],
                 ls_error *error) {
    if (self->train.data->is->slow) /* encoded images */
        return jpegs_normalisation(&choices->jpegs, mean, std, error);
    for (int channel = 0; channel < 3; channel++) /* pixels.c */
        mean[channel] = std[channel] = 0.5;
    return LS_OK;
}

static void describe_pictures(const input *self, const input_choices *choices, text_buffer *out) {
    const jpegs_choices *jpegs = &choices->jpegs;
    text_add(out, " %d, decode %s", self->train.data->facts.width, jpegs->decode);
    if (jpegs->jitter > 0)
        text_add(out, ", color jitter %g", jpegs->jitter);
    if (jpegs->hue > 0)
        text_add(out, ", hue %g", jpegs->hue);
    if (self->train.data->facts.blocks.window > 0)
        text_add(out, ", shuffled in windows of %lld", (long long)jpegs->shuffle_window);
    if (strcmp(jpegs->mean, JPEGS_MEAN) != 0 || strcmp(jpegs->std, JPEGS_STD) != 0)
        text_add(out, ", mean %s, std %s", jpegs->mean, jpegs->std);
}

void input_describe_augment(const input *self, const input_choices *choices, text_buffer *out) {
    text_add(out, "%s", choices->augment);
    if (self->train.data->is->slow)
        describe_pictures(self, choices, out);
    if (choices->mixup > 0)
        text_add(out, ", mixup %g", choices->mixup);
    if (choices->cutmix > 0)
        text_add(out, ", cutmix %g", choices->cutmix);
}

int input_check_options(const input_choices *choices, ls_error *error) {
    return choices->folder ? LS_OK
                           : ls_fail(error, LS_BAD_INPUT,
                                     "--data: expected a folder of shards, found nothing (lockstep "
                                     "pack makes one)");
}

int input_find(input *self, const input_choices *choices, int64_t global_batch, ls_error *error) {
    const char *folder = choices->folder;
    sample_choices of_samples = {
        .augment = choices->augment, .seed = choices->seed, .jpegs = choices->jpegs};
    LS_TRY(feed_find(&self->train, folder, "train", &of_samples, true, global_batch, error));
    LS_TRY(feed_find(&self->test, folder, "test", &of_samples, false, global_batch, error));
    const sample_facts *train = &self->train.data->facts, *test = &self->test.data->facts;
    if (train->height != test->height || train->width != test->width ||
        train->channels != test->channels || train->classes != test->classes)
        return ls_fail(error, LS_BAD_INPUT, "%s: the train and test splits have different shapes",
                       folder);
    return LS_OK;
}

void input_set_batch(input *self, int64_t global_batch) {
    feed_set_batch(&self->train, global_batch);
    feed_set_batch(&self->test, global_batch);
}

static feed_settings split_settings(const input_choices *choices, const feed_settings *settings,
                                    bool training) {
    feed_settings split = *settings;
    split.seed = choices->seed;
    split.place = choices->place;
    split.loader_threads = (int)choices->loader_threads;
    split.training = training;
    split.one_batch = training && choices->one_batch;
    split.mixing = (mixing){choices->seed, choices->mixup, choices->cutmix};
    return split;
}

int input_plan_split(const input *self, const input_choices *choices, const feed_settings *settings,
                     bool training, feed_bytes *out, ls_error *error) {
    feed_settings split = split_settings(choices, settings, training);
    return feed_plan_memory(training ? &self->train : &self->test, &split, out, error);
}

int input_open_split(input *self, const input_choices *choices, const feed_settings *settings,
                     bool training, ls_error *error) {
    feed_settings split = split_settings(choices, settings, training);
    return feed_open(training ? &self->train : &self->test, &split, error);
}

int input_open_blank(input *self, const input_choices *choices, const feed_settings *settings,
                     ls_error *error) {
    feed_settings split = split_settings(choices, settings, true);
    return feed_open_blank(&self->train, &split, error);
}

void input_close_blank(input *self) {
    feed_close_blank(&self->train);
}

int input_open_ahead(input *self, ls_error *error) {
    const feed_settings *s = &self->train.settings;
    if (!s->device->facts.asynchronous)
        return LS_OK;
    return ahead_open(&self->ahead, s->device, s->stream, error);
}

void input_close(input *self) {
    ahead_close(&self->ahead);
    feed_close(&self->train);
    feed_close(&self->test);
}

int input_next(input *self, int64_t index, input_batch *out, ls_error *error) {
    if (!self->next.made) {
        LS_TRY(feed_next(&self->train, index, out, error));
        out->place %= input_places(self);
        return LS_OK;
    }
    *out = self->next;
    self->next.made = false;
    return LS_OK;
}

int input_stage(input *self, const input_batch *batch, ls_error *error) {
    feed *from = batch->training ? &self->train : &self->test;
    if (batch->made)
        return self->joined ? LS_OK : ahead_take(&self->ahead, error);
    LS_TRY(batch_stage(batch, from->settings.stream, error));
    return feed_staged(from, from->settings.stream, error);
}

int input_step_begins(input *self, ls_error *error) {
    return input_works_ahead(self) ? ahead_free(&self->ahead, error) : LS_OK;
}

int input_look_ahead(input *self, int64_t index, input_batch *out, device_stream **stream,
                     ls_error *error) {
    *stream = self->ahead.stream;
    device_range_begin(self->ahead.device, "load");
    LS_TRY(feed_next(&self->train, index, &self->next, error));
    device_range_end(self->ahead.device);
    LS_TRY(ahead_begin(&self->ahead, error));
    *out = feed_ahead(&self->train, &self->next);
    return batch_stage(out, *stream, error);
}

int input_looked_ahead(input *self, ls_error *error) {
    LS_TRY(ahead_end(&self->ahead, error));
    LS_TRY(feed_staged(&self->train, self->ahead.stream, error));
    self->next.made = true;
    self->joined = false;
    return LS_OK;
}

int input_record(input *self, int number, input_batch *here, input_batch *next,
                 device_stream **stream, ls_error *error) {
    feed_recorded(&self->train, number, here);
    here->place %= input_places(self);
    here->made = input_works_ahead(self);
    if (!here->made)
        return LS_OK;
    input_batch after;
    feed_recorded(&self->train, number + 1, &after);
    *next = feed_ahead(&self->train, &after);
    *stream = self->ahead.stream;
    return ahead_fork(&self->ahead, error);
}

int input_recorded(input *self, int number, bool last, ls_error *error) {
    if (!input_works_ahead(self))
        return LS_OK;
    if (last)
        LS_TRY(feed_record_reach(&self->train, self->ahead.stream, number + 1, error));
    return ahead_join(&self->ahead, error);
}

int input_replay(input *self, const input_batch *batch, ls_error *error) {
    return input_works_ahead(self)
               ? feed_reach(&self->train, self->train.settings.stream, batch->first, error)
               : LS_OK;
}

int input_replayed(input *self, int64_t index, int steps, ls_error *error) {
    if (!input_works_ahead(self))
        return LS_OK;
    feed_replayed(&self->train, steps);
    LS_TRY(feed_next(&self->train, index + steps, &self->next, error));
    self->next.made = self->joined = true;
    return LS_OK;
}
