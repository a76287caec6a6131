/* The doctor: what a launch, its nodes, devices and folders are like, before anything long is
 * started on them. Every rank is examined, the facts are gathered, and rank 0 judges them: one
 * finding a check, with the line that mends it. The same checks, those that are quick and that
 * nothing later repeats, are made where a run starts. */
#ifndef LOCKSTEP_DOCTOR_DOCTOR_H
#define LOCKSTEP_DOCTOR_DOCTOR_H

#include "base/error.h"
#include "base/text_buffer.h"
#include "comm/comm.h"
#include "device/device.h"
#include "device/device_options.h"
#include "launch/launch.h"

#include <stdbool.h>
#include <stdint.h>

/* FINDING_SKIPPED: there was nothing to look at, or no way to. */
typedef enum { FINDING_SKIPPED, FINDING_OK, FINDING_WARNING, FINDING_FAILURE } finding_level;

typedef struct finding {
    const char *check; /* its name: "pmix" */
    finding_level level;
    char found[768]; /* one line */
    char mend[320];  /* the line to write or to type; "" where nothing is wrong */
} finding;

enum { MOST_FINDINGS = 32 };

typedef struct findings {
    int count, skipped, warnings, failures;
    finding list[MOST_FINDINGS];
    double seconds; /* that the examination took, on rank 0 */
} findings;

typedef struct doctor_settings {
    const char *data, *results; /* NULL: nothing is said about them */
    device_options device;
    bool json;
} doctor_settings;

/* All checks. Collective over all ranks, after launch_join; the numbers in *out are right on all
 * ranks, the list on rank 0. LS_OK also where checks fail. Binds the calling thread. */
int doctor_examine(launch *me, const doctor_settings *settings, findings *out, ls_error *error);

/* Where a run starts, on what it has opened already. Collective over control. */
int doctor_examine_start(launch *me, const doctor_settings *settings, comm *control,
                         const launch_binding *binding, const device *device, findings *out,
                         ls_error *error);

/* A launch that failed before the ranks were joined (launch_join's error) is a finding too. Not
 * collective: for the rank that has a text. */
void doctor_of_failed_launch(const ls_error *launch_error, findings *out);

/* A line a check, its mend below, and a line of totals; or one JSON document (RFC 8259). `me` may
 * be NULL: the launch failed. */
void findings_print(const findings *self, const launch *me, text_buffer *out);
void findings_print_json(const findings *self, const launch *me, text_buffer *out);

#endif
