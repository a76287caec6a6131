/* Credentials of an instance's role: Amazon's instance metadata service, version 2. */
#include "base/text_buffer.h"
#include "s3/curl_library.h"
#include "s3/settings.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_TEXT = 16384 };

static size_t take(const char *bytes, size_t one, size_t count, void *context) {
    text_buffer *out = context;
    if (out->length + count > MOST_TEXT)
        return 0;
    text_add_bytes(out, bytes, count);
    return out->failed ? 0 : one * count;
}

/* True: 200, and its body. `header` may be NULL. Freed by the caller in either case. */
static bool ask(const curl_library *curl, const char *method, const char *url, const char *header,
                text_buffer *out) {
    CURL *handle = curl->easy_init();
    struct curl_slist *headers = header ? curl->slist_append(NULL, header) : NULL;
    long status = 0;
    *out = (text_buffer){0};
    if (!handle)
        return false;
    curl->setopt(handle, CURLOPT_URL, url);
    curl->setopt(handle, CURLOPT_CUSTOMREQUEST, method);
    curl->setopt(handle, CURLOPT_HTTPHEADER, headers);
    curl->setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl->setopt(handle, CURLOPT_PROXY, ""); /* it is this machine's own */
    curl->setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, 1000L);
    curl->setopt(handle, CURLOPT_TIMEOUT_MS, 3000L);
    curl->setopt(handle, CURLOPT_WRITEFUNCTION, take);
    curl->setopt(handle, CURLOPT_WRITEDATA, out);
    CURLcode code = curl->perform(handle);
    curl->getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    curl->cleanup(handle);
    curl->slist_free_all(headers);
    return code == CURLE_OK && status == 200 && out->bytes;
}

/* The text behind "name" in a flat JSON object, which is what the service gives. */
static bool find(const char *json, const char *name, char *out, size_t capacity) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    const char *at = strstr(json, quoted);
    if (!at)
        return false;
    at += strlen(quoted);
    at += strspn(at, " \t\r\n:");
    size_t length = *at == '"' ? strcspn(at + 1, "\"\\") : 0;
    if (length == 0 || length >= capacity || at[1 + length] != '"')
        return false;
    memcpy(out, at + 1, length);
    out[length] = '\0';
    return true;
}

/* "2026-11-30T18:00:00Z"; 0 where it is no such time. */
static int64_t time_of(const char *text) {
    struct tm parts = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    return end && *end == 'Z' ? (int64_t)timegm(&parts) : 0;
}

static void take_credentials(const char *json, s3_settings *out) {
    s3_settings made = *out;
    char expires[64] = "";
    if (find(json, "AccessKeyId", made.access_key, sizeof made.access_key) &&
        find(json, "SecretAccessKey", made.secret_key, sizeof made.secret_key) &&
        find(json, "Token", made.session_token, sizeof made.session_token)) {
        find(json, "Expiration", expires, sizeof expires);
        made.expires = time_of(expires);
        made.of_role = true;
        *out = made;
    }
    explicit_bzero(&made, sizeof made);
}

static void take_role(const curl_library *curl, const char *base, const char *header,
                      s3_settings *out) {
    char url[1024];
    text_buffer role, json;
    snprintf(url, sizeof url, "%.900s/latest/meta-data/iam/security-credentials/", base);
    if (ask(curl, "GET", url, header, &role)) {
        role.bytes[strcspn(role.bytes, "\r\n")] = '\0';
        snprintf(url, sizeof url, "%.700s/latest/meta-data/iam/security-credentials/%.200s", base,
                 role.bytes);
        if (ask(curl, "GET", url, header, &json))
            take_credentials(json.bytes, out);
        text_free(&json);
    }
    text_free(&role);
}

int s3_metadata_find(s3_settings *out, ls_error *error) {
    const char *given = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *base = given && given[0] ? given : "http://169.254.169.254";
    const curl_library *curl;
    char url[1024], header[512];
    text_buffer token;
    LS_TRY(curl_library_load(&curl, error));
    snprintf(url, sizeof url, "%.900s/latest/api/token", base);
    if (ask(curl, "PUT", url, "X-aws-ec2-metadata-token-ttl-seconds: 21600", &token)) {
        snprintf(header, sizeof header, "X-aws-ec2-metadata-token: %.400s", token.bytes);
        take_role(curl, base, header, out);
    }
    text_free(&token);
    return LS_OK;
}
