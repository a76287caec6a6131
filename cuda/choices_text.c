#include "choices_text.h"
#include "base/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS = 5, CHECKSUM_DIGITS = 16 };

void conv_shape_text(const conv2d_shape *shape, conv_direction direction,
                     char text[CONV_SHAPE_TEXT_BYTES]) {
    /* Whether a ReLU is fused is forward's alone. */
    snprintf(text, CONV_SHAPE_TEXT_BYTES, "%s n%d h%d w%d c%d k%d r%d s%d p%d %s%s",
             conv_direction_name(direction), shape->n, shape->height, shape->width,
             shape->in_channels, shape->out_channels, shape->kernel, shape->stride, shape->padding,
             shape->type == DTYPE_F32 && shape->tf32 ? "tf32" : dtype_name(shape->type),
             direction == CONV_FORWARD && shape->relu ? " relu" : "");
}

static void write_choice(const conv_choice *choice, char text[CONV_CHOICE_TEXT_BYTES]) {
    int length = snprintf(text, CONV_CHOICE_TEXT_BYTES, "%s %" PRId64,
                          dtype_name(choice->parameter_type), choice->engine.index);
    for (int index = 0; index < choice->engine.knob_count; index++)
        if (length < CONV_CHOICE_TEXT_BYTES)
            length += snprintf(text + length, (size_t)(CONV_CHOICE_TEXT_BYTES - length),
                               " %" PRId64 "=%" PRId64, choice->engine.knobs[index].type,
                               choice->engine.knobs[index].value);
}

void choice_line_write(const choice_line *line, char text[CHOICE_LINE_BYTES]) {
    char choice[CONV_CHOICE_TEXT_BYTES];
    write_choice(&line->choice, choice);
    int length = snprintf(text, CHOICE_LINE_BYTES, "%s\t%zu\t%s\t%s\t", line->gpu,
                          line->dnn_version, line->shape, choice);
    snprintf(text + length, CHOICE_LINE_BYTES - (size_t)length, "%0*" PRIx64 "\n", CHECKSUM_DIGITS,
             hash_bytes(HASH_START, text, (size_t)length));
}

/* A whole decimal number in 0 .. most, followed by `end`; moves *text behind `end`. */
static bool read_number(const char **text, int64_t most, char end, int64_t *out) {
    char *after;
    if (**text < '0' || **text > '9')
        return false;
    errno = 0;
    *out = strtoll(*text, &after, 10);
    if (errno || *out > most || *after != end)
        return false;
    *text = end ? after + 1 : after;
    return true;
}

static bool read_parameter_type(const char **text, dtype *out) {
    static const dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    for (size_t index = 0; index < sizeof types / sizeof types[0]; index++) {
        size_t length = strlen(dtype_name(types[index]));
        if (strncmp(*text, dtype_name(types[index]), length) == 0 && (*text)[length] == ' ') {
            *out = types[index];
            *text += length + 1;
            return true;
        }
    }
    return false;
}

static bool read_choice(const char *text, conv_choice *out) {
    memset(out, 0, sizeof *out);
    if (!read_parameter_type(&text, &out->parameter_type))
        return false;
    bool knobs = strchr(text, ' ') != NULL;
    if (!read_number(&text, INT32_MAX, knobs ? ' ' : '\0', &out->engine.index))
        return false;
    while (knobs) {
        if (out->engine.knob_count == CONV_MAX_KNOBS)
            return false;
        conv_knob *knob = &out->engine.knobs[out->engine.knob_count++];
        if (!read_number(&text, INT32_MAX, '=', &knob->type))
            return false;
        knobs = strchr(text, ' ') != NULL;
        if (!read_number(&text, INT64_MAX, knobs ? ' ' : '\0', &knob->value))
            return false;
    }
    return true;
}

static bool copy_field(const char *from, size_t bytes, char *to) {
    size_t length = strlen(from);
    if (length == 0 || length >= bytes)
        return false;
    memcpy(to, from, length + 1);
    return true;
}

static bool checksum_holds(const char *text, size_t covered, const char *checksum) {
    char expected[CHECKSUM_DIGITS + 1];
    snprintf(expected, sizeof expected, "%0*" PRIx64, CHECKSUM_DIGITS,
             hash_bytes(HASH_START, text, covered));
    return strcmp(expected, checksum) == 0;
}

bool choice_line_read(const char *text, size_t length, choice_line *out) {
    char copy[CHOICE_LINE_BYTES], *fields[FIELDS];
    if (length >= sizeof copy || memchr(text, '\0', length))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *rest = copy;
    for (int index = 0; index < FIELDS; index++) {
        fields[index] = rest;
        rest = index < FIELDS - 1 ? strchr(rest, '\t') : NULL;
        if (index < FIELDS - 1 && !rest)
            return false;
        if (rest)
            *rest++ = '\0';
    }
    int64_t version;
    const char *version_text = fields[1];
    if (!checksum_holds(text, (size_t)(fields[4] - copy), fields[4]) ||
        !copy_field(fields[0], sizeof out->gpu, out->gpu) ||
        !copy_field(fields[2], sizeof out->shape, out->shape) ||
        !read_number(&version_text, INT32_MAX, '\0', &version))
        return false;
    out->dnn_version = (size_t)version;
    return read_choice(fields[3], &out->choice);
}
