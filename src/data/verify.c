#include "base/clock.h"
#include "data/dataset.h"
#include "data/digest.h"
#include "data/pack.h"
#include "data/shard.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct verification {
    const pack_settings *settings;
    const manifest *expected;
    int64_t done, total;
    double start;
} verification;

/* A shard's parts in memory. */
typedef struct contents {
    void *values[MOST_PARTS]; /* owned */
} contents;

static int read_contents(const shard *opened, contents *out, ls_error *error) {
    for (int part = 0; part < shard_parts(opened->header.kind); part++) {
        out->values[part] = malloc((size_t)part_bytes(&opened->forms[part]));
        if (!out->values[part])
            return ls_fail(error, LS_FAILED, "%s: out of memory", opened->path);
        LS_TRY(shard_read(opened, part, out->values[part], error));
    }
    return LS_OK;
}

static int verify_files(const shard *opened, const contents *of, ls_error *error) {
    const uint8_t *bytes = of->values[PART_BYTES];
    const int64_t *offsets = of->values[PART_OFFSETS];
    const uint32_t *crcs = of->values[PART_CRCS];
    for (int64_t index = 0; index < opened->header.images; index++)
        if (crc32c(bytes + offsets[index], (size_t)(offsets[index + 1] - offsets[index])) !=
            crcs[index])
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: /crc32c[%" PRId64 "]: expected the CRC-32C of the image's bytes, "
                           "found another",
                           opened->path, index);
    return LS_OK;
}

static int verify_contents(const shard *opened, contents *of, ls_error *error) {
    char computed[FORMAT_DIGEST_BYTES];
    LS_TRY(read_contents(opened, of, error));
    if (opened->header.kind == CONTENT_ENCODED)
        LS_TRY(verify_files(opened, of, error));
    LS_TRY(shard_digest(&opened->header, (const void *const *)of->values, computed, error));
    if (strcmp(computed, opened->sha256) != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: attribute @sha256: expected %s (of the contents), found %s",
                       opened->path, computed, opened->sha256);
    return LS_OK;
}

static int verify_shard(verification *self, const manifest_shard *entry, ls_error *error) {
    char path[4096];
    shard opened;
    contents of = {0};
    LS_TRY(path_join(path, sizeof path, self->settings->folder, entry->name, error));
    LS_TRY(shard_open(&opened, path, error));
    int status = verify_contents(&opened, &of, error);
    for (int part = 0; part < MOST_PARTS; part++)
        free(of.values[part]);
    shard_close(&opened);
    return status;
}

static void show(const verification *self) {
    pack_state state = {
        .done_images = self->done, .images = self->total, .seconds = clock_seconds() - self->start};
    self->settings->progress(self->settings->progress_context, &state);
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
            show(self);
    }
    return LS_OK;
}

int pack_verify(const pack_settings *settings, manifest *out, ls_error *error) {
    /* Opened first: it says what is wrong with the folder itself. */
    dataset *opened;
    LS_TRY(dataset_open(settings->folder, split_names[SPLIT_TRAIN], &opened, error));
    dataset_close(opened);
    LS_TRY(manifest_read(out, settings->folder, error));
    verification self = {.settings = settings, .expected = out, .start = clock_seconds()};
    int status = LS_OK;
    for (int split = 0; split < SPLITS; split++)
        self.total += out->splits[split].images;
    for (int split = 0; status == LS_OK && split < SPLITS; split++)
        status = verify_split(&self, split, error);
    if (status != LS_OK)
        manifest_release(out);
    return status;
}
