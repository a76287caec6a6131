#include "input/input.h"

#include "input/augmentations.h"

#include <stddef.h>

#define AT(field) offsetof(input_choices, field)

static const option options[] = {
    {"data", OPTION_TEXT, AT(folder), "DIR", NULL, NULL, 0, 0,
     "Read the shards in DIR, which `lockstep pack` wrote.", false},
    {"augment", OPTION_CHOICE, AT(augment), "NAME", "none", AUGMENTATION_CHOICES, 0, 0,
     "Augment training images: a random crop (4 pixels of padding) and mirroring.", false},
    {"data-place", OPTION_CHOICE, AT(place), "WHERE", "auto", FEED_PLACES, 0, 0,
     "Keep the images there; auto: on the GPU where they fit.", false},
    {0}};

int input_add_options(option_groups *list, size_t offset, ls_error *error) {
    return option_add_group(list, (option_group){"Data", options, offset}, error);
}

int input_check_options(const input_choices *choices, ls_error *error) {
    return choices->folder ? LS_OK
                           : ls_fail(error, LS_BAD_INPUT,
                                     "--data: expected a folder of shards, found nothing (lockstep "
                                     "pack makes one)");
}

int input_find(input *self, const input_choices *choices, int64_t global_batch, ls_error *error) {
    const char *folder = choices->folder;
    sample_choices of_samples = {.augment = choices->augment, .seed = choices->seed};
    LS_TRY(feed_find(&self->train, folder, "train", &of_samples, true, global_batch, error));
    LS_TRY(feed_find(&self->test, folder, "test", &of_samples, false, global_batch, error));
    const sample_facts *train = &self->train.data->facts, *test = &self->test.data->facts;
    if (train->height != test->height || train->width != test->width ||
        train->channels != test->channels || train->classes != test->classes)
        return ls_fail(error, LS_BAD_INPUT, "%s: the train and test splits have different shapes",
                       folder);
    return LS_OK;
}

int input_open_split(input *self, const input_choices *choices, const feed_settings *settings,
                     bool training, ls_error *error) {
    feed_settings split = *settings;
    split.seed = choices->seed;
    split.place = choices->place;
    split.training = training;
    split.one_batch = training && choices->one_batch;
    return feed_open(training ? &self->train : &self->test, &split, error);
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
