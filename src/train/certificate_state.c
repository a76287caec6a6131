/* A certificate in a checkpoint. */
#include "train/certificate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of a step: the parameters' hash and sketch, and the other hashes, 0 where there is none. */
enum { SKETCH_WORDS = 1 + FINGERPRINT_BUCKETS, PRINT_WORDS = SKETCH_WORDS + CERTIFIED_OTHERS };
_Static_assert(sizeof(fingerprint) == SKETCH_WORDS * sizeof(int64_t), "words and nothing else");

static void to_words(const certified_parameters *from, int64_t *out) {
    memcpy(out, &from->print, sizeof from->print);
    memcpy(out + SKETCH_WORDS, from->others, sizeof from->others);
}

static void from_words(const int64_t *from, certified_parameters *out) {
    memcpy(&out->print, from, sizeof out->print);
    memcpy(out->others, from + SKETCH_WORDS, sizeof out->others);
}

/* --- saving */

/* Steps and their prints, as two values. */
static void put_prints(const certified_parameters *list, size_t count, const char *steps_name,
                       const char *prints_name, record *out) {
    int64_t *values = calloc((1 + PRINT_WORDS) * count + 1, sizeof *values);
    out->failed |= !values;
    if (!values)
        return;
    for (size_t index = 0; index < count; index++) {
        values[index] = list[index].step;
        to_words(&list[index], values + count + index * PRINT_WORDS);
    }
    record_put_integers(out, steps_name, values, (int64_t)count);
    record_put_integers(out, prints_name, values + count, (int64_t)count * PRINT_WORDS);
    free(values);
}

static void put_log(const certificate *log, record *out) {
    int64_t *epochs = calloc((size_t)log->steps + 1, sizeof *epochs);
    out->failed |= !epochs;
    for (int64_t index = 0; epochs && index < log->steps; index++)
        epochs[index] = log->epochs[index];
    if (epochs)
        record_put_integers(out, "certificate_epochs", epochs, log->steps);
    free(epochs);
    record_put_integers(out, "certificate_samples", (const int64_t *)log->samples, log->steps);
    put_prints(log->parameters, log->parameter_count, "certificate_hashed", "certificate_prints",
               out);
}

int step_certificate_save(step_certificate *self, int epoch, int64_t done, record *out,
                          ls_error *error) {
    size_t count = self->print_count;
    if (!self->samples)
        return LS_OK;
    uint64_t *fed = calloc((size_t)done + 1, sizeof *fed);
    int status = fed ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK && done > 0)
        status = step_certificate_fed(self, epoch, done, fed, error);
    if (status == LS_OK && count > 0)
        status = step_certificate_take(self, error);
    if (status == LS_OK && self->settings.rank == 0) {
        put_log(&self->log, out);
        record_put_integers(out, "certificate_epoch_samples", (const int64_t *)fed, done);
        put_prints(self->taken, count, "certificate_epoch_hashed", "certificate_epoch_prints", out);
    }
    free(fed);
    return status;
}

/* --- going on */

/* The caller frees *out [*count]. */
static int get_prints(const record *from, const char *where, const char *steps_name,
                      const char *prints_name, certified_parameters **out, size_t *count,
                      ls_error *error) {
    const int64_t *steps, *words;
    int64_t step_count, word_count;
    *out = NULL;
    LS_TRY(record_get_integers(from, where, steps_name, &steps, &step_count, error));
    LS_TRY(record_get_integers(from, where, prints_name, &words, &word_count, error));
    if (word_count != step_count * PRINT_WORDS)
        return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected %" PRId64 " values, found %" PRId64,
                       where, prints_name, step_count * PRINT_WORDS, word_count);
    certified_parameters *list = calloc((size_t)step_count + 1, sizeof *list);
    if (!list)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int64_t index = 0; index < step_count; index++) {
        list[index].step = steps[index];
        from_words(words + index * PRINT_WORDS, &list[index]);
    }
    *out = list;
    *count = (size_t)step_count;
    return LS_OK;
}

/* An epoch after the other, as it was made. */
static int add_epochs(certificate *log, const int64_t *epochs, const uint64_t *samples,
                      int64_t steps, const certified_parameters *prints, size_t print_count,
                      ls_error *error) {
    size_t print = 0;
    for (int64_t first = 0, end; first < steps; first = end) {
        size_t first_print = print;
        for (end = first; end < steps && epochs[end] == epochs[first];)
            end++;
        while (print < print_count && prints[print].step <= end)
            print++;
        LS_TRY(certificate_add_epoch(log, (int)epochs[first], samples + first, end - first,
                                     prints + first_print, print - first_print, error));
    }
    return LS_OK;
}

static int restore_log(step_certificate *self, const char *where, const record *from,
                       ls_error *error) {
    const int64_t *epochs, *samples;
    int64_t steps, sample_count;
    certified_parameters *prints;
    size_t print_count;
    LS_TRY(record_get_integers(from, where, "certificate_epochs", &epochs, &steps, error));
    LS_TRY(record_get_integers(from, where, "certificate_samples", &samples, &sample_count, error));
    if (sample_count != steps)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: certificate_samples: expected %" PRId64 " values, found %" PRId64,
                       where, steps, sample_count);
    LS_TRY(get_prints(from, where, "certificate_hashed", "certificate_prints", &prints,
                      &print_count, error));
    int status = LS_OK;
    if (self->settings.rank == 0)
        status = add_epochs(&self->log, epochs, (const uint64_t *)samples, steps, prints,
                            print_count, error);
    free(prints);
    return status;
}

/* As prints lie on the device, a kind after the other: of the others only the hash is looked at. */
static void spread(const step_certificate *self, const certified_parameters *from,
                   fingerprint *out) {
    *out++ = from->print;
    for (int other = 0; other < CERTIFIED_OTHERS; other++)
        if (self->log.has[other])
            *out++ = (fingerprint){.hash = from->others[other]};
    out -= self->kind_count;
    for (size_t kind = 0; kind < self->kind_count; kind++)
        if (self->settings.rank != 0 && step_certificate_is_shared(self, kind))
            out[kind] = (fingerprint){0};
}

/* Every rank has the same prints, so that they agree when they are compared; of what is added up,
 * rank 0 has all. */
static int restore_prints(step_certificate *self, const char *where, const record *from,
                          ls_error *error) {
    const certificate_settings *s = &self->settings;
    certified_parameters *prints;
    size_t count;
    LS_TRY(get_prints(from, where, "certificate_epoch_hashed", "certificate_epoch_prints", &prints,
                      &count, error));
    int status = count < self->most_prints
                     ? LS_OK
                     : ls_fail(error, LS_BAD_INPUT, "%s: %zu hashes of parameters in one epoch",
                               where, count);
    for (size_t print = 0; status == LS_OK && print < count; print++) {
        self->taken[print] = prints[print];
        spread(self, &prints[print], self->host_prints + print * self->kind_count);
    }
    if (status == LS_OK && count > 0)
        status = s->device->is->copy(s->device, s->stream, self->prints, self->host_prints,
                                     count * self->kind_count * sizeof *self->prints,
                                     COPY_HOST_TO_DEVICE, error);
    if (status == LS_OK && count > 0)
        status = s->device->is->stream_synchronize(s->device, s->stream, error);
    self->print_count = status == LS_OK ? count : 0;
    free(prints);
    return status;
}

int step_certificate_restore(step_certificate *self, const char *where, const record *from,
                             int64_t done, ls_error *error) {
    const int64_t *fed;
    int64_t count;
    if (!self->samples)
        return LS_OK;
    LS_TRY(restore_log(self, where, from, error));
    LS_TRY(record_get_integers(from, where, "certificate_epoch_samples", &fed, &count, error));
    if (count != done || done > self->batches)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: certificate_epoch_samples: expected %" PRId64 " values, found %" PRId64,
                       where, done, count);
    if (self->settings.rank == 0)
        memcpy(self->samples, fed, (size_t)count * sizeof *self->samples);
    self->settled = done;
    return restore_prints(self, where, from, error);
}
