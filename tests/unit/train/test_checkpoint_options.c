/* When a run saves, and how long it may run, from what a user writes. */
#include "../check.h"
#include "train/checkpoint_options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void schedules(void) {
    static const struct {
        const char *text;
        int status;
        save_schedule expected;
    } cases[] = {{NULL, LS_OK, {0}},
                 {"200", LS_OK, {.steps = 200}},
                 {"30s", LS_OK, {.seconds = 30}},
                 {"0.5s", LS_OK, {.seconds = 0.5}},
                 {"5m", LS_OK, {.seconds = 300}},
                 {"epoch", LS_OK, {.epochs = true}},
                 {"0", LS_BAD_INPUT, {0}},
                 {"-3", LS_BAD_INPUT, {0}},
                 {"1.5", LS_BAD_INPUT, {0}},
                 {"5h", LS_BAD_INPUT, {0}},
                 {"5mm", LS_BAD_INPUT, {0}},
                 {"nans", LS_BAD_INPUT, {0}},
                 {"", LS_BAD_INPUT, {0}},
                 {"epochs", LS_BAD_INPUT, {0}}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        checkpoint_options given = {.every = cases[index].text};
        save_schedule found;
        ls_error error = {0};
        int status = checkpoint_schedule(&given, &found, &error);
        CHECK(status == cases[index].status, "'%s': %s", cases[index].text, error.text);
        CHECK(status != LS_OK || (found.steps == cases[index].expected.steps &&
                                  found.seconds == cases[index].expected.seconds &&
                                  found.epochs == cases[index].expected.epochs),
              "'%s'", cases[index].text);
        CHECK(status == LS_OK || strstr(error.text, "--checkpoint-every"), "%s", error.text);
    }
    check_case("--checkpoint-every: steps, seconds, minutes, epochs");
}

static double limit_of(const char *text, int *status) {
    checkpoint_options given = {.limit = text};
    double seconds = NAN;
    ls_error error = {0};
    *status = checkpoint_time_limit(&given, &seconds, &error);
    return seconds;
}

static void limits(void) {
    int status;
    char end[32];
    unsetenv("SLURM_JOB_END_TIME");
    CHECK(limit_of("none", &status) == INFINITY && status == LS_OK);
    CHECK(limit_of("auto", &status) == INFINITY && status == LS_OK);
    CHECK(limit_of("90", &status) == 90 && status == LS_OK);
    CHECK(limit_of("90s", &status) == 90 && status == LS_OK);
    CHECK(limit_of("2m", &status) == 120 && status == LS_OK);
    CHECK(limit_of("1.5h", &status) == 5400 && status == LS_OK);
    limit_of("soon", &status);
    CHECK(status == LS_BAD_INPUT);
    limit_of("-1m", &status);
    CHECK(status == LS_BAD_INPUT);
    snprintf(end, sizeof end, "%lld", (long long)time(NULL) + 100);
    setenv("SLURM_JOB_END_TIME", end, 1);
    double left = limit_of("auto", &status);
    CHECK(left > 90 && left < 110, "%g", left);
    CHECK(limit_of("none", &status) == INFINITY);
    check_case("--time-limit: seconds, minutes, hours, or the job's end");
}

int main(void) {
    schedules();
    limits();
    return check_done();
}
