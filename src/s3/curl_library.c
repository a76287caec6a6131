#include "s3/curl_library.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

static const char *const files[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};

static bool take(void *library, const char *name, void *out) {
    void *symbol = dlsym(library, name);
    memcpy(out, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool take_all(void *library, curl_library *out) {
    return take(library, "curl_global_init", &out->global_init) &&
           take(library, "curl_easy_init", &out->easy_init) &&
           take(library, "curl_easy_setopt", &out->setopt) &&
           take(library, "curl_easy_perform", &out->perform) &&
           take(library, "curl_easy_getinfo", &out->getinfo) &&
           take(library, "curl_easy_reset", &out->reset) &&
           take(library, "curl_easy_cleanup", &out->cleanup) &&
           take(library, "curl_slist_append", &out->slist_append) &&
           take(library, "curl_slist_free_all", &out->slist_free_all) &&
           take(library, "curl_easy_strerror", &out->strerror);
}

/* Before 7.75 the option is unknown; a build may be without it. */
static bool signs(const curl_library *library) {
    CURL *handle = library->easy_init();
    bool known = handle && library->setopt(handle, CURLOPT_AWS_SIGV4, "aws:amz") == CURLE_OK;
    if (handle)
        library->cleanup(handle);
    return known;
}

int curl_library_load(const curl_library **out, ls_error *error) {
    static curl_library library;
    static bool loaded;
    void *found = NULL;
    for (size_t file = 0; !loaded && !found && file < sizeof files / sizeof files[0]; file++)
        found = dlopen(files[file], RTLD_NOW | RTLD_LOCAL);
    if (!loaded && !found)
        return ls_fail(error, LS_BAD_INPUT, "S3 needs libcurl.so.4, which is not installed here");
    if (!loaded && (!take_all(found, &library) ||
                    library.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !signs(&library)))
        return ls_fail(error, LS_BAD_INPUT,
                       "this machine's libcurl cannot sign requests to S3 (7.75 or later does)");
    loaded = true;
    *out = &library;
    return LS_OK;
}
