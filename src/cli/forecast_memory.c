/* lockstep forecast --memory: the bytes that a rank of a run would hold, by their use. */
#include "cli/forecast_settings.h"
#include "cli/output.h"
#include "launch/lifeline.h"
#include "report/text/number.h"
#include "report/text/table.h"
#include "train/memory_forecast.h"

#include <stddef.h>

typedef struct memory_settings {
    train_settings train;
    int64_t ranks, ranks_per_node, image_side, classes;
    bool memory;
} memory_settings;

#define AT(field) offsetof(memory_settings, field)

static const option own[] = {
    {"memory", OPTION_FLAG, AT(memory), NULL, NULL, NULL, 0, 0,
     "Say what memory a rank of a run of these options would hold.", false},
    {"ranks", OPTION_INTEGER, AT(ranks), "N", "1", NULL, 1, 1 << 20, "Of a run of N ranks.", false},
    {"ranks-per-node", OPTION_INTEGER, AT(ranks_per_node), "N", NULL, NULL, 1, 1 << 20,
     "Of N ranks on each node, for --shard-within node (all, when none is given).", false},
    {"image-side", OPTION_INTEGER, AT(image_side), "N", "224", NULL, 1, 1 << 14,
     "Of images of N x N pixels.", false},
    {"classes", OPTION_INTEGER, AT(classes), "N", "1000", NULL, 2, 1 << 20, "Of N classes.", false},
    {0}};

static void add(table *rows, const char *name, size_t bytes) {
    table_cell(rows, "%s", name);
    table_cell(rows, "%s MB", number((double)bytes / 1e6, 1).text);
}

static void describe(const memory_plan *plan, bool host, text_buffer *out) {
    static const table_column columns[] = {{"memory of a rank", true}, {"bytes", false}};
    table rows = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    size_t device = plan->loader.device;
    for (memory_kind use = 0; use < MEMORY_KINDS; use++) {
        add(&rows, memory_kind_name(use), plan->kinds[use]);
        device += plan->kinds[use];
    }
    add(&rows, "loader", plan->loader.host + plan->loader.device);
    add(&rows, "program", plan->program);
    if (!host)
        add(&rows, "in all, on the device", device);
    add(&rows, host ? "in all" : "in all, with the host's",
        device + plan->loader.host + plan->program);
    table_print(&rows, TABLE_TEXT, "", out);
    table_free(&rows);
    text_add(out, "without the samples that the loader keeps in memory, and the copy of the state "
                  "for checkpoints\n");
}

static int forecast(const memory_settings *s, ls_error *error) {
    memory_question question = {.settings = &s->train,
                                .ranks = (int)s->ranks,
                                .ranks_per_node = (int)s->ranks_per_node,
                                .side = (int)s->image_side,
                                .classes = (int)s->classes};
    memory_plan plan;
    text_buffer text = {0};
    bool host;
    LS_TRY(train_forecast_memory(&question, &plan, &host, error));
    describe(&plan, host, &text);
    int status = output_write(&text, NULL, error);
    text_free(&text);
    return status;
}

int forecast_run_memory(const command *self, int argc, char **argv, ls_error *error) {
    static option_group groups[TRAIN_MOST_GROUPS];
    option_groups list = {groups, TRAIN_MOST_GROUPS};
    memory_settings settings = {0};
    command as = {.name = self->name, .usage = "--memory", .groups = groups};
    operands rest;
    LS_TRY(lifeline_install_signals(error));
    LS_TRY(option_add_group(&list, (option_group){"Memory", own, 0}, error));
    LS_TRY(train_add_options(&list, error));
    LS_TRY(option_parse(&as, argc, argv, &settings, &rest, error));
    if (rest.help) {
        option_print_help(&as, stdout);
        return LS_OK;
    }
    LS_TRY(model_check_options(&settings.train.model, error));
    if (settings.train.batch_per_rank < 0 || settings.train.mode.accumulate < 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "forecast --memory: --%s: expected a number, found auto, which a run finds "
                       "by the memory that it has",
                       settings.train.batch_per_rank < 0 ? "batch-per-rank" : "accumulate");
    return forecast(&settings, error);
}
