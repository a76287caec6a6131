#include "cuda/choices/choice_line.h"
#include "base/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first format knew cuDNN alone, by a number, and no measure. */
enum { FIELDS = 6, FIELDS_OF_FIRST_FORMAT = 5, CHECKSUM_DIGITS = 16 };

static const char *const names[] = {[CHOICE_CUDNN] = "cuDNN", [CHOICE_CUBLASLT] = "cuBLASLt"};

const char *choice_library_name(choice_library library) {
    return names[library];
}

bool choice_line_is_chosen(const choice_line *line) {
    return strncmp(line->measure, "offer", strlen("offer")) != 0;
}

static void write_checksum(const char *text, size_t covered, char out[CHECKSUM_DIGITS + 1]) {
    snprintf(out, CHECKSUM_DIGITS + 1, "%0*" PRIx64, CHECKSUM_DIGITS,
             hash_bytes(HASH_START, text, covered));
}

void choice_line_write(const choice_line *line, char text[CHOICE_LINE_BYTES]) {
    char checksum[CHECKSUM_DIGITS + 1];
    int length =
        snprintf(text, CHOICE_LINE_BYTES, "%s\t%s %zu\t%s\t%s\t%s\t", line->gpu,
                 names[line->library], line->version, line->key, line->text, line->measure);
    write_checksum(text, (size_t)length, checksum);
    snprintf(text + length, CHOICE_LINE_BYTES - (size_t)length, "%s\n", checksum);
}

/* A whole decimal number that ends the text. */
static bool read_version(const char *text, size_t *out) {
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *out = (size_t)value;
    return !errno && value <= INT32_MAX && *end == '\0';
}

static bool read_library(const char *text, choice_line *out) {
    for (int library = 0; library < CHOICE_LIBRARIES; library++) {
        size_t length = strlen(names[library]);
        if (strncmp(text, names[library], length) == 0 && text[length] == ' ') {
            out->library = (choice_library)library;
            return read_version(text + length + 1, &out->version);
        }
    }
    out->library = CHOICE_CUDNN;
    return read_version(text, &out->version);
}

static bool copy_field(const char *from, size_t bytes, char *to) {
    size_t length = strlen(from);
    if (length == 0 || length >= bytes)
        return false;
    memcpy(to, from, length + 1);
    return true;
}

/* Cuts `text` at its tabs. */
static int split(char *text, char *fields[FIELDS]) {
    int count = 0;
    for (char *rest = text; rest && count < FIELDS; count++) {
        fields[count] = rest;
        rest = strchr(rest, '\t');
        if (rest)
            *rest++ = '\0';
    }
    return count;
}

bool choice_line_read(const char *text, size_t length, choice_line *out) {
    char copy[CHOICE_LINE_BYTES], checksum[CHECKSUM_DIGITS + 1], *fields[FIELDS];
    if (length >= sizeof copy || memchr(text, '\0', length))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    int count = split(copy, fields);
    if (count < FIELDS_OF_FIRST_FORMAT)
        return false;
    write_checksum(text, (size_t)(fields[count - 1] - copy), checksum);
    return strcmp(checksum, fields[count - 1]) == 0 &&
           copy_field(fields[0], sizeof out->gpu, out->gpu) && read_library(fields[1], out) &&
           copy_field(fields[2], sizeof out->key, out->key) &&
           copy_field(fields[3], sizeof out->text, out->text) &&
           copy_field(count == FIELDS ? fields[4] : "timed", sizeof out->measure, out->measure);
}
