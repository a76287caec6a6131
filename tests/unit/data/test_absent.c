/* What a build without an optional library says: these files take the place of the others there. */
#include "../check.h"
#include "data/jpeg.h"
#include "report/tensorboard/events_file.h"
#include "s3/s3.h"
#include "safetensors/header.h"

#include <string.h>

int main(void) {
    ls_error error = {0};
    jpeg_image image = {.pixels = NULL};
    event_file *events = NULL;
    CHECK(jpeg_check(&error) == LS_BAD_INPUT && strstr(error.text, "-Djpeg=enabled"), "%s",
          error.text);
    CHECK(jpeg_read("a.jpg", 32, &image, &error) == LS_BAD_INPUT && !image.pixels);
    check_case("no libjpeg: a line that names it");
    error = (ls_error){0};
    CHECK(strcmp(event_files_default, "off") == 0);
    CHECK(event_file_open(".", "host", &events, &error) == LS_BAD_INPUT && !events);
    CHECK(strstr(error.text, "--tensorboard on") && strstr(error.text, "protobuf-c"), "%s",
          error.text);
    check_case("no protobuf-c: off by default, and a line where it is asked for");
    error = (ls_error){0};
    safetensors_header header;
    CHECK(safetensors_parse("a", "{}", 2, 0, 0, &header, &error) == LS_BAD_INPUT);
    CHECK(strstr(error.text, "jansson") && strstr(error.text, "-Dsafetensors=enabled"), "%s",
          error.text);
    check_case("no jansson: a line that names it");
    error = (ls_error){0};
    s3_settings settings;
    s3_client *client = NULL;
    CHECK(s3_settings_find(&settings, &error) == LS_BAD_INPUT);
    CHECK(strstr(error.text, "libcurl") && strstr(error.text, "-Ds3=enabled"), "%s", error.text);
    CHECK(s3_open(&settings, &client, &error) == LS_BAD_INPUT && !client);
    check_case("no libcurl: a line that names it");
    return check_done();
}
