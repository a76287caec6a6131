/* A client, and files and bytes into and out of a bucket with it. */
#include "base/atomic_file.h"
#include "s3/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_PARTS = 10000 }; /* Amazon's limit */

int s3_open(const s3_settings *settings, s3_client **out, ls_error *error) {
    const curl_library *curl;
    LS_TRY(curl_library_load(&curl, error));
    s3_client *self = calloc(1, sizeof *self);
    CURL *handle = self ? curl->easy_init() : NULL;
    if (!handle) {
        free(self);
        return ls_fail(error, LS_FAILED, "out of memory");
    }
    *self = (s3_client){.settings = *settings, .curl = curl, .handle = handle};
    *out = self;
    return LS_OK;
}

void s3_close(s3_client *self) {
    if (!self)
        return;
    self->curl->cleanup(self->handle);
    explicit_bzero(&self->settings, sizeof self->settings);
    free(self);
}

void s3_give_up(s3_client *self) {
    atomic_store(&self->gives_up, true);
}

int64_t s3_retries(const s3_client *self) {
    return self->retries;
}

int s3_put_bytes(s3_client *self, const char *bucket, const char *key, const void *bytes,
                 size_t count, ls_error *error) {
    s3_request request = {
        .method = "PUT", .bucket = bucket, .key = key, .body = bytes, .body_bytes = count};
    s3_answer answer;
    int status = s3_request_make(self, &request, &answer, error);
    text_free(&answer.body);
    return status;
}

/* A file that goes in parts. */
typedef struct parts_upload {
    s3_client *client;
    const char *bucket, *key, *path;
    FILE *file;
    int64_t bytes, part_bytes;
    void *part;
    char id[1024];
    text_buffer list; /* the parts, for the last request */
} parts_upload;

static void forget_parts(const parts_upload *self, const char *id) {
    s3_request request = {.method = "DELETE",
                          .bucket = self->bucket,
                          .key = self->key,
                          .query = {{"uploadId", id}},
                          .cleans_up = true};
    ls_error none = {0};
    s3_answer answer;
    s3_request_make(self->client, &request, &answer, &none);
    text_free(&answer.body);
}

/* A creation whose answer was lost has made an upload that nobody knows, and that is paid for until
 * somebody ends it: all of this key but ours. (A key is one run's.) Where they cannot be listed (a
 * right of its own at Amazon) they stay. */
static void forget_lost(const parts_upload *self) {
    s3_request request = {.method = "GET",
                          .bucket = self->bucket,
                          .key = "",
                          .query = {{"uploads", ""}, {"prefix", self->key}},
                          .cleans_up = true};
    char key[2048], id[sizeof self->id];
    ls_error none = {0};
    s3_answer answer;
    s3_request_make(self->client, &request, &answer, &none);
    const char *each = answer.body.bytes;
    while (each && (each = strstr(each, "<Upload>"))) {
        bool whole = s3_xml_find(each, "Key", key, sizeof key) &&
                     s3_xml_find(each, "UploadId", id, sizeof id);
        if (whole && strcmp(key, self->key) == 0 && strcmp(id, self->id) != 0)
            forget_parts(self, id);
        each += strlen("<Upload>");
    }
    text_free(&answer.body);
}

static int begin_parts(parts_upload *self, ls_error *error) {
    s3_request request = {.method = "POST",
                          .bucket = self->bucket,
                          .key = self->key,
                          .query = {{"uploads", ""}},
                          .must_have = "<UploadId>",
                          .counted = true};
    s3_answer answer;
    int status = s3_request_make(self->client, &request, &answer, error);
    if (status == LS_OK && !s3_xml_find(answer.body.bytes, "UploadId", self->id, sizeof self->id))
        status = ls_fail(error, LS_FAILED, "s3://%s/%.200s: the server's upload id is too long",
                         self->bucket, self->key);
    text_free(&answer.body);
    if (status != LS_OK)
        self->id[0] = '\0';
    /* What was refused has made nothing. */
    if (answer.tried_again || (status != LS_OK && answer.status / 100 != 4))
        forget_lost(self);
    return status;
}

static int put_part(parts_upload *self, int number, size_t bytes, ls_error *error) {
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    s3_request request = {.method = "PUT",
                          .bucket = self->bucket,
                          .key = self->key,
                          .query = {{"partNumber", text}, {"uploadId", self->id}},
                          .body = self->part,
                          .body_bytes = bytes};
    s3_answer answer;
    if (fread(self->part, 1, bytes, self->file) != bytes)
        return ls_fail(error, LS_FAILED, "%s: became shorter while it was sent", self->path);
    int status = s3_request_make(self->client, &request, &answer, error);
    if (status == LS_OK && !answer.etag[0])
        status = ls_fail(error, LS_FAILED, "s3://%s/%.200s: a part has no ETag", self->bucket,
                         self->key);
    text_add(&self->list, "<Part><PartNumber>%d</PartNumber><ETag>", number);
    s3_xml_add(&self->list, answer.etag);
    text_add(&self->list, "</ETag></Part>");
    text_free(&answer.body);
    return status;
}

static int put_parts(parts_upload *self, ls_error *error) {
    text_add(&self->list, "<CompleteMultipartUpload "
                          "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    int number = 1;
    for (int64_t sent = 0; sent < self->bytes; number++) {
        int64_t left = self->bytes - sent;
        int64_t count = left < self->part_bytes ? left : self->part_bytes;
        LS_TRY(put_part(self, number, (size_t)count, error));
        sent += count;
    }
    text_add(&self->list, "</CompleteMultipartUpload>");
    return text_buffer_check(&self->list, error);
}

/* An object of that size is there. */
static bool is_there(const parts_upload *self) {
    s3_request request = {.method = "HEAD", .bucket = self->bucket, .key = self->key};
    ls_error none = {0};
    s3_answer answer;
    int status = s3_request_make(self->client, &request, &answer, &none);
    text_free(&answer.body);
    return status == LS_OK && answer.bytes == self->bytes;
}

/* Where the answer to the first try was lost, the upload may be done, and is unknown to a second
 * try. */
static int end_parts(parts_upload *self, ls_error *error) {
    s3_request request = {.method = "POST",
                          .bucket = self->bucket,
                          .key = self->key,
                          .query = {{"uploadId", self->id}},
                          .body = self->list.bytes,
                          .body_bytes = self->list.length,
                          .must_have = "<CompleteMultipartUploadResult"};
    s3_answer answer;
    ls_error found = {0};
    int status = s3_request_make(self->client, &request, &answer, &found);
    if (status != LS_OK && answer.tried_again && answer.status == 404 && is_there(self))
        status = LS_OK;
    text_free(&answer.body);
    return status == LS_OK ? LS_OK : ls_fail(error, found.code, "%s", found.text);
}

static int upload_parts(parts_upload *self, ls_error *error) {
    LS_TRY(begin_parts(self, error));
    int status = put_parts(self, error);
    if (status == LS_OK)
        status = end_parts(self, error);
    if (status != LS_OK)
        forget_parts(self, self->id);
    return status;
}

static int put_whole(parts_upload *self, ls_error *error) {
    size_t bytes = (size_t)self->bytes;
    if (fread(self->part, 1, bytes, self->file) != bytes)
        return ls_fail(error, LS_FAILED, "%s: became shorter while it was sent", self->path);
    return s3_put_bytes(self->client, self->bucket, self->key, self->part, bytes, error);
}

static int put_opened(parts_upload *self, ls_error *error) {
    struct stat found;
    if (fstat(fileno(self->file), &found) != 0)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot read", self->path);
    int64_t least = (found.st_size + MOST_PARTS - 1) / MOST_PARTS;
    self->bytes = (int64_t)found.st_size;
    self->part_bytes = self->client->settings.part_bytes;
    if (self->part_bytes < least)
        self->part_bytes = least;
    bool whole = self->bytes <= self->part_bytes;
    self->part = malloc((size_t)(whole ? self->bytes + 1 : self->part_bytes));
    if (!self->part)
        return ls_fail(error, LS_FAILED, "out of memory for a part of %lld bytes",
                       (long long)self->part_bytes);
    int status = whole ? put_whole(self, error) : upload_parts(self, error);
    free(self->part);
    text_free(&self->list);
    return status;
}

int s3_put_file(s3_client *self, const char *bucket, const char *key, const char *path,
                ls_error *error) {
    parts_upload upload = {.client = self, .bucket = bucket, .key = key, .path = path};
    upload.file = fopen(path, "rbe");
    if (!upload.file)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot read", path);
    int status = put_opened(&upload, error);
    fclose(upload.file);
    return status;
}

int s3_get_text(s3_client *self, const char *bucket, const char *key, char *out, size_t capacity,
                bool *found, ls_error *error) {
    s3_request request = {.method = "GET", .bucket = bucket, .key = key};
    s3_answer answer;
    ls_error said = {0};
    int status = s3_request_make(self, &request, &answer, &said);
    *found = status == LS_OK;
    if (answer.status == 404 && strcmp(answer.code, "NoSuchBucket") != 0)
        status = LS_OK;
    else if (status != LS_OK)
        *error = said;
    else if (answer.body.length >= capacity)
        status = ls_fail(error, LS_FAILED, "s3://%s/%.200s: longer than expected", bucket, key);
    else
        snprintf(out, capacity, "%s", answer.body.bytes ? answer.body.bytes : "");
    text_free(&answer.body);
    return status;
}

int s3_get_file(s3_client *self, const char *bucket, const char *key, const char *path,
                ls_error *error) {
    atomic_file file;
    s3_answer answer;
    LS_TRY(atomic_file_begin(&file, path, error));
    FILE *to = fopen(file.temporary, "wbxe");
    if (!to) {
        ls_fail_errno(error, LS_FAILED, "%s: cannot create", path);
        atomic_file_discard(&file);
        return error->code;
    }
    s3_request request = {.method = "GET", .bucket = bucket, .key = key, .to = to};
    int status = s3_request_make(self, &request, &answer, error);
    text_free(&answer.body);
    if (fclose(to) != 0 && status == LS_OK)
        status = ls_fail_errno(error, LS_FAILED, "%s: cannot write", path);
    if (status == LS_OK)
        status = atomic_file_commit(&file, error);
    atomic_file_discard(&file);
    return status;
}
