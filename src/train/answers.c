#include "train/answers.h"

#include "base/float16.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int classes_of(const learner *learner) {
    const graph *graph = learner->graph;
    return (int)graph_tensor_elements(&graph->tensors[graph->output]);
}

/* This rank's samples of batch `index`. */
static share own_share(const feed *test, int64_t index) {
    const feed_settings *s = &test->settings;
    return share_of(feed_batch_samples(test, index), s->rank, s->size);
}

int answers_open(answers *self, const learner *learner, const feed *test, bool keep_logits,
                 ls_error *error) {
    *self = (answers){.learner = learner, .test = test, .classes = classes_of(learner)};
    int64_t most = 0;
    for (int64_t index = 0; index < test->batches; index++) {
        int64_t count = own_share(test, index).count;
        self->capacity += count;
        most = count > most ? count : most;
    }
    size_t room = (size_t)self->capacity + 1, classes = (size_t)self->classes;
    self->list = malloc(room * sizeof *self->list);
    self->logits = keep_logits ? malloc(room * classes * sizeof *self->logits) : NULL;
    self->batch = malloc((size_t)(most + 1) * classes * sizeof(float));
    self->labels = malloc((size_t)(most + 1) * sizeof *self->labels);
    if (!self->list || !self->batch || !self->labels || (keep_logits && !self->logits))
        return ls_fail(error, LS_FAILED, "out of memory for the model's answers");
    return LS_OK;
}

void answers_close(answers *self) {
    free(self->list);
    free(self->logits);
    free(self->batch);
    free(self->labels);
    *self = (answers){0};
}

/* What was copied as the network has it, as floats in its place: from the end, for a float may be
 * the longer one. */
static void widen(void *values, dtype type, size_t count) {
    float *to = values;
    const uint16_t *from = values;
    for (size_t index = count; type != DTYPE_F32 && index-- > 0;)
        to[index] = type == DTYPE_BF16 ? bf16_to_float(from[index]) : fp16_to_float(from[index]);
}

/* Of equal logits the lower class comes first, as in the count of right answers. */
static answer judge(const float *logits, int classes, int32_t label, int64_t sample) {
    answer out = {.sample = sample, .label = label};
    double sum = 0;
    for (int class = 1; class < classes; class ++)
        if (logits[class] > logits[out.predicted])
            out.predicted = class;
    for (int class = 0; class < classes; class ++) {
        sum += exp((double)logits[class] - (double)logits[out.predicted]);
        out.place +=
            logits[class] > logits[label] || (logits[class] == logits[label] && class < label);
    }
    out.probability = (float)(1 / sum);
    return out;
}

static int read_batch(answers *self, const input_batch *batch, size_t count, ls_error *error) {
    const learner *learner = self->learner;
    const engine *engine = learner->engine;
    device *device = engine->device;
    dtype type = network_type(learner->network);
    pass *pass = network_pass(learner->network, (int)count);
    size_t elements = count * (size_t)self->classes;
    LS_TRY(device->is->copy(device, engine->stream, self->batch, pass_logits(pass),
                            elements * dtype_bytes(type), COPY_DEVICE_TO_HOST, error));
    LS_TRY(device->is->copy(device, engine->stream, self->labels, batch_labels(batch),
                            count * sizeof *self->labels, COPY_DEVICE_TO_HOST, error));
    LS_TRY(device->is->stream_synchronize(device, engine->stream, error));
    widen(self->batch, type, elements);
    return LS_OK;
}

int answers_take(answers *self, int64_t index, const input_batch *batch, ls_error *error) {
    share own = own_share(self->test, index);
    const float *logits = self->batch;
    size_t classes = (size_t)self->classes;
    if (own.count == 0)
        return LS_OK;
    LS_TRY(read_batch(self, batch, (size_t)own.count, error));
    int64_t first = index * self->test->settings.global_batch + own.first;
    for (int64_t number = 0; number < own.count; number++)
        self->list[self->count + number] = judge(logits + (size_t)number * classes, self->classes,
                                                 self->labels[number], first + number);
    if (self->logits)
        memcpy(self->logits + (size_t)self->count * classes, logits,
               (size_t)own.count * classes * sizeof *logits);
    self->count += own.count;
    return LS_OK;
}

/* Rank 0's `whole` [sum of counts] elements of every rank's `part`; NULL elsewhere. */
static int gather(comm *control, const void *part, const int64_t *counts, dtype type, void *whole,
                  ls_error *error) {
    comm_work work = {0};
    LS_TRY(control->is->gather(control, NULL, part, whole, counts, type, 0, &work, error));
    return control->is->wait(control, NULL, &work, error);
}

/* counts[size] of elements of which an answer has `each`. */
static void scaled(const int64_t *counts, int size, int64_t each, int64_t *out) {
    for (int rank = 0; rank < size; rank++)
        out[rank] = counts[rank] * each;
}

/* On rank 0: the answers, and the logits with them, from the ranks' order to the split's. */
static int put_in_order(answers *self, const answer *all, const float *logits, int64_t count,
                        ls_error *error) {
    int64_t samples = self->test->data->facts.samples;
    size_t classes = (size_t)self->classes;
    if (count != samples)
        return ls_fail(error, LS_FAILED, "evaluation answered for %lld images of %lld",
                       (long long)count, (long long)samples);
    for (int64_t number = 0; number < samples; number++)
        self->list[number].sample = -1;
    for (int64_t number = 0; number < count; number++) {
        int64_t sample = all[number].sample;
        if (sample < 0 || sample >= samples || self->list[sample].sample >= 0)
            return ls_fail(error, LS_FAILED, "evaluation answered twice for image %lld",
                           (long long)sample);
        self->list[sample] = all[number];
        if (self->logits)
            memcpy(self->logits + (size_t)sample * classes, logits + (size_t)number * classes,
                   classes * sizeof *logits);
    }
    self->count = samples;
    return LS_OK;
}

/* Room for all, and the ranks' parts one after the other in *all and *logits. */
static int gather_parts(answers *self, comm *control, const int64_t *counts, int64_t count,
                        answer **all, float **logits, ls_error *error) {
    int64_t units[control->size];
    bool here = control->rank == 0;
    size_t room = here ? (size_t)count + 1 : 1, classes = (size_t)self->classes;
    *all = malloc(room * sizeof **all);
    *logits = self->logits ? malloc(room * classes * sizeof **logits) : NULL;
    if (!*all || (self->logits && !*logits))
        return ls_fail(error, LS_FAILED, "out of memory for the model's answers");
    scaled(counts, control->size, (int64_t)sizeof **all, units);
    LS_TRY(gather(control, self->list, units, DTYPE_U8, here ? *all : NULL, error));
    if (!self->logits)
        return LS_OK;
    scaled(counts, control->size, self->classes, units);
    return gather(control, self->logits, units, DTYPE_F32, here ? *logits : NULL, error);
}

static int make_room(answers *self, int64_t count, ls_error *error) {
    answer *list = realloc(self->list, ((size_t)count + 1) * sizeof *list);
    self->list = list ? list : self->list;
    float *logits = NULL;
    if (self->logits) {
        logits =
            realloc(self->logits, ((size_t)count + 1) * (size_t)self->classes * sizeof *logits);
        self->logits = logits ? logits : self->logits;
    }
    if (!list || (self->logits && !logits))
        return ls_fail(error, LS_FAILED, "out of memory for the model's answers");
    return LS_OK;
}

int answers_gather(answers *self, comm *control, ls_error *error) {
    int64_t counts[control->size], count = 0;
    answer *all = NULL;
    float *logits = NULL;
    LS_TRY(comm_allgather_bytes(control, &self->count, counts, sizeof self->count, error));
    for (int rank = 0; rank < control->size; rank++)
        count += counts[rank];
    int status = gather_parts(self, control, counts, count, &all, &logits, error);
    if (control->rank != 0)
        self->count = 0;
    if (status == LS_OK && control->rank == 0)
        status = make_room(self, self->test->data->facts.samples, error);
    if (status == LS_OK && control->rank == 0)
        status = put_in_order(self, all, logits, count, error);
    free(all);
    free(logits);
    return status;
}

int64_t answers_among(const answers *self, int first) {
    int64_t found = 0;
    for (int64_t number = 0; number < self->count; number++)
        found += self->list[number].place < first;
    return found;
}
