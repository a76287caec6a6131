#include "cuda/choices/choices.h"
#include "base/clock.h"
#include "cuda/choices/choices_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Between two writes of the cache file while choices are made. */
#define SAVE_SECONDS 1.0

typedef struct table_entry {
    choice_line line;
    char source[CHOICE_SOURCE_BYTES];
    bool lasting; /* of the cache file */
} table_entry;

struct choices {
    char gpu[CHOICE_GPU_BYTES];
    size_t versions[CHOICE_LIBRARIES];
    char path[4096]; /* "": no file */
    char note[512];
    table_entry *entries;
    int count, capacity;
    bool changed; /* since the file was read or written */
    double saved; /* the clock then */
    bool imported;
};

static table_entry *find(const choices *self, choice_library library, const char *key) {
    for (int index = 0; index < self->count; index++)
        if (self->entries[index].line.library == library &&
            strcmp(self->entries[index].line.key, key) == 0)
            return &self->entries[index];
    return NULL;
}

static int put(choices *self, const choice_line *line, const char *source, bool lasting,
               ls_error *error) {
    table_entry *entry = find(self, line->library, line->key);
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
    }
    entry->line = *line;
    snprintf(entry->source, sizeof entry->source, "%s", source);
    entry->lasting = lasting;
    return LS_OK;
}

static bool is_ours(const choices *self, const choice_line *line) {
    return strcmp(line->gpu, self->gpu) == 0 && line->version == self->versions[line->library];
}

/* What the names of GPUs may hold: no tab, no newline. */
static void copy_name(char *to, size_t bytes, const char *from) {
    snprintf(to, bytes, "%s", from[0] ? from : "unnamed");
    for (char *at = to; *at; at++)
        if ((unsigned char)*at < ' ')
            *at = ' ';
}

static int take_ours(choices *self, const choices_file *file, const char *source, bool lasting,
                     ls_error *error) {
    for (int index = 0; index < file->count; index++)
        if (is_ours(self, &file->lines[index]))
            LS_TRY(put(self, &file->lines[index], source, lasting, error));
    return LS_OK;
}

static int take_shipped(choices *self, const char *shipped, ls_error *error) {
    choices_file file;
    if (!shipped[0])
        return LS_OK;
    choices_file_parse(shipped, strlen(shipped), &file);
    int status = take_ours(self, &file, "shipped", false, error);
    choices_file_free(&file);
    return status;
}

static int take_from_file(choices *self, ls_error *error) {
    choices_file file;
    choices_file_read(self->path, &file);
    int status = take_ours(self, &file, "known", true, error);
    if (file.problem[0])
        snprintf(self->note, sizeof self->note, "%.200s: %s", self->path, file.problem);
    choices_file_free(&file);
    return status;
}

int choices_create(const char *gpu, const size_t versions[CHOICE_LIBRARIES], const char *shipped,
                   const char *path, choices **out, ls_error *error) {
    choices *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of host memory");
    copy_name(self->gpu, sizeof self->gpu, gpu);
    memcpy(self->versions, versions, sizeof self->versions);
    snprintf(self->path, sizeof self->path, "%s", path ? path : "");
    int status = take_shipped(self, shipped, error);
    if (status == LS_OK && self->path[0])
        status = take_from_file(self, error);
    if (status != LS_OK) {
        choices_destroy(self);
        return status;
    }
    *out = self;
    return LS_OK;
}

void choices_destroy(choices *self) {
    if (!self)
        return;
    free(self->entries);
    free(self);
}

const char *choices_note(const choices *self) {
    return self->note;
}

static bool find_as(const choices *self, choice_library library, const char *key, bool chosen,
                    choice *out) {
    const table_entry *entry = find(self, library, key);
    if (!entry || choice_line_is_chosen(&entry->line) != chosen)
        return false;
    memcpy(out->text, entry->line.text, sizeof out->text);
    memcpy(out->source, entry->source, sizeof out->source);
    return true;
}

bool choices_find(const choices *self, choice_library library, const char *key, choice *out) {
    return find_as(self, library, key, true, out);
}

bool choices_find_offer(const choices *self, choice_library library, const char *key, choice *out) {
    return find_as(self, library, key, false, out);
}

int choices_put(choices *self, choice_library library, const char *key, const choice *chosen,
                const char *measure, ls_error *error) {
    choice_line line = {.library = library, .version = self->versions[library]};
    memcpy(line.gpu, self->gpu, sizeof line.gpu);
    snprintf(line.key, sizeof line.key, "%s", key);
    memcpy(line.text, chosen->text, sizeof line.text);
    snprintf(line.measure, sizeof line.measure, "%s", measure ? measure : "not timed");
    LS_TRY(put(self, &line, chosen->source, measure != NULL, error));
    self->changed |= measure != NULL;
    if (self->changed && clock_seconds() - self->saved > SAVE_SECONDS)
        choices_save(self);
    return LS_OK;
}

bool choices_imported(const choices *self) {
    return self->imported;
}

int choices_export(const choices *self, char **out, ls_error *error) {
    size_t bytes = sizeof CHOICES_FIRST_LINE + 1 + (size_t)self->count * CHOICE_LINE_BYTES;
    char *text = malloc(bytes);
    if (!text)
        return ls_fail(error, LS_FAILED, "out of host memory");
    size_t length = (size_t)snprintf(text, bytes, "%s\n", CHOICES_FIRST_LINE);
    for (int index = 0; index < self->count; index++) {
        choice_line_write(&self->entries[index].line, text + length);
        length += strlen(text + length);
    }
    *out = text;
    return LS_OK;
}

static int import_lines(choices *self, const choices_file *from, ls_error *error) {
    if (from->problem[0])
        return ls_fail(error, LS_FAILED, "cuDNN: the choices of rank 0 came damaged: %s",
                       from->problem);
    for (int index = 0; index < from->count; index++) {
        const choice_line *line = &from->lines[index];
        if (line->library == CHOICE_CUDNN && line->version != self->versions[CHOICE_CUDNN])
            return ls_fail(error, LS_FAILED,
                           "cuDNN: rank 0 has version %zu and this rank %zu; load the same cuDNN "
                           "on every node",
                           line->version, self->versions[CHOICE_CUDNN]);
    }
    for (int index = 0; index < from->count; index++) {
        const choice_line *line = &from->lines[index];
        const table_entry *here = find(self, line->library, line->key);
        bool known = here && strcmp(here->line.text, line->text) == 0;
        if (is_ours(self, line) && !known)
            LS_TRY(put(self, line, "rank 0's", false, error));
    }
    self->imported = true;
    return LS_OK;
}

int choices_import(choices *self, const char *text, ls_error *error) {
    choices_file lines;
    choices_file_parse(text, strlen(text), &lines);
    int status = import_lines(self, &lines, error);
    choices_file_free(&lines);
    return status;
}

void choices_save(choices *self) {
    self->saved = clock_seconds();
    if (!self->path[0] || !self->changed)
        return;
    /* Other runs may have written since: theirs stay, but for what this one chose itself. */
    choices_file file;
    choices_file_read(self->path, &file);
    for (int index = 0; index < self->count; index++)
        if (self->entries[index].lasting)
            choices_file_put(&file, &self->entries[index].line);
    ls_error error = {0};
    if (choices_file_write(&file, self->path, &error) == LS_OK)
        self->changed = false;
    else
        snprintf(self->note, sizeof self->note, "choices are not kept: %.450s", error.text);
    choices_file_free(&file);
}
