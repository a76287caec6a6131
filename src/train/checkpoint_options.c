#include "train/checkpoint_options.h"

#include "base/clock.h"
#include "base/text_buffer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AT(field) offsetof(checkpoint_options, field)

static const option options[] = {
    {"checkpoint-every", OPTION_TEXT, AT(every), "N|Ns|Nm|epoch", NULL, NULL, 0, 0,
     "Save the run's state each N steps, seconds or minutes, or after each epoch.", false},
    {"checkpoint-dir", OPTION_TEXT, AT(folder), "DIR", NULL, NULL, 0, 0,
     "Save into DIR, which all ranks share (checkpoints in --results when none is given).", false},
    {"keep", OPTION_INTEGER, AT(keep), "N", "3", NULL, 1, 1000000,
     "Keep the N newest checkpoints, and the best.", false},
    {"best", OPTION_CHOICE, AT(best), "METHOD", "none", BEST_CHOICES, 0, 0,
     "Save after each epoch that is the best so far by its test accuracy or loss, and keep it.",
     false},
    {"time-limit", OPTION_TEXT, AT(limit), "N|Nm|Nh|auto|none", "auto", NULL, 0, 0,
     "Save and end before N seconds, minutes or hours have passed; auto: before the Slurm job's "
     "end.",
     false},
    {"resume", OPTION_TEXT, AT(resume), "auto|DIR|s3://...|none", "auto", NULL, 0, 0,
     "Go on from that checkpoint; auto: the newest whole one of this run's, where there is one.",
     false},
    {"allow", OPTION_TEXT, AT(allow), "NAMES", NULL, NULL, 0, 0,
     "Go on though these options differ from the saved run's: names, with commas between.", false},
    {0}};

int checkpoint_add_options(option_groups *list, size_t offset, ls_error *error) {
    return option_add_group(list, (option_group){"Checkpoints", options, offset}, error);
}

/* A number above 0 and its unit, one of `units`, into its scale. */
static bool read_duration(const char *text, const char *units, const double *scales,
                          double *seconds) {
    char *unit = NULL;
    double value = parse_plain(text, &unit);
    const char *found = unit == text || !*unit || unit[1] ? NULL : strchr(units, *unit);
    if (!found || !isfinite(value) || value <= 0 || value > 1e9)
        return false;
    *seconds = value * scales[found - units];
    return true;
}

int checkpoint_time_limit(const checkpoint_options *given, double *seconds, ls_error *error) {
    static const double scales[] = {1, 60, 3600};
    const char *text = given->limit, *end = getenv("SLURM_JOB_END_TIME");
    char with_unit[64];
    *seconds = INFINITY;
    if (strcmp(text, "none") == 0)
        return LS_OK;
    if (strcmp(text, "auto") == 0) {
        double at = end ? parse_plain(end, NULL) : 0;
        if (at > 0)
            *seconds = fmax(at - (double)time(NULL), 1) + clock_since_process_start_seconds();
        return LS_OK;
    }
    format_plain(with_unit, sizeof with_unit, "%.60ss", text); /* a bare number is seconds */
    if (read_duration(text, "smh", scales, seconds) ||
        read_duration(with_unit, "smh", scales, seconds))
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "--time-limit: expected a number of seconds, minutes ('90m') or hours ('2h'), "
                   "auto or none, found '%.80s'",
                   text);
}

int checkpoint_schedule(const checkpoint_options *given, save_schedule *out, ls_error *error) {
    const char *text = given->every;
    static const double scales[] = {1, 60};
    char *unit = NULL;
    *out = (save_schedule){0};
    if (!text)
        return LS_OK;
    if (strcmp(text, "epoch") == 0) {
        out->epochs = true;
        return LS_OK;
    }
    double value = parse_plain(text, &unit);
    bool number = unit != text && isfinite(value) && value > 0 && value <= 1e9;
    if (number && *unit == '\0' && value == floor(value))
        out->steps = (int64_t)value;
    else if (!read_duration(text, "sm", scales, &out->seconds))
        return ls_fail(error, LS_BAD_INPUT,
                       "--checkpoint-every: expected a number of steps, seconds ('30s') or minutes "
                       "('5m'), or 'epoch', found '%.80s'",
                       text);
    return LS_OK;
}
