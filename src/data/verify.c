#include "data/dataset.h"
#include "data/digest.h"
#include "data/pack.h"
#include "data/shard.h"

#include <stdlib.h>
#include <string.h>

typedef struct verification {
    const pack_settings *settings;
    const manifest *expected;
    int64_t done, total;
} verification;

static int digest_of(const shard *opened, const uint8_t *images, const int32_t *labels,
                     char hex[FORMAT_DIGEST_BYTES], ls_error *error) {
    sha256 digest;
    LS_TRY(shard_digest_start(&digest, &opened->header, error));
    sha256_add(&digest, images,
               (size_t)(opened->header.images * image_bytes(&opened->header.shape)));
    shard_digest_add_labels(&digest, labels, opened->header.images);
    sha256_finish(&digest, hex);
    return LS_OK;
}

static int verify_contents(const shard *opened, uint8_t *images, int32_t *labels, ls_error *error) {
    char computed[FORMAT_DIGEST_BYTES];
    LS_TRY(shard_read(opened, images, labels, error));
    LS_TRY(digest_of(opened, images, labels, computed, error));
    if (strcmp(computed, opened->sha256) != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: attribute @sha256: expected %s (of the contents), found %s",
                       opened->path, computed, opened->sha256);
    return LS_OK;
}

static int verify_shard(verification *self, const manifest_shard *entry, ls_error *error) {
    char path[4096];
    shard opened;
    LS_TRY(path_join(path, sizeof path, self->settings->folder, entry->name, error));
    LS_TRY(shard_open(&opened, path, error));
    uint8_t *images = malloc((size_t)(entry->images * image_bytes(&self->expected->shape)));
    int32_t *labels = malloc((size_t)entry->images * sizeof *labels);
    int status = images && labels ? verify_contents(&opened, images, labels, error)
                                  : ls_fail(error, LS_FAILED, "%s: out of memory", path);
    free(images);
    free(labels);
    shard_close(&opened);
    return status;
}

static int verify_split(verification *self, int split, ls_error *error) {
    const manifest_split *expected = &self->expected->splits[split];
    dataset *opened; /* compares every shard's header with the manifest */
    LS_TRY(dataset_open(self->settings->folder, split_names[split], &opened, error));
    dataset_close(opened);
    for (int index = 0; index < expected->shards; index++) {
        LS_TRY(pack_check_interrupt(self->settings, error));
        LS_TRY(verify_shard(self, &expected->list[index], error));
        self->done += expected->list[index].images;
        if (self->settings->progress)
            self->settings->progress(self->settings->progress_context, self->done, self->total);
    }
    return LS_OK;
}

int pack_verify(const pack_settings *settings, manifest *out, ls_error *error) {
    /* Opened first: it says what is wrong with the folder itself. */
    dataset *opened;
    LS_TRY(dataset_open(settings->folder, split_names[SPLIT_TRAIN], &opened, error));
    dataset_close(opened);
    LS_TRY(manifest_read(out, settings->folder, error));
    verification self = {.settings = settings, .expected = out};
    int status = LS_OK;
    for (int split = 0; split < SPLITS; split++)
        self.total += out->splits[split].images;
    for (int split = 0; status == LS_OK && split < SPLITS; split++)
        status = verify_split(&self, split, error);
    if (status != LS_OK)
        manifest_release(out);
    return status;
}
