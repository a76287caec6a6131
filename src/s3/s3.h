/* Files into a bucket of Amazon's S3, or of what speaks its protocol (MinIO, Ceph). Requests are
 * made and signed (AWS Signature Version 4) by libcurl, which is loaded when a client is opened:
 * programs that upload nothing do not have it in memory.
 *
 * What fails for a moment (a connection that breaks, a server that is busy or answers 5xx, a body
 * that is cut off) is tried again, with pauses that double; what another try cannot mend (403, 404)
 * is not. A file above a part's size goes in parts, and an upload that fails takes back what the
 * server has of it. Every body is sent with its SHA-256, which the server compares. */
#ifndef LOCKSTEP_S3_S3_H
#define LOCKSTEP_S3_S3_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct s3_place {
    char bucket[64];
    char prefix[1024]; /* "" or "runs/7": no '/' at its ends */
} s3_place;

/* "s3://BUCKET/PREFIX". LS_BAD_INPUT says what is wrong with it; `option` opens the text. */
int s3_place_parse(const char *option, const char *url, s3_place *out, ls_error *error);

/* Who signs, and where to. s3_settings_find takes them from the environment as Amazon's own tools
 * do: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; else AWS_PROFILE of the file
 * AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials); else the instance's metadata service (IMDSv2,
 * unless AWS_EC2_METADATA_DISABLED), which a client asks again when they end. The region:
 * AWS_REGION, AWS_DEFAULT_REGION, the profile's in AWS_CONFIG_FILE (~/.aws/config), us-east-1. The
 * endpoint: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL; one of one's own is addressed by paths
 * (http://host/bucket/key), Amazon's by host names. */
typedef struct s3_settings {
    char access_key[160], secret_key[160], session_token[4096];
    bool of_role;    /* the three are of an instance's role: they change in time */
    int64_t expires; /* of a role: seconds since 1970; 0: unknown */
    char region[64];
    char endpoint[512]; /* "http://127.0.0.1:9000"; "": Amazon's of the region */
    int64_t part_bytes; /* a larger file goes in parts of this size, at least 5 MiB at Amazon */
    int attempts;       /* of one request */
    double first_pause_seconds, stall_seconds; /* between tries; without a byte */
} s3_settings;

/* LS_BAD_INPUT where there are no credentials, or a file of them cannot be understood. May wait a
 * second for the metadata service. */
int s3_settings_find(s3_settings *out, ls_error *error);

typedef struct s3_client s3_client;

/* LS_BAD_INPUT where libcurl cannot be loaded or signs nothing, or this build is without it. */
int s3_open(const s3_settings *settings, s3_client **out, ls_error *error);
void s3_close(s3_client *self); /* NULL is fine */

/* True: a call that goes on ends soon, with LS_FAILED; what it has put of a file in parts is
 * removed first, which takes some seconds at most. Any thread, and a signal's handler. */
void s3_give_up(s3_client *self);

/* One thread at a time. LS_FAILED says what the server said. `key`: below the bucket. */
int s3_put_file(s3_client *self, const char *bucket, const char *key, const char *path,
                ls_error *error);
int s3_put_bytes(s3_client *self, const char *bucket, const char *key, const void *bytes,
                 size_t count, ls_error *error);
/* An object into a file, which is whole or absent. */
int s3_get_file(s3_client *self, const char *bucket, const char *key, const char *path,
                ls_error *error);
/* A short object, as a text; LS_FAILED where it is longer. *found: false where the server says that
 * there is none (404), which is LS_OK. */
int s3_get_text(s3_client *self, const char *bucket, const char *key, char *out, size_t capacity,
                bool *found, ls_error *error);
/* Requests that were tried again so far. */
int64_t s3_retries(const s3_client *self);

#endif
