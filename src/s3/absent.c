/* Of a build without libcurl's headers. */
#include "s3/s3.h"

#include <string.h>

static int refuse(ls_error *error) {
    return ls_fail(error, LS_BAD_INPUT,
                   "this lockstep was built without libcurl, which S3 needs (-Ds3=enabled)");
}

int s3_settings_find(s3_settings *out, ls_error *error) {
    *out = (s3_settings){0};
    return refuse(error);
}

int s3_open(const s3_settings *settings, s3_client **out, ls_error *error) {
    (void)settings, (void)out;
    return refuse(error);
}

void s3_close(s3_client *self) {
    (void)self;
}

void s3_give_up(s3_client *self) {
    (void)self;
}

int64_t s3_retries(const s3_client *self) {
    (void)self;
    return 0;
}

int s3_put_file(s3_client *self, const char *bucket, const char *key, const char *path,
                ls_error *error) {
    (void)self, (void)bucket, (void)key, (void)path;
    return refuse(error);
}

int s3_put_bytes(s3_client *self, const char *bucket, const char *key, const void *bytes,
                 size_t count, ls_error *error) {
    (void)self, (void)bucket, (void)key, (void)bytes, (void)count;
    return refuse(error);
}

int s3_get_file(s3_client *self, const char *bucket, const char *key, const char *path,
                ls_error *error) {
    (void)self, (void)bucket, (void)key, (void)path;
    return refuse(error);
}

int s3_get_text(s3_client *self, const char *bucket, const char *key, char *out, size_t capacity,
                bool *found, ls_error *error) {
    (void)self, (void)bucket, (void)key, (void)out, (void)capacity, (void)found;
    return refuse(error);
}
