#include "s3/s3.h"

#include <ctype.h>
#include <string.h>

/* Amazon's rules for buckets, as far as they keep a name out of trouble in a URL. */
static bool is_bucket(const char *name, size_t length) {
    if (length < 3 || length > 63)
        return false;
    for (size_t index = 0; index < length; index++) {
        unsigned char c = (unsigned char)name[index];
        bool inner = index > 0 && index + 1 < length;
        if (!islower(c) && !isdigit(c) && !(inner && (c == '-' || c == '.')))
            return false;
    }
    return true;
}

/* No control characters, and no "." or ".." between slashes, which are resolved on the way. */
static bool is_key(const char *text) {
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c == 0x7F)
            return false;
    for (; *text; text += strspn(text, "/")) {
        size_t length = strcspn(text, "/");
        if ((length == 1 || length == 2) && strspn(text, ".") >= length)
            return false;
        text += length;
    }
    return true;
}

int s3_place_parse(const char *option, const char *url, s3_place *out, ls_error *error) {
    static const char scheme[] = "s3://";
    *out = (s3_place){0};
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected s3://BUCKET/PREFIX, found '%.200s'",
                       option, url);
    const char *bucket = url + sizeof scheme - 1;
    size_t length = strcspn(bucket, "/");
    if (!is_bucket(bucket, length))
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: a bucket's name has 3 to 63 small letters, digits, '-' and '.', found "
                       "'%.*s'",
                       option, length > 100 ? 100 : (int)length, bucket);
    memcpy(out->bucket, bucket, length);
    const char *prefix = bucket + length;
    prefix += strspn(prefix, "/");
    size_t used = strlen(prefix);
    while (used > 0 && prefix[used - 1] == '/')
        used--;
    if (used > 900 || !is_key(prefix))
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected a prefix of at most 900 bytes, without '.' or '..' in its "
                       "path",
                       option);
    memcpy(out->prefix, prefix, used);
    return LS_OK;
}
