#include "choices.h"
#include "choices_file.h"
#include "choices_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct table_entry {
    char shape[CONV_SHAPE_TEXT_BYTES];
    conv_choice choice;
    bool lasting;
} table_entry;

struct conv_choices {
    char gpu[CHOICE_GPU_BYTES];
    size_t dnn_version;
    char path[4096]; /* "": no file */
    char note[512];
    table_entry *entries;
    int count, capacity;
    bool changed; /* since the file was read or written */
    bool imported;
};

static table_entry *find(const conv_choices *self, const char *shape) {
    for (int index = 0; index < self->count; index++)
        if (strcmp(self->entries[index].shape, shape) == 0)
            return &self->entries[index];
    return NULL;
}

static int put(conv_choices *self, const char *shape, const conv_choice *choice, bool lasting,
               ls_error *error) {
    table_entry *entry = find(self, shape);
    if (!entry) {
        if (self->count == self->capacity) {
            int capacity = self->capacity ? 2 * self->capacity : 16;
            table_entry *grown = realloc(self->entries, (size_t)capacity * sizeof *grown);
            if (!grown)
                return ls_fail(error, LS_FAILED, "out of host memory");
            self->entries = grown;
            self->capacity = capacity;
        }
        entry = &self->entries[self->count++];
        snprintf(entry->shape, sizeof entry->shape, "%s", shape);
    }
    entry->choice = *choice;
    entry->lasting = lasting;
    return LS_OK;
}

static bool is_ours(const conv_choices *self, const choice_line *line) {
    return strcmp(line->gpu, self->gpu) == 0 && line->dnn_version == self->dnn_version;
}

/* What the names of GPUs may hold: no tab, no newline. */
static void copy_name(char *to, size_t bytes, const char *from) {
    snprintf(to, bytes, "%s", from[0] ? from : "unnamed");
    for (char *at = to; *at; at++)
        if ((unsigned char)*at < ' ')
            *at = ' ';
}

static int take_from_file(conv_choices *self, ls_error *error) {
    choices_file file;
    choices_file_read(self->path, &file);
    for (int index = 0; index < file.count; index++)
        if (is_ours(self, &file.lines[index])) {
            int status = put(self, file.lines[index].shape, &file.lines[index].choice, true, error);
            if (status != LS_OK) {
                choices_file_free(&file);
                return status;
            }
        }
    if (file.problem[0])
        snprintf(self->note, sizeof self->note, "%.200s: %s", self->path, file.problem);
    choices_file_free(&file);
    return LS_OK;
}

int conv_choices_create(const char *gpu, size_t dnn_version, const char *path, conv_choices **out,
                        ls_error *error) {
    conv_choices *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of host memory");
    copy_name(self->gpu, sizeof self->gpu, gpu);
    self->dnn_version = dnn_version;
    snprintf(self->path, sizeof self->path, "%s", path ? path : "");
    int status = self->path[0] ? take_from_file(self, error) : LS_OK;
    if (status != LS_OK) {
        conv_choices_destroy(self);
        return status;
    }
    *out = self;
    return LS_OK;
}

void conv_choices_destroy(conv_choices *self) {
    if (!self)
        return;
    free(self->entries);
    free(self);
}

const char *conv_choices_note(const conv_choices *self) {
    return self->note;
}

bool conv_choices_find(const conv_choices *self, const char *shape, conv_choice *out) {
    const table_entry *entry = find(self, shape);
    if (entry)
        *out = entry->choice;
    return entry != NULL;
}

int conv_choices_put(conv_choices *self, const char *shape, const conv_choice *choice, bool lasting,
                     ls_error *error) {
    self->changed |= lasting;
    return put(self, shape, choice, lasting, error);
}

bool conv_choices_imported(const conv_choices *self) {
    return self->imported;
}

static choice_line line_of(const conv_choices *self, const table_entry *entry) {
    choice_line line = {.dnn_version = self->dnn_version, .choice = entry->choice};
    memcpy(line.gpu, self->gpu, sizeof line.gpu);
    memcpy(line.shape, entry->shape, sizeof line.shape);
    return line;
}

int conv_choices_export(const conv_choices *self, char **out, ls_error *error) {
    size_t bytes = sizeof CHOICES_FIRST_LINE + 1 + (size_t)self->count * CHOICE_LINE_BYTES;
    char *text = malloc(bytes);
    if (!text)
        return ls_fail(error, LS_FAILED, "out of host memory");
    size_t length = (size_t)snprintf(text, bytes, "%s\n", CHOICES_FIRST_LINE);
    for (int index = 0; index < self->count; index++) {
        choice_line line = line_of(self, &self->entries[index]);
        choice_line_write(&line, text + length);
        length += strlen(text + length);
    }
    *out = text;
    return LS_OK;
}

static int import_lines(conv_choices *self, const choices_file *from, ls_error *error) {
    if (from->problem[0])
        return ls_fail(error, LS_FAILED, "cuDNN: the choices of rank 0 came damaged: %s",
                       from->problem);
    for (int index = 0; index < from->count; index++) {
        const choice_line *line = &from->lines[index];
        if (line->dnn_version != self->dnn_version)
            return ls_fail(error, LS_FAILED,
                           "cuDNN: rank 0 has version %zu and this rank %zu; load the same cuDNN "
                           "on every node",
                           line->dnn_version, self->dnn_version);
        if (is_ours(self, line))
            LS_TRY(put(self, line->shape, &line->choice, false, error));
    }
    self->imported = true;
    return LS_OK;
}

int conv_choices_import(conv_choices *self, const char *text, ls_error *error) {
    choices_file lines;
    choices_file_parse(text, strlen(text), &lines);
    int status = import_lines(self, &lines, error);
    choices_file_free(&lines);
    return status;
}

void conv_choices_save(conv_choices *self) {
    if (!self->path[0] || !self->changed)
        return;
    /* Other runs may have written since: theirs stay, but for what this one chose itself. */
    choices_file file;
    choices_file_read(self->path, &file);
    for (int index = 0; index < self->count; index++) {
        if (!self->entries[index].lasting)
            continue;
        choice_line line = line_of(self, &self->entries[index]);
        choices_file_put(&file, &line);
    }
    ls_error error = {0};
    if (choices_file_write(&file, self->path, &error) == LS_OK)
        self->changed = false;
    else
        snprintf(self->note, sizeof self->note, "choices are not kept: %.450s", error.text);
    choices_file_free(&file);
}
