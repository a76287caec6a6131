/* One signed request, tried until it succeeds or there is no use (the room's own). */
#ifndef LOCKSTEP_S3_REQUEST_H
#define LOCKSTEP_S3_REQUEST_H

#include "base/text_buffer.h"
#include "s3/curl_library.h"
#include "s3/s3.h"

#include <stdio.h>

struct s3_client {
    s3_settings settings;
    const curl_library *curl;
    CURL *handle;
    atomic_bool gives_up;
    int64_t retries;
    double renewed_seconds;       /* clock: a role was asked for its credentials last; 0: not yet */
    char reason[CURL_ERROR_SIZE]; /* of a request that got no answer; "" where libcurl says none */
};

/* name=value of a query, as they are: encoding is request.c's. */
typedef struct s3_pair {
    const char *name, *value;
} s3_pair;

enum { S3_MOST_PAIRS = 4 };

typedef struct s3_request {
    const char *method; /* "GET", "HEAD", "PUT", "POST", "DELETE" */
    const char *bucket, *key;
    s3_pair query[S3_MOST_PAIRS]; /* ended by a name that is NULL */
    const void *body;             /* of PUT and POST */
    size_t body_bytes;
    FILE *to; /* where the answer's body goes; NULL: into the answer */
    /* Of an answer 200: the element without which it is none (a server may say 200 first and find
     * its error then); NULL: any. */
    const char *must_have;
    /* Over a connection of its own: where one that was used before ends without an answer libcurl
     * sends a request again, and answer->tried_again does not tell. */
    bool counted;
    bool cleans_up; /* short, and made (once) also after s3_give_up */
} s3_request;

typedef struct s3_answer {
    long status;      /* 0: no answer came */
    char code[64];    /* of an error: "NoSuchBucket"; "" where it has none */
    char etag[128];   /* with its quotes */
    int64_t bytes;    /* Content-Length; -1: unknown */
    bool tried_again; /* an earlier try may have succeeded unseen */
    text_buffer body;
} s3_answer;

/* LS_OK: the status is 2xx. The caller frees answer->body in either case. */
int s3_request_make(s3_client *self, const s3_request *request, s3_answer *answer, ls_error *error);

/* "ENDPOINT/bucket/key?query" in the one form in which every libcurl signs it right. */
int s3_request_url(const s3_settings *settings, const s3_request *request, text_buffer *out,
                   ls_error *error);

/* The text of the first <name> in `xml`, entities resolved, into out[capacity]; false: none. */
bool s3_xml_find(const char *xml, const char *name, char *out, size_t capacity);
void s3_xml_add(text_buffer *out, const char *text);

#endif
