#include "cuda/choices/choices_file.h"
#include "base/atomic_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LINES = 4096, MOST_BYTES = MOST_LINES * 512 };

static bool same_key(const choice_line *a, const choice_line *b) {
    return a->library == b->library && a->version == b->version && strcmp(a->gpu, b->gpu) == 0 &&
           strcmp(a->key, b->key) == 0;
}

void choices_file_put(choices_file *self, const choice_line *line) {
    for (int index = 0; index < self->count; index++)
        if (same_key(&self->lines[index], line)) {
            self->lines[index] = *line;
            return;
        }
    if (self->count == MOST_LINES)
        memmove(self->lines, self->lines + 1, (size_t)--self->count * sizeof *self->lines);
    if (self->count == self->capacity) {
        int capacity = self->capacity ? 2 * self->capacity : 16;
        choice_line *grown = realloc(self->lines, (size_t)capacity * sizeof *grown);
        if (!grown) { /* a cache: what has no room is chosen again */
            snprintf(self->problem, sizeof self->problem, "out of host memory");
            return;
        }
        self->lines = grown;
        self->capacity = capacity;
    }
    self->lines[self->count++] = *line;
}

/* One line of *text, which moves behind it; NULL at the end. */
static const char *next_line(const char **text, const char *end, size_t *length) {
    const char *line = *text;
    if (line == end)
        return NULL;
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    *length = (size_t)((newline ? newline : end) - line);
    *text = newline ? newline + 1 : end;
    return line;
}

static bool reads(const char *line, size_t length, const char *expected) {
    return length == strlen(expected) && memcmp(line, expected, length) == 0;
}

static bool is_first(const char *line, size_t length) {
    return reads(line, length, CHOICES_FIRST_LINE) ||
           reads(line, length, CHOICES_FIRST_LINE_OF_CUDNN) ||
           reads(line, length, CHOICES_FIRST_LINE_OF_CONVOLUTIONS);
}

static void keep_comment(choices_file *out, const char *line, size_t length) {
    size_t used = strlen(out->comments);
    if (used + length + 2 > sizeof out->comments || memchr(line, '\0', length))
        return;
    memcpy(out->comments + used, line, length);
    strcpy(out->comments + used + length, "\n");
}

void choices_file_parse(const char *text, size_t length, choices_file *out) {
    memset(out, 0, sizeof *out);
    const char *end = text + length, *line;
    size_t line_length;
    line = next_line(&text, end, &line_length);
    if (!line || !is_first(line, line_length)) {
        snprintf(out->problem, sizeof out->problem, "it does not begin with \"%s\"",
                 CHOICES_FIRST_LINE);
        return;
    }
    int damaged = 0, all = 0;
    while ((line = next_line(&text, end, &line_length))) {
        choice_line read;
        if (line_length > 0 && line[0] == '#') {
            keep_comment(out, line, line_length);
            continue;
        }
        all++;
        if (choice_line_read(line, line_length, &read))
            choices_file_put(out, &read);
        else
            damaged++;
    }
    if (damaged)
        snprintf(out->problem, sizeof out->problem, "%d of its %d lines are damaged", damaged, all);
}

void choices_file_read(const char *path, choices_file *out) {
    memset(out, 0, sizeof *out);
    FILE *file = fopen(path, "rb");
    char *text = file ? malloc(MOST_BYTES) : NULL;
    size_t length = text ? fread(text, 1, MOST_BYTES, file) : 0;
    if (!text || ferror(file))
        snprintf(out->problem, sizeof out->problem, "%s", errno == ENOENT ? "" : strerror(errno));
    else if (length == MOST_BYTES)
        snprintf(out->problem, sizeof out->problem, "it is too long to be such a file");
    else
        choices_file_parse(text, length, out);
    free(text);
    if (file)
        fclose(file);
}

/* mkdir -p of the folder that `path` is in. */
static int make_folder(const char *path, ls_error *error) {
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return LS_OK;
    *slash = '\0';
    return folder_create(folder, error);
}

int choices_file_write(const choices_file *self, const char *path, ls_error *error) {
    size_t bytes = sizeof CHOICES_FIRST_LINE + 1 + sizeof self->comments +
                   (size_t)self->count * CHOICE_LINE_BYTES;
    char *text = malloc(bytes);
    if (!text)
        return ls_fail(error, LS_FAILED, "out of host memory");
    size_t length = (size_t)snprintf(text, bytes, "%s\n%s", CHOICES_FIRST_LINE, self->comments);
    for (int index = 0; index < self->count; index++) {
        choice_line_write(&self->lines[index], text + length);
        length += strlen(text + length);
    }
    int status = make_folder(path, error);
    if (status == LS_OK)
        status = atomic_file_write(path, text, length, error);
    free(text);
    return status;
}

void choices_file_free(choices_file *self) {
    free(self->lines);
    memset(self, 0, sizeof *self);
}
