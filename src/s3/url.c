/* What libcurl signs is the URL's text as we hand it over; what a server signs is that text made
 * canonical. So it is made canonical here, and both agree. libcurl 7.88 neither sorts nor encodes
 * a query, nor adds the '=' that belongs to a name without a value: "?uploads",
 * "?uploadId=a&partNumber=1" and an id with a '+' are refused by a server, tried with each. Later
 * ones do, and leave what is canonical as it is, but for "%2B": 8.14 signs it as a blank, in any
 * form, so an upload id with a '+' would be refused with it; those of Amazon, MinIO and Ceph have
 * none. Paths are encoded once, '/' stays, which is what S3 wants, other than Amazon's other
 * services. CURLOPT_PATH_AS_IS is no way to keep "../": 8.14 signs nothing with it; s3_place_parse
 * refuses such names. Amazon's description: "Create a signed AWS API request". */
#include "s3/request.h"

#include <ctype.h>
#include <string.h>

static void encode(text_buffer *out, const char *text, const char *also_plain) {
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x80 && (isalnum(c) || strchr("-_.~", c) || strchr(also_plain, c)))
            text_add_bytes(out, text, 1);
        else
            text_add(out, "%%%02X", c);
    }
}

static void add_query(text_buffer *out, const s3_pair *query) {
    const s3_pair *sorted[S3_MOST_PAIRS];
    int count = 0;
    for (; count < S3_MOST_PAIRS && query[count].name; count++) {
        int place = count;
        for (; place > 0 && strcmp(sorted[place - 1]->name, query[count].name) > 0; place--)
            sorted[place] = sorted[place - 1];
        sorted[place] = &query[count];
    }
    for (int index = 0; index < count; index++) {
        text_add_bytes(out, index ? "&" : "?", 1);
        encode(out, sorted[index]->name, "");
        text_add_bytes(out, "=", 1);
        encode(out, sorted[index]->value, "");
    }
}

int s3_request_url(const s3_settings *settings, const s3_request *request, text_buffer *out,
                   ls_error *error) {
    /* A certificate for *.s3.amazonaws.com has no bucket with a dot. */
    bool by_path = settings->endpoint[0] || strchr(request->bucket, '.');
    if (settings->endpoint[0])
        text_add(out, "%s/%s", settings->endpoint, request->bucket);
    else if (by_path)
        text_add(out, "https://s3.%s.amazonaws.com/%s", settings->region, request->bucket);
    else
        text_add(out, "https://%s.s3.%s.amazonaws.com", request->bucket, settings->region);
    text_add(out, "/");
    encode(out, request->key, "/");
    add_query(out, request->query);
    return text_buffer_check(out, error);
}
