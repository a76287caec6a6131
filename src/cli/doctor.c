/* lockstep doctor: what is wrong with a launch, its nodes and its folders, and how to mend it. */
#include "doctor/doctor.h"

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/ranks.h"
#include "launch/launch.h"
#include "launch/lifeline.h"

#include <stdlib.h>

#define AT(field) offsetof(doctor_settings, field)

static const option options[] = {
    {"data", OPTION_TEXT, AT(data), "DIR", NULL, NULL, 0, 0,
     "Folder of shards that every rank should be able to read.", false},
    {"results", OPTION_TEXT, AT(results), "DIR", NULL, NULL, 0, 0,
     "Folder that rank 0 should be able to write into, or to make.", false},
    {"device", OPTION_CHOICE, AT(device.device), "DEVICE", "auto", DEVICE_CHOICES, 0, 0,
     "As of `train`.", false},
    {"threads", OPTION_INTEGER, AT(device.threads), "N", "0", NULL, 0, 1024, "As of `train`.",
     true},
    {"oversubscribe", OPTION_FLAG, AT(device.oversubscribe), NULL, NULL, NULL, 0, 0,
     "Two ranks on one core are a warning only.", false},
    {"share-gpu", OPTION_FLAG, AT(device.share_gpu), NULL, NULL, NULL, 0, 0,
     "Two ranks on one GPU are a warning only.", false},
    {"json", OPTION_FLAG, AT(json), NULL, NULL, NULL, 0, 0,
     "Print one JSON document in place of lines.", false},
    {0}};

/* A doctor is not waited for as long as a run is; a user's own numbers stand. */
static void shorten_patience(void) {
    setenv("LOCKSTEP_START_SECONDS", "30", 0);
    setenv("LOCKSTEP_STALL_SECONDS", "20", 0);
}

static int print(const findings *found, const doctor_settings *settings, const launch *me,
                 ls_error *error) {
    text_buffer text = {0};
    if (settings->json)
        findings_print_json(found, me, &text);
    else
        findings_print(found, me, &text);
    int status = text_buffer_check(&text, error);
    if (status == LS_OK)
        status = output_write(&text, NULL, error);
    text_free(&text);
    return status;
}

/* The findings are the text: nothing more is said. */
static int failed(ls_error *error) {
    *error = (ls_error){.code = LS_BAD_LAUNCH};
    return LS_BAD_LAUNCH;
}

/* Each rank finds the same fault, and the one that speaks has its text. */
static int report_failed_launch(const doctor_settings *settings, ls_error *error) {
    findings found;
    ls_error ignored = {0};
    if (error->code != LS_BAD_LAUNCH || !error->text[0])
        return error->code;
    doctor_of_failed_launch(error, &found);
    LS_TRY(print(&found, settings, NULL, &ignored));
    return failed(error);
}

static int run(const command *self, int argc, char **argv, ls_error *error) {
    static findings found;
    doctor_settings settings = {0};
    launch me;
    operands rest;
    bool over, json = option_given(argc, argv, "json"); /* parsing reorders argv */
    shorten_patience();
    LS_TRY(lifeline_install_signals(error));
    if (launch_join(&me, error) != LS_OK) {
        settings.json = json;
        return report_failed_launch(&settings, error);
    }
    LS_TRY(ranks_parse(self, &me, argc, argv, &settings, &rest, &over, error));
    if (over)
        return LS_OK;
    LS_TRY(doctor_examine(&me, &settings, &found, error));
    if (me.rank == 0)
        LS_TRY(print(&found, &settings, &me, error));
    LS_TRY(launch_finish(&me, error));
    return found.failures ? failed(error) : LS_OK;
}

const command command_doctor = {
    .name = "doctor",
    .usage = "",
    .summary = "Check a launch, its nodes and folders; say what mends them.",
    .details =
        "Started as `train` would be: by srun or mpirun on all ranks, or alone. Looks, in a few\n"
        "seconds, at PMIx, the ranks' places, cores and GPUs, the network, memory, files and\n"
        "clocks, and prints a line for each: ok, warning or failure, and below it the line to\n"
        "write or to type. Exit code 0 where nothing fails, 3 where something does.",
    .groups = (const option_group[]){{NULL, options, 0}, {0}},
    .operands_minimum = 0,
    .operands_maximum = 0,
    .run = run,
};
