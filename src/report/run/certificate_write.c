#include "report/run/certificate_file.h"

#include "base/atomic_file.h"
#include "base/hash.h"
#include "report/facts/step_columns.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64 + 16 * (2 + FINGERPRINT_BUCKETS) + 17 * CERTIFIED_OTHERS };

/* Room for twice as much when there is no more. */
static int grow(void **array, size_t used, size_t wanted, size_t *capacity, size_t bytes,
                ls_error *error) {
    if (used + wanted <= *capacity)
        return LS_OK;
    size_t room = 2 * (used + wanted);
    void *larger = realloc(*array, room * bytes);
    if (!larger)
        return ls_fail(error, LS_FAILED, "out of memory");
    *array = larger;
    *capacity = room;
    return LS_OK;
}

int certificate_add_epoch(certificate *self, int epoch, const uint64_t *samples, int64_t count,
                          const certified_parameters *parameters, size_t parameter_count,
                          ls_error *error) {
    size_t steps = (size_t)self->steps, more = (size_t)count, room = self->step_capacity;
    LS_TRY(grow((void **)&self->epochs, steps, more, &room, sizeof *self->epochs, error));
    LS_TRY(grow((void **)&self->samples, steps, more, &self->step_capacity, sizeof *self->samples,
                error));
    LS_TRY(grow((void **)&self->parameters, self->parameter_count, parameter_count,
                &self->parameter_capacity, sizeof *self->parameters, error));
    for (size_t index = 0; index < more; index++)
        self->epochs[steps + index] = epoch;
    memcpy(self->samples + steps, samples, more * sizeof *samples);
    memcpy(self->parameters + self->parameter_count, parameters,
           parameter_count * sizeof *parameters);
    self->steps += count;
    self->parameter_count += parameter_count;
    return LS_OK;
}

static bool put_line(FILE *stream, const char *line, uint64_t *hash) {
    size_t length = strlen(line);
    *hash = hash_bytes(*hash, line, length);
    return fwrite(line, 1, length, stream) == length;
}

static void describe_step(const certificate *self, int64_t index,
                          const certified_parameters *parameters, char line[LINE]) {
    char *end = line;
    end += sprintf(end, "%" PRId64 ",%d,%016" PRIx64 ",", index + 1, self->epochs[index],
                   self->samples[index]);
    if (parameters)
        end += sprintf(end, "%016" PRIx64, parameters->print.hash);
    *end++ = ',';
    for (int bucket = 0; parameters && bucket < FINGERPRINT_BUCKETS; bucket++)
        end += sprintf(end, "%016" PRIx64, parameters->print.sketch[bucket]);
    for (int other = 0; other < CERTIFIED_OTHERS; other++) {
        if (self->has[other])
            *end++ = ',';
        if (self->has[other] && parameters)
            end += sprintf(end, "%016" PRIx64, parameters->others[other]);
    }
    memcpy(end, "\n", 2);
}

static void describe_columns(const certificate *self, text_buffer *out) {
    for (int column = 0; column < CERTIFICATE_OTHERS + CERTIFIED_OTHERS; column++)
        if (column < CERTIFICATE_OTHERS || self->has[column - CERTIFICATE_OTHERS])
            text_add(out, "%s%s", column ? "," : "", certificate_columns.columns[column].name);
    text_add(out, "\n");
}

static bool put_lines(FILE *stream, const certificate *self, uint64_t *hash) {
    char line[LINE];
    text_buffer names = {0};
    describe_columns(self, &names);
    bool good = !names.failed && put_line(stream, names.bytes, hash);
    text_free(&names);
    size_t next = 0;
    for (int64_t index = 0; good && index < self->steps; index++) {
        bool has = next < self->parameter_count && self->parameters[next].step == index + 1;
        describe_step(self, index, has ? &self->parameters[next++] : NULL, line);
        good = put_line(stream, line, hash);
    }
    return good;
}

int certificate_write(const certificate *self, const char *folder, char hash[17], ls_error *error) {
    char path[4096];
    atomic_file file;
    uint64_t bits = HASH_START;
    snprintf(path, sizeof path, "%s/" CERTIFICATE_FILE, folder);
    LS_TRY(atomic_file_begin(&file, path, error));
    FILE *stream = fopen(file.temporary, "we");
    bool good = stream && put_lines(stream, self, &bits);
    int status = good ? LS_OK : ls_fail_errno(error, LS_FAILED, "%s: cannot write", path);
    if (stream && fclose(stream) != 0 && status == LS_OK)
        status = ls_fail_errno(error, LS_FAILED, "%s: cannot write", path);
    snprintf(hash, 17, "%016" PRIx64, bits);
    if (status == LS_OK)
        return atomic_file_commit(&file, error);
    atomic_file_discard(&file);
    return status;
}

void certificate_free(certificate *self) {
    free(self->epochs);
    free(self->samples);
    free(self->parameters);
    *self = (certificate){0};
}
