/* TensorBoard's files: the framing against bytes that TensorBoard's own writer made, and what the
 * file does at its limits. What TensorBoard's reader makes of a run: tests/format/events.py. */
#include "../check.h"
#include "report/tensorboard/events_file.h"
#include "report/tensorboard/events_record.h"
#include "report_fixture.h"

#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void framing(void) {
    /* Of tensorboard 2.21's record writer: Event(wall_time=1234.5, file_version="brain.Event:2").
     */
    static const uint8_t expected[] = {0x18, 0,    0,    0,   0,   0,   0,    0,    0xa3, 0x7f,
                                       0x4b, 0x22, 0x09, 0,   0,   0,   0,    0,    0x4a, 0x93,
                                       0x40, 0x1a, 0x0d, 'b', 'r', 'a', 'i',  'n',  '.',  'E',
                                       'v',  'e',  'n',  't', ':', '2', 0x65, 0xb8, 0xd3, 0xfb};
    uint8_t record[sizeof expected] = {0};
    memcpy(record + EVENT_RECORD_HEAD, expected + EVENT_RECORD_HEAD, 0x18);
    CHECK(event_record_frame(record, 0x18) == sizeof expected, "its length");
    CHECK(memcmp(record, expected, sizeof expected) == 0, "its bytes");
    uint32_t crc = event_record_masked_crc("123456789", 9);
    CHECK(crc == 0xc78ab0e5u, "%08x", crc);
    check_case("a record is what TensorBoard's writer makes of the same data");
}

/* The length of the records of FOLDER's event file where they all hold what their heads and tails
 * say; else -1. `count`: how many. */
static long whole_records(const char *folder, int *count) {
    char pattern[256];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/" EVENTS_FILE ".*", folder);
    *count = 0;
    if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc != 1)
        return -1;
    text_buffer file = fixture_read(found.gl_pathv[0]);
    globfree(&found);
    size_t at = 0;
    while (at + EVENT_RECORD_HEAD + EVENT_RECORD_TAIL <= file.length) {
        uint64_t length;
        memcpy(&length, file.bytes + at, sizeof length);
        if (length > file.length - at - EVENT_RECORD_HEAD - EVENT_RECORD_TAIL)
            break;
        uint8_t *again = malloc(EVENT_RECORD_HEAD + length + EVENT_RECORD_TAIL);
        memcpy(again, file.bytes + at, EVENT_RECORD_HEAD + length);
        size_t whole = event_record_frame(again, length);
        bool same = memcmp(again, file.bytes + at, whole) == 0;
        free(again);
        if (!same)
            break;
        at += whole;
        ++*count;
    }
    long bytes = at == file.length ? (long)at : -1;
    text_free(&file);
    return bytes;
}

static void many_and_long(void) {
    ls_error error = {0};
    event_file *file = NULL;
    int count = 0;
    mkdir("long", 0777);
    CHECK(event_file_open("long", "host", &file, &error) == LS_OK, "%s", error.text);
    long start = whole_records("long", &count);
    CHECK(start > 0 && count == 2, "%ld bytes, %d records", start, count);
    /* Past the buffer that is there for scalars. */
    char *text = malloc(200001);
    memset(text, 'x', 200000);
    text[200000] = '\0';
    CHECK(event_file_text(file, 0, "run/header", text, &error) == LS_OK, "%s", error.text);
    free(text);
    for (int step = 1; step <= 5000; step++)
        event_file_scalars(file, step, &(event_scalar){"loss/step", 1.0 / step}, 1, &error);
    CHECK(event_file_flush(file, &error) == LS_OK, "%s", error.text);
    long bytes = whole_records("long", &count);
    CHECK(bytes > 200000 && count == 5003, "%ld bytes, %d records", bytes, count);
    event_file_close(file);
    check_case("long texts and many scalars are whole records");
}

static void nothing_measured(void) {
    const event_scalar scalars[] = {{"a/b", NAN}, {"a/c", 1}};
    ls_error error = {0};
    event_file *file = NULL;
    int count = 0;
    long bytes[3];
    mkdir("nan", 0777);
    CHECK(event_file_open("nan", "host", &file, &error) == LS_OK, "%s", error.text);
    for (int used = 0; used < 3; used++) {
        event_file_flush(file, &error);
        bytes[used] = whole_records("nan", &count);
        event_file_scalars(file, 1, used == 0 ? scalars : scalars + 1, used == 0 ? 2 : 1, &error);
    }
    CHECK(bytes[1] - bytes[0] == bytes[2] - bytes[1], "%ld, %ld, %ld", bytes[0], bytes[1],
          bytes[2]);
    event_file_close(file);
    check_case("what was not measured is left out");
}

static void cannot_be_written(void) {
    ls_error error = {0};
    event_file *file = NULL;
    CHECK(event_file_open("nowhere", "host", &file, &error) == LS_FAILED && !file, "it opened");
    CHECK(strstr(error.text, "nowhere/" EVENTS_FILE) && strstr(error.text, ": cannot write: "),
          "%s", error.text);
    error = (ls_error){0};
    char folder[4097];
    memset(folder, 'x', sizeof folder - 1);
    folder[sizeof folder - 1] = '\0';
    CHECK(event_file_open(folder, "host", &file, &error) == LS_BAD_INPUT && !file, "%s",
          error.text);
    check_case("a file that cannot be written: a line that names it");
}

static void a_run(void) {
    fixture run;
    ls_error error = {0};
    int count = 0;
    fixture_make(&run, "single", 1, 64, 3);
    run.facts.tensorboard = true;
    CHECK(fixture_write(&run, "run", &error) == LS_OK, "%s", error.text);
    long bytes = whole_records("run", &count);
    /* Version, start, header, an event an epoch. */
    CHECK(bytes > 0 && count == 6, "%ld bytes, %d records", bytes, count);
    run.facts.tensorboard = false;
    CHECK(fixture_write(&run, "off", &error) == LS_OK, "%s", error.text);
    CHECK(whole_records("off", &count) == -1 && count == 0, "there is a file");
    check_case("a run's file; none where none was asked for");
}

int main(void) {
    fixture_enter_folder();
    framing();
    many_and_long();
    nothing_measured();
    cannot_be_written();
    a_run();
    fixture_leave_folder();
    return check_done();
}
