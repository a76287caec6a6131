#include "data/pack_record.h"

#include "base/atomic_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEAD "lockstep record 1\nplan %64s\nsha256 %64s\n"
#define COUNTS                                                                                     \
    "images %" PRId64 "\nbytes %" PRId64 "\nwarned %" PRId64 "\nconverted %" PRId64                \
    "\nleft_out %" PRId64 "\nlists %zu %zu\n"

int pack_record_write(const pack_record *self, const char *path, ls_error *error) {
    text_buffer text = {0};
    text_add(&text, HEAD, self->plan, self->sha256);
    text_add(&text, COUNTS, self->images, self->bytes, self->warned, self->converted,
             self->left_out, self->converted_list.length, self->left_out_list.length);
    if (self->converted_list.length)
        text_add_bytes(&text, self->converted_list.bytes, self->converted_list.length);
    if (self->left_out_list.length)
        text_add_bytes(&text, self->left_out_list.bytes, self->left_out_list.length);
    int status = text_buffer_check(&text, error);
    if (status == LS_OK)
        status = atomic_file_write(path, text.bytes, text.length, error);
    text_free(&text);
    return status;
}

static bool read_list(FILE *file, size_t length, text_buffer *out) {
    char piece[4096];
    while (length > 0) {
        size_t wanted = length < sizeof piece ? length : sizeof piece;
        if (fread(piece, 1, wanted, file) != wanted)
            return false;
        text_add_bytes(out, piece, wanted);
        length -= wanted;
    }
    return !out->failed;
}

static bool read_all(FILE *file, pack_record *self) {
    size_t converted = 0, left_out = 0;
    return fscanf(file, HEAD, self->plan, self->sha256) == 2 &&
           fscanf(file,
                  "images %" SCNd64 " bytes %" SCNd64 " warned %" SCNd64 " converted %" SCNd64
                  " left_out %" SCNd64 " lists %zu %zu",
                  &self->images, &self->bytes, &self->warned, &self->converted, &self->left_out,
                  &converted, &left_out) == 7 &&
           fgetc(file) == '\n' && read_list(file, converted, &self->converted_list) &&
           read_list(file, left_out, &self->left_out_list) && fgetc(file) == EOF;
}

bool pack_record_read(pack_record *self, const char *path) {
    memset(self, 0, sizeof *self);
    FILE *file = fopen(path, "r");
    bool whole = file && read_all(file, self);
    if (file)
        fclose(file);
    if (!whole)
        pack_record_release(self);
    return whole;
}

void pack_record_release(pack_record *self) {
    text_free(&self->converted_list);
    text_free(&self->left_out_list);
    memset(self, 0, sizeof *self);
}
