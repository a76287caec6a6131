#include "report/read/certificate_read.h"

#include "base/hash.h"
#include "report/facts/step_columns.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 4200, HEX = 16 };

bool certificate_expected(const finished_run *run) {
    return finished_run_text(run, "certificate_hash")[0] != '\0';
}

bool certificate_exists(const finished_run *run) {
    char path[PATH];
    snprintf(path, sizeof path, "%s/" CERTIFICATE_FILE, run->folder);
    return access(path, F_OK) == 0;
}

/* 16 hex digits, of the lower case that they are written in. */
static bool read_word(const char *text, uint64_t *out) {
    *out = 0;
    for (int digit = 0; digit < HEX; digit++) {
        const char *found = text[digit] ? strchr("0123456789abcdef", text[digit]) : NULL;
        if (!found)
            return false;
        *out = *out << 4 | (uint64_t)(found - "0123456789abcdef");
    }
    return true;
}

static bool read_print(const char *hash, const char *sketch, fingerprint *out) {
    if (strlen(hash) != HEX || strlen(sketch) != (size_t)HEX * FINGERPRINT_BUCKETS ||
        !read_word(hash, &out->hash))
        return false;
    for (int bucket = 0; bucket < FINGERPRINT_BUCKETS; bucket++)
        if (!read_word(sketch + HEX * bucket, &out->sketch[bucket]))
            return false;
    return true;
}

/* Digits and nothing else. */
static bool read_count(const char *text, int64_t *out) {
    size_t length = strspn(text, "0123456789");
    *out = length > 0 && length < 19 && !text[length] ? strtoll(text, NULL, 10) : -1;
    return *out > 0;
}

static int broken(const char *path, size_t row, const char *what, const char *found,
                  ls_error *error) {
    return ls_fail(error, LS_BAD_INPUT, "%s: line %zu: expected %s, found '%.40s'", path, row + 2,
                   what, found);
}

/* Where the column of what a run may keep lies; -1: nowhere. */
static int place_of(const certificate *self, int other) {
    int place = CERTIFICATE_OTHERS;
    for (int before = 0; before < other; before++)
        place += self->has[before];
    return self->has[other] ? place : -1;
}

/* Beside each hash of the parameters stands one of each, elsewhere none. */
static int read_others(certificate *self, char *const *cells, bool hashed, size_t row,
                       const char *path, ls_error *error) {
    for (int other = 0; other < CERTIFIED_OTHERS; other++) {
        int place = place_of(self, other);
        uint64_t *to = &self->parameters[self->parameter_count].others[other];
        if (place < 0)
            continue;
        const char *cell = cells[place];
        if (hashed ? strlen(cell) != HEX || !read_word(cell, to) : cell[0])
            return broken(path, row, hashed ? "16 hex digits" : "no hash", cell, error);
    }
    return LS_OK;
}

static int read_row(certificate *self, const csv_table *table, size_t row, const char *path,
                    ls_error *error) {
    char *const *cells = table->cells + (row + 1) * table->columns;
    int64_t step, epoch;
    if (!read_count(cells[CERTIFICATE_STEP], &step) || step != (int64_t)row + 1)
        return broken(path, row, "the next step's number", cells[CERTIFICATE_STEP], error);
    if (!read_count(cells[CERTIFICATE_EPOCH], &epoch) || epoch > INT32_MAX ||
        (row > 0 ? epoch != self->epochs[row - 1] && epoch != self->epochs[row - 1] + 1
                 : epoch != 1))
        return broken(path, row, "this epoch's number or the next one's", cells[CERTIFICATE_EPOCH],
                      error);
    if (strlen(cells[CERTIFICATE_SAMPLES]) != HEX ||
        !read_word(cells[CERTIFICATE_SAMPLES], &self->samples[row]))
        return broken(path, row, "16 hex digits", cells[CERTIFICATE_SAMPLES], error);
    self->epochs[row] = (int)epoch;
    bool hashed = cells[CERTIFICATE_PARAMETERS][0] || cells[CERTIFICATE_SKETCH][0];
    LS_TRY(read_others(self, cells, hashed, row, path, error));
    if (!hashed)
        return LS_OK;
    if (!cells[CERTIFICATE_PARAMETERS][0])
        return broken(path, row, "a hash beside the sketch", cells[CERTIFICATE_PARAMETERS], error);
    certified_parameters *next = &self->parameters[self->parameter_count];
    if (!read_print(cells[CERTIFICATE_PARAMETERS], cells[CERTIFICATE_SKETCH], &next->print))
        return broken(path, row, "16 hex digits and a sketch of 2048",
                      cells[CERTIFICATE_PARAMETERS], error);
    next->step = step;
    self->parameter_count++;
    return LS_OK;
}

static size_t count_hashed(const csv_table *table) {
    size_t count = 0;
    for (size_t row = 0; row < table->rows; row++)
        count += table->cells[(row + 1) * table->columns + CERTIFICATE_PARAMETERS][0] != '\0';
    return count;
}

static int read_rows(certificate *self, const csv_table *table, const char *path, ls_error *error) {
    size_t hashed = count_hashed(table);
    self->steps = (int64_t)table->rows;
    self->epochs = calloc(table->rows + 1, sizeof *self->epochs);
    self->samples = calloc(table->rows + 1, sizeof *self->samples);
    self->parameters = calloc(hashed + 1, sizeof *self->parameters);
    if (!self->epochs || !self->samples || !self->parameters)
        return ls_fail(error, LS_FAILED, "%s: no memory to read it", path);
    for (size_t row = 0; row < table->rows; row++)
        LS_TRY(read_row(self, table, row, path, error));
    return LS_OK;
}

static int hash_file(const char *path, char out[17], ls_error *error) {
    unsigned char block[65536];
    uint64_t hash = HASH_START;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", path);
    for (size_t count; (count = fread(block, 1, sizeof block, file)) > 0;)
        hash = hash_bytes(hash, block, count);
    fclose(file);
    snprintf(out, 17, "%016" PRIx64, hash);
    return LS_OK;
}

static int check_columns(certificate *self, const csv_table *table, const char *path,
                         ls_error *error) {
    for (int other = 0; other < CERTIFIED_OTHERS; other++) {
        const char *name = certificate_columns.columns[CERTIFICATE_OTHERS + other].name;
        self->has[other] = true;
        size_t place = (size_t)place_of(self, other);
        self->has[other] = place < table->columns && strcmp(table->cells[place], name) == 0;
    }
    for (size_t index = 0; index < CERTIFICATE_OTHERS; index++) {
        const char *name = certificate_columns.columns[index].name;
        const char *found = index < table->columns ? table->cells[index] : "";
        if (strcmp(found, name) != 0)
            return ls_fail(error, LS_BAD_INPUT, "%s: expected column %zu to be %s, found '%.40s'",
                           path, index + 1, name, found);
    }
    return LS_OK;
}

/* Against what the run said of it in summary.csv. */
static int check_against_summary(const certificate *self, const finished_run *run, const char *path,
                                 ls_error *error) {
    char hash[17], last[17] = "";
    double steps = finished_run_number(run, "steps");
    if ((double)self->steps != steps)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: has %" PRId64 " steps where " SUMMARY_FILE " has %.0f: it was cut, or "
                       "belongs to another run",
                       path, self->steps, steps);
    LS_TRY(hash_file(path, hash, error));
    if (strcmp(hash, finished_run_text(run, "certificate_hash")) != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: is not what the run wrote (its hash is %s, " SUMMARY_FILE
                       " has %.16s): it was edited",
                       path, hash, finished_run_text(run, "certificate_hash"));
    if (self->parameter_count)
        snprintf(last, sizeof last, "%016" PRIx64,
                 self->parameters[self->parameter_count - 1].print.hash);
    if (strcmp(last, finished_run_text(run, "parameters_hash")) != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: ends with the parameters '%s' where " SUMMARY_FILE " has '%.16s'", path,
                       last, finished_run_text(run, "parameters_hash"));
    return LS_OK;
}

static int check_expected(const finished_run *run, ls_error *error) {
    if (!certificate_expected(run))
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: no certificate: the run had --certificate off, or is an older "
                       "lockstep's: train it again",
                       run->folder);
    double version = finished_run_number(run, "certificate_version");
    if (version != CERTIFICATE_VERSION)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: certificate version '%.40s' is unknown: this lockstep reads version %d",
                       run->folder, finished_run_text(run, "certificate_version"),
                       CERTIFICATE_VERSION);
    return LS_OK;
}

int certificate_read(certificate *out, const finished_run *run, ls_error *error) {
    char path[PATH];
    csv_table table = {0};
    *out = (certificate){0};
    LS_TRY(check_expected(run, error));
    snprintf(path, sizeof path, "%s/" CERTIFICATE_FILE, run->folder);
    int status = csv_read(&table, path, error);
    if (status == LS_OK)
        status = check_columns(out, &table, path, error);
    if (status == LS_OK)
        status = read_rows(out, &table, path, error);
    if (status == LS_OK)
        status = check_against_summary(out, run, path, error);
    csv_free(&table);
    if (status != LS_OK)
        certificate_free(out);
    return status;
}

double sketch_distance(const fingerprint *a, const fingerprint *b) {
    double sum = 0;
    for (int bucket = 0; bucket < FINGERPRINT_BUCKETS; bucket++) {
        double term = (double)(int64_t)(a->sketch[bucket] - b->sketch[bucket]) * FINGERPRINT_UNIT;
        sum += term * term;
    }
    return sqrt(sum);
}

double sketch_norm(const fingerprint *a) {
    static const fingerprint zero;
    return sketch_distance(a, &zero);
}
