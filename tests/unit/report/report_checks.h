/* Checks of what a run left. They count in the program's own file (check.h): a fixture of its own
 * could not fail. */
#ifndef LOCKSTEP_UNIT_REPORT_REPORT_CHECKS_H
#define LOCKSTEP_UNIT_REPORT_REPORT_CHECKS_H

#include "../check.h"
#include "report/read/finished_run.h"
#include "report_fixture.h"

#include <string.h>

/* fixture_write; what fails is a failed check. */
static inline void fixture_write_or_say(fixture *self, const char *folder) {
    ls_error error = {0};
    CHECK(fixture_write(self, folder, &error) == LS_OK, "%s: %s", folder, error.text);
}

/* Of a file's text. */
static inline void fixture_expect_file(const char *path, const char *expected) {
    text_buffer found = fixture_read(path);
    CHECK(strcmp(found.bytes, expected) == 0, "%s holds:\n%s", path, found.bytes);
    text_free(&found);
}

/* Of `count` columns of a run's summary: name and value. */
static inline void fixture_expect_columns(const char *folder, const char *const (*expected)[2],
                                          size_t count) {
    finished_run run;
    ls_error error = {0};
    CHECK(finished_run_read(&run, folder, &error) == LS_OK, "%s", error.text);
    for (size_t index = 0; index < count; index++) {
        const char *found = csv_get(&run.summary, 0, expected[index][0]);
        CHECK(found && strcmp(found, expected[index][1]) == 0, "%s: expected '%s', found '%s'",
              expected[index][0], expected[index][1], found ? found : "no such column");
    }
    finished_run_free(&run);
}

/* A run's log has these parts. */
static inline void fixture_expect_in_log(const char *folder, const char *const *parts,
                                         size_t count) {
    char path[256];
    snprintf(path, sizeof path, "%s/log.txt", folder);
    text_buffer log = fixture_read(path);
    for (size_t index = 0; index < count; index++)
        CHECK(strstr(log.bytes, parts[index]), "'%s' is not in:\n%s", parts[index], log.bytes);
    text_free(&log);
}

#define FIXTURE_COUNT(array) (sizeof(array) / sizeof(array)[0])

#endif
