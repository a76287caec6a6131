/* Texts of S3: places, the URLs that are signed, answers. */
#include "../unit/check.h"
#include "s3/request.h"

#include <stdlib.h>
#include <string.h>

static void check_url(const char *endpoint, const s3_request *request, const char *wanted) {
    s3_settings settings = {.region = "eu-west-1"};
    text_buffer url = {0};
    ls_error error = {0};
    strcpy(settings.endpoint, endpoint);
    CHECK(s3_request_url(&settings, request, &url, &error) == LS_OK, "%s", error.text);
    CHECK(strcmp(url.bytes, wanted) == 0, "%s", url.bytes);
    text_free(&url);
}

static void test_urls(void) {
    check_url("", &(s3_request){.bucket = "runs", .key = "a/b c"},
              "https://runs.s3.eu-west-1.amazonaws.com/a/b%20c");
    check_url("", &(s3_request){.bucket = "my.runs", .key = "a"},
              "https://s3.eu-west-1.amazonaws.com/my.runs/a");
    check_url("http://h:9000",
              &(s3_request){.bucket = "runs", .key = "a", .query = {{"uploads", ""}}},
              "http://h:9000/runs/a?uploads=");
    check_url("http://h:9000",
              &(s3_request){.bucket = "runs",
                            .key = "\xC3\xA4",
                            .query = {{"uploadId", "2~a+b/c=="}, {"partNumber", "7"}}},
              "http://h:9000/runs/%C3%A4?partNumber=7&uploadId=2~a%2Bb%2Fc%3D%3D");
    check_case("a URL is canonical: encoded once, sorted, each name with its '='");
}

static void test_places(void) {
    static const char *const bad[] = {"http://a",        "s3:/abc/d",   "s3://",
                                      "s3://ab/c",       "s3://Runs/a", "s3://-abc/x",
                                      "s3://a_bc/x",     "s3://abc./x", "s3://abc/a\nb",
                                      "s3://abc/a/../b", "s3://abc/."};
    s3_place place;
    ls_error error = {0};
    CHECK(s3_place_parse("--upload", "s3://my.runs-7//a/b//", &place, &error) == LS_OK);
    CHECK(strcmp(place.bucket, "my.runs-7") == 0 && strcmp(place.prefix, "a/b") == 0, "%s",
          place.prefix);
    CHECK(s3_place_parse("--upload", "s3://runs", &place, &error) == LS_OK && !place.prefix[0]);
    CHECK(s3_place_parse("--upload", "s3://runs/.a/b..c/...", &place, &error) == LS_OK);
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        error = (ls_error){0};
        CHECK(s3_place_parse("--upload", bad[index], &place, &error) == LS_BAD_INPUT &&
                  strncmp(error.text, "--upload: ", 10) == 0,
              "%s: %s", bad[index], error.text);
    }
    check_case("places, and what is none");
}

static void test_xml(void) {
    char out[16];
    text_buffer xml = {0};
    CHECK(s3_xml_find("<a><ETag>&quot;1&amp;2&quot;</ETag></a>", "ETag", out, sizeof out));
    CHECK(strcmp(out, "\"1&2\"") == 0, "%s", out);
    CHECK(!s3_xml_find("<a><ETag>0123456789abcdef</ETag></a>", "ETag", out, sizeof out));
    CHECK(!s3_xml_find("<a><ETag>12", "ETag", out, sizeof out));
    CHECK(!s3_xml_find("<a/>", "ETag", out, sizeof out) && !out[0]);
    CHECK(!s3_xml_find(NULL, "ETag", out, sizeof out));
    s3_xml_add(&xml, "\"<1&2>'");
    CHECK(strcmp(xml.bytes, "&quot;&lt;1&amp;2&gt;&apos;") == 0, "%s", xml.bytes);
    text_free(&xml);
    check_case("elements of an answer, cut off or too long for their place");
}

int main(void) {
    test_urls();
    test_places();
    test_xml();
    return check_done();
}
