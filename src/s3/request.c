#include "s3/request.h"

#include "base/clock.h"
#include "s3/hash.h"
#include "s3/settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { MOST_TEXT = 1 << 20 }; /* of an answer that goes into memory */

static const long CLEANING_MILLISECONDS = 5000; /* one try; somebody may wait for the end */
/* Amazon gives a role's new credentials 5 minutes before the old ones end. */
static const int64_t RENEWED_BEFORE = 300;        /* seconds */
static const double SECONDS_BETWEEN_RENEWALS = 5; /* the old ones may still be given */

/* Where an answer goes. */
typedef struct sink {
    const s3_client *client;
    const s3_request *request;
    s3_answer *answer;
} sink;

/* The body of a request's object into its file, all else into the answer. */
static size_t take_body(const char *bytes, size_t one, size_t count, void *context) {
    const sink *self = context;
    s3_answer *answer = self->answer;
    long status = 0;
    self->client->curl->getinfo(self->client->handle, CURLINFO_RESPONSE_CODE, &status);
    if (self->request->to && status >= 200 && status <= 299)
        return fwrite(bytes, one, count, self->request->to) * one;
    if (answer->body.length + count > MOST_TEXT)
        return 0;
    text_add_bytes(&answer->body, bytes, count);
    return answer->body.failed ? 0 : count * one;
}

static size_t take_header(const char *bytes, size_t one, size_t count, void *context) {
    static const char name[] = "etag:";
    s3_answer *answer = context;
    size_t length = one * count;
    if (length <= sizeof name || strncasecmp(bytes, name, sizeof name - 1) != 0)
        return length;
    const char *value = bytes + sizeof name - 1, *end = bytes + length;
    while (value < end && *value == ' ')
        value++;
    while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    snprintf(answer->etag, sizeof answer->etag, "%.*s", (int)(end - value), value);
    return length;
}

static bool gives_up(const s3_client *self, const s3_request *request) {
    return atomic_load(&self->gives_up) && !request->cleans_up;
}

static int look(void *context, curl_off_t all, curl_off_t now, curl_off_t up_all, curl_off_t up) {
    const sink *self = context;
    (void)all, (void)now, (void)up_all, (void)up;
    return gives_up(self->client, self->request);
}

static bool sends_body(const s3_request *request) {
    return strcmp(request->method, "PUT") == 0 || strcmp(request->method, "POST") == 0;
}

/* libcurl signs all of these. None may be of the form "Name:", which takes one of libcurl's own
 * out: 7.88 signs that as if it were sent. */
static struct curl_slist *headers_of(const s3_client *self, const s3_request *request) {
    char hash[S3_HASH_BYTES], line[4200];
    struct curl_slist *list = NULL;
    if (sends_body(request))
        list = self->curl->slist_append(list, "Content-Type: application/octet-stream");
    s3_hash(request->body, request->body_bytes, hash);
    snprintf(line, sizeof line, "x-amz-content-sha256: %s", hash);
    list = self->curl->slist_append(list, line);
    snprintf(line, sizeof line, "x-amz-security-token: %s", self->settings.session_token);
    return self->settings.session_token[0] ? self->curl->slist_append(list, line) : list;
}

static void set_method(const s3_client *self, const s3_request *request) {
    const curl_library *curl = self->curl;
    if (sends_body(request)) {
        curl->setopt(self->handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
        curl->setopt(self->handle, CURLOPT_POSTFIELDS, request->body ? request->body : "");
    } else {
        curl->setopt(self->handle, CURLOPT_HTTPGET, 1L);
    }
    if (strcmp(request->method, "HEAD") == 0)
        curl->setopt(self->handle, CURLOPT_NOBODY, 1L);
    else
        curl->setopt(self->handle, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_up(s3_client *self, const char *url, sink *to) {
    const curl_library *curl = self->curl;
    const s3_settings *s = &self->settings;
    char sign[128];
    snprintf(sign, sizeof sign, "aws:amz:%s:s3", s->region);
    curl->reset(self->handle);
    self->reason[0] = '\0';
    curl->setopt(self->handle, CURLOPT_ERRORBUFFER, self->reason);
    curl->setopt(self->handle, CURLOPT_URL, url);
    curl->setopt(self->handle, CURLOPT_AWS_SIGV4, sign);
    curl->setopt(self->handle, CURLOPT_USERNAME, s->access_key);
    curl->setopt(self->handle, CURLOPT_PASSWORD, s->secret_key);
    curl->setopt(self->handle, CURLOPT_NOSIGNAL, 1L);
    curl->setopt(self->handle, CURLOPT_CONNECTTIMEOUT_MS, (long)(1000 * s->stall_seconds));
    curl->setopt(self->handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl->setopt(self->handle, CURLOPT_LOW_SPEED_TIME,
                 s->stall_seconds < 1 ? 1L : (long)s->stall_seconds);
    curl->setopt(self->handle, CURLOPT_NOPROGRESS, 0L);
    curl->setopt(self->handle, CURLOPT_XFERINFOFUNCTION, look);
    curl->setopt(self->handle, CURLOPT_XFERINFODATA, to);
    if (to->request->counted)
        curl->setopt(self->handle, CURLOPT_FRESH_CONNECT, 1L);
    if (to->request->cleans_up)
        curl->setopt(self->handle, CURLOPT_TIMEOUT_MS, CLEANING_MILLISECONDS);
    curl->setopt(self->handle, CURLOPT_HEADERFUNCTION, take_header);
    curl->setopt(self->handle, CURLOPT_HEADERDATA, to->answer);
    curl->setopt(self->handle, CURLOPT_WRITEFUNCTION, take_body);
    curl->setopt(self->handle, CURLOPT_WRITEDATA, to);
    set_method(self, to->request);
}

/* One try. */
static CURLcode perform(s3_client *self, const s3_request *request, const char *url,
                        s3_answer *answer) {
    sink to = {self, request, answer};
    struct curl_slist *headers = headers_of(self, request);
    curl_off_t bytes = -1;
    text_free(&answer->body);
    answer->status = 0, answer->code[0] = answer->etag[0] = '\0';
    set_up(self, url, &to);
    self->curl->setopt(self->handle, CURLOPT_HTTPHEADER, headers);
    CURLcode code = self->curl->perform(self->handle);
    self->curl->getinfo(self->handle, CURLINFO_RESPONSE_CODE, &answer->status);
    self->curl->getinfo(self->handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &bytes);
    answer->bytes = (int64_t)bytes;
    self->curl->slist_free_all(headers);
    s3_xml_find(answer->body.bytes, "Code", answer->code, sizeof answer->code);
    return code;
}

static bool succeeded(const s3_request *request, CURLcode code, const s3_answer *answer) {
    if (code != CURLE_OK || answer->status < 200 || answer->status > 299)
        return false;
    return !request->must_have ||
           (answer->body.bytes && strstr(answer->body.bytes, request->must_have));
}

/* Whether the same request may be answered otherwise in a moment. */
static bool may_mend(const s3_client *self, CURLcode code, const s3_answer *answer) {
    static const char *const codes[] = {"RequestTimeout", "SlowDown", "InternalError",
                                        "RequestTimeTooSkewed"};
    if (atomic_load(&self->gives_up))
        return false;
    for (size_t each = 0; each < sizeof codes / sizeof codes[0]; each++)
        if (strcmp(answer->code, codes[each]) == 0)
            return true;
    if (code != CURLE_OK)
        return code != CURLE_WRITE_ERROR && code != CURLE_URL_MALFORMAT &&
               code != CURLE_UNSUPPORTED_PROTOCOL && code != CURLE_PEER_FAILED_VERIFICATION &&
               code != CURLE_OUT_OF_MEMORY;
    return answer->status >= 500 || answer->status == 429 || answer->status == 408 ||
           (answer->status >= 200 && answer->status <= 299);
}

/* Twice as long each time, up to 20 s, and not the same for all that wait. */
static void rest(const s3_client *self, int tries) {
    double seconds = self->settings.first_pause_seconds;
    for (int more = 1; more < tries && seconds < 20; more++)
        seconds *= 2;
    seconds *= 0.5 + 0.5 * (double)((uint64_t)(clock_seconds() * 1e9) % 1000) / 1000;
    for (double until = clock_seconds() + seconds;
         clock_seconds() < until && !atomic_load(&self->gives_up);)
        nanosleep(&(struct timespec){0, 20000000}, NULL);
}

/* A role's credentials anew where they end soon, or where the server says that they have: true. The
 * service's own token is a new one each time. */
static bool renew(s3_client *self, const char *code) {
    s3_settings *settings = &self->settings;
    bool ended = strcmp(code, "ExpiredToken") == 0 || strcmp(code, "TokenRefreshRequired") == 0;
    bool soon = settings->expires > 0 && settings->expires - RENEWED_BEFORE < (int64_t)time(NULL);
    if (!settings->of_role || !(ended || soon) ||
        (self->renewed_seconds > 0 &&
         clock_seconds() < self->renewed_seconds + SECONDS_BETWEEN_RENEWALS))
        return false;
    char before[sizeof settings->session_token];
    ls_error none = {0};
    memcpy(before, settings->session_token, sizeof before);
    s3_metadata_find(settings, &none);
    self->renewed_seconds = clock_seconds();
    bool renewed = strcmp(before, settings->session_token) != 0;
    explicit_bzero(before, sizeof before);
    return renewed;
}

static int fail(const s3_client *self, const s3_request *request, CURLcode code,
                const s3_answer *answer, int tries, ls_error *error) {
    char message[200], times[40] = "";
    if (tries > 1)
        snprintf(times, sizeof times, " (%d tries)", tries);
    if (gives_up(self, request))
        return ls_fail(error, LS_FAILED, "s3://%s/%.200s: %s given up", request->bucket,
                       request->key, request->method);
    if (code != CURLE_OK)
        return ls_fail(error, LS_FAILED, "s3://%s/%.200s: %s: %s%s", request->bucket, request->key,
                       request->method, self->reason[0] ? self->reason : self->curl->strerror(code),
                       times);
    s3_xml_find(answer->body.bytes, "Message", message, sizeof message);
    return ls_fail(error, LS_FAILED, "s3://%s/%.200s: %s: the server answered %ld %s%s%s%s",
                   request->bucket, request->key, request->method, answer->status, answer->code,
                   message[0] ? ": " : "", message, times);
}

static int try_until(s3_client *self, const s3_request *request, const char *url, s3_answer *answer,
                     ls_error *error) {
    CURLcode code = CURLE_OK;
    int tries = 0;
    do {
        if (tries > 0) {
            answer->tried_again = true;
            self->retries++;
            rest(self, tries);
        }
        if (request->to && (fflush(request->to) != 0 || ftruncate(fileno(request->to), 0) != 0 ||
                            fseek(request->to, 0, SEEK_SET) != 0))
            return ls_fail_errno(error, LS_FAILED, "cannot write");
        renew(self, "");
        code = perform(self, request, url, answer);
        tries++;
        if (succeeded(request, code, answer))
            return LS_OK;
    } while (tries < self->settings.attempts &&
             (may_mend(self, code, answer) || renew(self, answer->code)));
    return fail(self, request, code, answer, tries, error);
}

int s3_request_make(s3_client *self, const s3_request *request, s3_answer *answer,
                    ls_error *error) {
    text_buffer url = {0};
    *answer = (s3_answer){.bytes = -1};
    int status = s3_request_url(&self->settings, request, &url, error);
    if (status == LS_OK)
        status = try_until(self, request, url.bytes, answer, error);
    text_free(&url);
    return status;
}
