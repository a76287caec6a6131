/* --resume s3://BUCKET/PREFIX: a checkpoint from a bucket into the folder of checkpoints, from
 * where the run goes on as from any other. */
#include "base/atomic_file.h"
#include "data/format.h"
#include "train/resume.h"
#include "train/trainer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_BYTES = 2048, POINTER_BYTES = CHECKPOINT_FOLDER_BYTES };

typedef struct fetch {
    s3_client *client;
    s3_place place;
    char temporary[4096];
} fetch;

static int join(char out[KEY_BYTES], const char *folder, const char *name, ls_error *error) {
    int length = snprintf(out, KEY_BYTES, "%s%s%s", folder, folder[0] ? "/" : "", name);
    if (length < 0 || length >= KEY_BYTES)
        return ls_fail(error, LS_FAILED, "%.80s...: the key is too long", folder);
    return LS_OK;
}

/* KEY, which holds a name, and the folder of that name beside it; *found: there is such a key. */
static int follow(const fetch *self, const char *key, char *folder, bool *found, ls_error *error) {
    char name[POINTER_BYTES], parent[KEY_BYTES];
    LS_TRY(s3_get_text(self->client, self->place.bucket, key, name, sizeof name, found, error));
    if (!*found)
        return LS_OK;
    name[strcspn(name, "\n")] = '\0';
    if (!name[0] || strchr(name, '/') || name[0] == '.')
        return ls_fail(error, LS_FAILED, "s3://%s/%s: expected the name of a checkpoint",
                       self->place.bucket, key);
    snprintf(parent, sizeof parent, "%s", key);
    char *slash = strrchr(parent, '/');
    parent[slash ? slash - parent : 0] = '\0';
    return join(folder, parent, name, error);
}

static int nothing_there(const fetch *self, ls_error *error) {
    return ls_fail(error, LS_FAILED,
                   "s3://%s/%s: 404 NoSuchKey: neither a checkpoint is there, nor last, nor best",
                   self->place.bucket, self->place.prefix);
}

static bool ends_as(const char *key, const char *which) {
    const char *slash = strrchr(key, '/');
    return strcmp(slash ? slash + 1 : key, which) == 0;
}

/* As checkpoint_resolve has it of folders: PREFIX/last, PREFIX/best, a checkpoint's own, or a
 * prefix with checkpoints, whose `last`, else `best`, is meant. Only what the server says is not
 * there is passed over: a server that is busy must not make a run go on from an older state. */
static int resolve(const fetch *self, char *folder, ls_error *error) {
    const char *prefix = self->place.prefix;
    static const char *const pointers[] = {CHECKPOINT_LAST, CHECKPOINT_BEST};
    char key[KEY_BYTES], text[512];
    bool found = false;
    if (ends_as(prefix, CHECKPOINT_LAST) || ends_as(prefix, CHECKPOINT_BEST)) {
        LS_TRY(follow(self, prefix, folder, &found, error));
        return found ? LS_OK : nothing_there(self, error);
    }
    LS_TRY(join(key, prefix, CHECKPOINT_MANIFEST_SUM, error));
    snprintf(folder, KEY_BYTES, "%s", prefix);
    LS_TRY(s3_get_text(self->client, self->place.bucket, key, text, sizeof text, &found, error));
    for (int each = 0; each < 2 && !found; each++) {
        LS_TRY(join(key, prefix, pointers[each], error));
        LS_TRY(follow(self, key, folder, &found, error));
    }
    return found ? LS_OK : nothing_there(self, error);
}

static int fetch_file(const fetch *self, const char *folder, const char *file, ls_error *error) {
    char key[KEY_BYTES], path[4096];
    LS_TRY(join(key, folder, file, error));
    LS_TRY(path_join(path, sizeof path, self->temporary, file, error));
    return s3_get_file(self->client, self->place.bucket, key, path, error);
}

/* The manifest says which parts there are; its names are checked. */
static int fetch_all(const fetch *self, const char *folder, int64_t *step, ls_error *error) {
    checkpoint_manifest manifest;
    LS_TRY(fetch_file(self, folder, CHECKPOINT_MANIFEST, error));
    LS_TRY(fetch_file(self, folder, CHECKPOINT_MANIFEST_SUM, error));
    LS_TRY(checkpoint_manifest_read(&manifest, self->temporary, error));
    int status = LS_OK;
    for (int part = 0; part < manifest.part_count && status == LS_OK; part++)
        status = fetch_file(self, folder, manifest.parts[part].file, error);
    *step = manifest.step;
    checkpoint_manifest_free(&manifest);
    return status;
}

static int fetch_into(fetch *self, const char *dir, char *path, size_t capacity, ls_error *error) {
    char folder[KEY_BYTES], name[CHECKPOINT_FOLDER_BYTES];
    int64_t step;
    LS_TRY(resolve(self, folder, error));
    LS_TRY(folder_create(dir, error));
    LS_TRY(checkpoint_temporary(self->temporary, sizeof self->temporary, dir, "s3",
                                (int64_t)getpid(), 0, error));
    LS_TRY(checkpoint_begin(self->temporary, error));
    int status = fetch_all(self, folder, &step, error);
    if (status == LS_OK)
        status = checkpoint_publish(dir, self->temporary, step, name, error);
    if (status != LS_OK) {
        checkpoint_remove(dir, strrchr(self->temporary, '/') + 1);
        return status;
    }
    return path_join(path, capacity, dir, name, error);
}

int trainer_fetch_checkpoint(const trainer *self, char *path, size_t capacity, ls_error *error) {
    fetch fetch = {0};
    s3_settings settings;
    ls_error found = {0};
    LS_TRY(s3_place_parse("--resume", self->settings->checkpoints.resume, &fetch.place, error));
    LS_TRY(s3_settings_find(&settings, error));
    int status = s3_open(&settings, &fetch.client, &found);
    explicit_bzero(&settings, sizeof settings);
    if (status == LS_OK)
        status = fetch_into(&fetch, self->saver.dir, path, capacity, &found);
    s3_close(fetch.client);
    return status == LS_OK ? LS_OK : ls_fail(error, LS_BAD_INPUT, "--resume: %s", found.text);
}
