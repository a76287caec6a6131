/* libcurl, loaded at run time (the room's own): the calls that are made of it. */
#ifndef LOCKSTEP_S3_CURL_LIBRARY_H
#define LOCKSTEP_S3_CURL_LIBRARY_H

#include "base/error.h"

#include <curl/curl.h>

typedef struct curl_library {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    CURLcode (*setopt)(CURL *handle, CURLoption option, ...); /* numbers are long */
    CURLcode (*perform)(CURL *handle);
    CURLcode (*getinfo)(CURL *handle, CURLINFO info, ...);
    void (*reset)(CURL *handle);
    void (*cleanup)(CURL *handle);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
    const char *(*strerror)(CURLcode code);
} curl_library;

/* The same every time. LS_BAD_INPUT where there is none, or one that cannot sign (before 7.75). */
int curl_library_load(const curl_library **out, ls_error *error);

#endif
