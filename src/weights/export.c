#include "weights/export.h"
#include "base/atomic_file.h"
#include "weights/config_write.h"

#include <stdio.h>
#include <string.h>

static int join(char out[4096], const char *folder, const char *name, ls_error *error) {
    if (snprintf(out, 4096, "%s/%s", folder, name) < 4096)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: its name is too long", folder);
}

/* Makes the folder; frees the text. */
static int write_text(const char *folder, const char *name, text_buffer *text, ls_error *error) {
    char path[4096];
    int status = text_buffer_check(text, error);
    if (status == LS_OK)
        status = folder_create(folder, error);
    if (status == LS_OK)
        status = join(path, folder, name, error);
    if (status == LS_OK)
        status = atomic_file_write(path, text->bytes, text->length, error);
    text_free(text);
    return status;
}

static int write_weights(const weights_export *self, weights_naming naming, const char *folder,
                         ls_error *error) {
    char path[4096];
    LS_TRY(join(path, folder, "model.safetensors", error));
    return weights_save(self->graph, naming, path, self->about, self->about_count, self->batches,
                        self->parameters, self->buffers, error);
}

static int export_huggingface(const weights_export *self, const char *folder, ls_error *error) {
    text_buffer config = {0}, preprocessor = {0};
    LS_TRY(config_huggingface(self->model, &config, error));
    LS_TRY(write_text(folder, "config.json", &config, error));
    config_preprocessor(self->model, &preprocessor);
    LS_TRY(write_text(folder, "preprocessor_config.json", &preprocessor, error));
    return write_weights(self, NAMING_HUGGINGFACE, folder, error);
}

static int export_timm(const weights_export *self, const char *folder, ls_error *error) {
    text_buffer config = {0};
    LS_TRY(config_timm(self->model, &config, error));
    LS_TRY(write_text(folder, "config.json", &config, error));
    return write_weights(self, NAMING_OWN, folder, error);
}

int weights_export_folder(const weights_export *self, const char *format, const char *folder,
                          ls_error *error) {
    return (strcmp(format, "timm") == 0 ? export_timm : export_huggingface)(self, folder, error);
}
