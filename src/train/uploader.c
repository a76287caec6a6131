#include "train/uploader.h"
#include "train/trainer.h"

#include "base/clock.h"
#include "checkpoint/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double HURRY_SECONDS = 60;

#define AT(field) offsetof(upload_options, field)

static const option options[] = {
    {"upload", OPTION_TEXT, AT(to), "s3://BUCKET/PREFIX", NULL, NULL, 0, 0,
     "Put the best checkpoint there, too, while training goes on (with --best).", false},
    {"upload-all", OPTION_FLAG, AT(all), NULL, NULL, NULL, 0, 0,
     "Put each checkpoint there, not the best alone.", false},
    {0}};

int upload_add_options(option_groups *list, size_t offset, ls_error *error) {
    return option_add_group(list, (option_group){"Checkpoints to S3", options, offset}, error);
}

static int check_options(const trainer *self, ls_error *error) {
    const upload_options *given = &self->settings->upload;
    bool saves_best = strcmp(self->settings->checkpoints.best, "none") != 0;
    if (!given->to)
        return ls_fail(error, LS_BAD_INPUT, "--upload-all belongs to --upload: found it without");
    if (!saves_best && !given->all)
        return ls_fail(error, LS_BAD_INPUT,
                       "--upload puts the best checkpoint into a bucket: found it without --best "
                       "(give --best accuracy, or --upload-all)");
    if (!self->saver.on)
        return ls_fail(error, LS_BAD_INPUT,
                       "--upload-all: nothing is saved (give --checkpoint-every, or --best)");
    return LS_OK;
}

int uploader_check(trainer *self, ls_error *error) {
    const upload_options *given = &self->settings->upload;
    uploader *up = &self->uploader;
    s3_settings settings;
    if (!given->to && !given->all)
        return LS_OK;
    LS_TRY(check_options(self, error));
    LS_TRY(s3_place_parse("--upload", given->to, &up->place, error));
    if (self->me->rank != 0)
        return LS_OK;
    LS_TRY(s3_settings_find(&settings, error));
    int status = s3_open(&settings, &up->client, error);
    explicit_bzero(&settings, sizeof settings);
    return status;
}

int uploader_open(trainer *self, ls_error *error) {
    uploader *up = &self->uploader;
    if (!up->client)
        return LS_OK;
    up->on = true;
    up->all = self->settings->upload.all;
    return background_open("uploader", self->engine.binding.processing_units,
                           self->engine.binding.threads, &up->thread, error);
}

/* ---- a job */

static void job_close(upload_job *self) {
    for (int file = 0; file < self->count; file++)
        close(self->files[file].descriptor);
    free(self->files);
    *self = (upload_job){0};
}

/* Parts come before the manifest, and that before its sum: whoever finds the last has all. */
static int rank_of(const char *name) {
    return strcmp(name, CHECKPOINT_MANIFEST_SUM) == 0 ? 2
           : strcmp(name, CHECKPOINT_MANIFEST) == 0   ? 1
                                                      : 0;
}

static int by_rank(const void *left, const void *right) {
    const char *a = left, *b = right; /* a file's name is its first member */
    return rank_of(a) != rank_of(b) ? rank_of(a) - rank_of(b) : strcmp(a, b);
}

static int add_file(upload_job *self, int folder, const char *name, ls_error *error) {
    void *more = realloc(self->files, (size_t)(self->count + 1) * sizeof *self->files);
    if (!more)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->files = more;
    int descriptor = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot read", name);
    self->files[self->count].descriptor = descriptor;
    snprintf(self->files[self->count].file, sizeof self->files[0].file, "%s", name);
    self->count++;
    return LS_OK;
}

static int open_files(upload_job *self, const char *path, ls_error *error) {
    DIR *folder = opendir(path);
    if (!folder)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot read", path);
    int status = LS_OK;
    for (struct dirent *entry; status == LS_OK && (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            status = add_file(self, dirfd(folder), entry->d_name, error);
    closedir(folder);
    if (status == LS_OK)
        qsort(self->files, (size_t)self->count, sizeof *self->files, by_rank);
    return status;
}

static int job_open(upload_job *self, const char *dir, const char *name, bool best,
                    ls_error *error) {
    char path[4096 + CHECKPOINT_FOLDER_BYTES + 1];
    *self = (upload_job){.best = best};
    snprintf(self->name, sizeof self->name, "%s", name);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int status = open_files(self, path, error);
    if (status != LS_OK)
        job_close(self);
    return status;
}

static void key_of(const uploader *self, const char *first, const char *second, char *out,
                   size_t capacity) {
    const char *prefix = self->place.prefix;
    snprintf(out, capacity, "%s%s%s%s%s", prefix, prefix[0] ? "/" : "", first, second[0] ? "/" : "",
             second);
}

/* The thread's task. */
static int upload(void *context, ls_error *error) {
    uploader *self = context;
    const upload_job *job = &self->going;
    char key[2048], path[64], name[300];
    for (int file = 0; file < job->count; file++) {
        key_of(self, job->name, job->files[file].file, key, sizeof key);
        snprintf(path, sizeof path, "/proc/self/fd/%d", job->files[file].descriptor);
        LS_TRY(s3_put_file(self->client, self->place.bucket, key, path, error));
    }
    size_t length = (size_t)snprintf(name, sizeof name, "%s\n", job->name);
    const char *pointers[] = {job->best ? CHECKPOINT_BEST : NULL,
                              self->all ? CHECKPOINT_LAST : NULL};
    for (int pointer = 0; pointer < 2; pointer++) {
        if (!pointers[pointer])
            continue;
        key_of(self, pointers[pointer], "", key, sizeof key);
        LS_TRY(s3_put_bytes(self->client, self->place.bucket, key, name, length, error));
    }
    return LS_OK;
}

/* ---- the run's side */

static void start_waiting(uploader *self) {
    if (!self->waiting.files || self->going.files)
        return;
    self->going = self->waiting;
    self->waiting = (upload_job){0};
    background_start(self->thread, upload, self);
}

/* The task that has ended. */
static int take(trainer *self, ls_error *error) {
    uploader *up = &self->uploader;
    ls_error failure = {0};
    int status = background_take(up->thread, &failure);
    up->done += status == LS_OK;
    up->failed += status != LS_OK;
    int noted = LS_OK;
    if (status != LS_OK)
        noted = run_note(self->run, error, "warning  checkpoint %s was not uploaded: %s",
                         up->going.name, failure.text);
    job_close(&up->going);
    return noted;
}

int uploader_look(trainer *self, ls_error *error) {
    uploader *up = &self->uploader;
    if (!up->on)
        return LS_OK;
    if (up->going.files && background_done(up->thread))
        LS_TRY(take(self, error));
    start_waiting(up);
    return LS_OK;
}

int uploader_offer(trainer *self, const char *dir, const char *name, bool best, ls_error *error) {
    uploader *up = &self->uploader;
    ls_error failure = {0};
    upload_job job;
    if (!up->on || !(best || self->settings->upload.all))
        return LS_OK;
    if (job_open(&job, dir, name, best, &failure) != LS_OK) {
        up->failed++;
        return run_note(self->run, error, "warning  checkpoint %s was not uploaded: %s", name,
                        failure.text);
    }
    bool better = up->waiting.best && !job.best; /* the best is to come, too */
    job_close(better ? &job : &up->waiting);
    if (!better)
        up->waiting = job;
    up->failed += better;
    if (better)
        LS_TRY(run_note(self->run, error,
                        "warning  checkpoint %s was not uploaded: the best one waits for its turn",
                        name));
    return uploader_look(self, error);
}

/* False: the time is over, and what was under way was given up. */
static bool wait_for_task(uploader *self, double until) {
    while (!background_done(self->thread)) {
        if (clock_seconds() > until) {
            s3_give_up(self->client);
            background_wait(self->thread);
            return false;
        }
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    return true;
}

int uploader_finish(trainer *self, bool hurry, ls_error *error) {
    uploader *up = &self->uploader;
    double until = hurry ? clock_seconds() + HURRY_SECONDS : INFINITY;
    LS_TRY(uploader_look(self, error));
    while (up->on && up->going.files) {
        bool in_time = wait_for_task(up, until);
        LS_TRY(take(self, error));
        if (in_time)
            start_waiting(up);
    }
    if (!up->waiting.files)
        return LS_OK;
    up->failed++;
    LS_TRY(run_note(self->run, error, "warning  checkpoint %s was not uploaded: no time was left",
                    up->waiting.name));
    job_close(&up->waiting);
    return LS_OK;
}

void uploader_close(uploader *self) {
    if (self->client)
        s3_give_up(self->client);
    background_close(self->thread);
    job_close(&self->going);
    job_close(&self->waiting);
    s3_close(self->client);
    *self = (uploader){0};
}
