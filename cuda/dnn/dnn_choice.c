#include "cuda/dnn/dnn_choice.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool dnn_engine_equal(const dnn_engine *a, const dnn_engine *b) {
    if (a->index != b->index || a->knob_count != b->knob_count)
        return false;
    for (int index = 0; index < a->knob_count; index++)
        if (a->knobs[index].type != b->knobs[index].type ||
            a->knobs[index].value != b->knobs[index].value)
            return false;
    return true;
}

void dnn_engine_describe(const dnn_engine *engine, char *text, size_t bytes) {
    int length = snprintf(text, bytes, "eng %lld", (long long)engine->index);
    for (int index = 0; index < engine->knob_count && (size_t)length < bytes; index++)
        length +=
            snprintf(text + length, bytes - (size_t)length, " k%lld=%lld",
                     (long long)engine->knobs[index].type, (long long)engine->knobs[index].value);
}

void dnn_choice_write(const dnn_choice *choice, char text[CHOICE_TEXT_BYTES]) {
    int length = snprintf(text, CHOICE_TEXT_BYTES, "%s %" PRId64, dtype_name(choice->form),
                          choice->engine.index);
    for (int index = 0; index < choice->engine.knob_count; index++)
        if (length < CHOICE_TEXT_BYTES)
            length += snprintf(text + length, (size_t)(CHOICE_TEXT_BYTES - length),
                               " %" PRId64 "=%" PRId64, choice->engine.knobs[index].type,
                               choice->engine.knobs[index].value);
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

static bool read_form(const char **text, dtype *out) {
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

bool dnn_choice_read(const char *text, dnn_choice *out) {
    memset(out, 0, sizeof *out);
    if (!read_form(&text, &out->form))
        return false;
    bool knobs = strchr(text, ' ') != NULL;
    if (!read_number(&text, INT32_MAX, knobs ? ' ' : '\0', &out->engine.index))
        return false;
    while (knobs) {
        if (out->engine.knob_count == DNN_MAX_KNOBS)
            return false;
        dnn_knob *knob = &out->engine.knobs[out->engine.knob_count++];
        if (!read_number(&text, INT32_MAX, '=', &knob->type))
            return false;
        knobs = strchr(text, ' ') != NULL;
        if (!read_number(&text, INT64_MAX, knobs ? ' ' : '\0', &knob->value))
            return false;
    }
    return true;
}
