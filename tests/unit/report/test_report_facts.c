/* The tables of columns: whole, and results/COLUMNS.md is theirs. The header's lines that are made
 * from them. test_report_facts PATH-OF-COLUMNS.md */
#include "../check.h"
#include "report/facts/columns_text.h"
#include "report/facts/epoch_columns.h"
#include "report/facts/facts.h"
#include "report/facts/layer_row.h"
#include "report/facts/rank_columns.h"
#include "report/facts/step_columns.h"
#include "report/read/allow.h"
#include "report/read/finished_run.h"
#include "report/run/header_line.h"
#include "report_fixture.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const column_table *const tables[] = {
    &summary_columns, &epoch_columns,       &rank_columns, &layer_columns,
    &sample_columns,  &certificate_columns, &step_columns};
enum { TABLES = sizeof tables / sizeof tables[0] };

static void the_page_is_theirs(const char *path) {
    text_buffer expected = {0}, found = fixture_read(path);
    columns_text(&expected);
    CHECK(text_buffer_check(&expected, &(ls_error){0}) == LS_OK, "no memory");
    CHECK(strcmp(expected.bytes, found.bytes) == 0,
          "%s is stale: build/lockstep report --columns --output results/COLUMNS.md", path);
    text_free(&expected);
    text_free(&found);
    check_case("results/COLUMNS.md is what the tables say");
}

static void expect_named(const char *names) {
    for (const char *name = names; *name;) {
        size_t length = strcspn(name, "|");
        CHECK(allow_list_holds(ALLOW_NAMES, name, length), "--allow has no '%.*s'", (int)length,
              name);
        name += length + (name[length] == '|');
    }
}

static void expect_whole(const column_table *table, const column *self) {
    bool differs = self->compared != COMPARED_NOT && self->compared != COMPARED_PART;
    CHECK(self->meaning && self->meaning[0], "%s: %s is not explained", table->file, self->name);
    CHECK(column_find(table, self->name) == self, "%s: %s stands twice", table->file, self->name);
    CHECK(!self->with || column_find(table, self->with), "%s: no column %s", table->file,
          self->with);
    CHECK(differs == (self->allow != NULL) && differs == (self->called != NULL),
          "%s: %s is compared without a name, or has a name and is not", table->file, self->name);
    CHECK(!self->hidden || self->need == NEEDS_NOTHING, "%s: %s is demanded and not written",
          table->file, self->name);
    CHECK(!self->line || self->label, "%s: %s has a line without a label", table->file, self->name);
    CHECK(!self->label || self->part == PART_FACTS, "%s: %s leads a line and is no fact",
          table->file, self->name);
    if (self->allow)
        expect_named(self->allow);
}

static void rows_are_whole(void) {
    for (int table = 0; table < TABLES; table++)
        for (size_t index = 0; index < tables[table]->count; index++)
            expect_whole(tables[table], &tables[table]->columns[index]);
    check_case("every column is explained, stands once, and has names for what it is compared by");
}

/* A name in a line that is no fact's would be printed between braces. */
static void lines_name_facts(void) {
    fixture made;
    fixture_make(&made, "ddp", 2, 64, 141);
    fixture_on_gpus(&made);
    made.facts.strict = made.facts.oversubscribed = true;
    made.facts.lanes = 4;
    made.facts.accumulate = 2;
    made.facts.graph_steps = 8;
    made.facts.profile_steps = 1;
    made.facts.environment_taken_out = "A=1";
    made.facts.momentum = 0.5;
    for (size_t index = 0; index < summary_columns.count; index++) {
        text_buffer line = {0};
        const column *lead = &summary_columns.columns[index];
        if (lead->label)
            header_line_add(&line, &made.facts, lead);
        CHECK(!line.bytes || !strpbrk(line.bytes, "{}[]"), "%s", line.bytes);
        text_free(&line);
    }
    check_case("the header's lines name facts");
}

static void expect_line(const run_facts *facts, const char *name, const char *expected) {
    text_buffer line = {0};
    header_line_add(&line, facts, column_find(&summary_columns, name));
    const char *found = line.bytes ? line.bytes : "";
    CHECK(strcmp(found, expected) == 0, "%s: expected '%s', found '%s'", name, expected, found);
    text_free(&line);
}

static void lines_leave_out_what_is_not_there(void) {
    run_facts facts = {.optimizer = "sgd",
                       .learning_rate = 0.012345678,
                       .momentum = NAN,
                       .weight_decay = 0,
                       .epochs = 1,
                       .seed = 7,
                       .device = "cpu",
                       .augment = "none"};
    expect_line(&facts, "optimizer",
                "optimizer      sgd, learning rate 0.0123457, weight decay 0; 1 epoch, seed 7\n");
    facts.momentum = 0.9;
    facts.epochs = 12;
    expect_line(&facts, "optimizer",
                "optimizer      sgd, learning rate 0.0123457, momentum 0.9, weight decay 0; 12 "
                "epochs, seed 7\n");
    expect_line(&facts, "device", "device         cpu\n");
    facts.device_library = "a library 1";
    expect_line(&facts, "device", "device         cpu (a library 1)\n");
    expect_line(&facts, "augment", "");
    facts.augment = "crop-flip";
    expect_line(&facts, "augment", "augmentation   crop-flip\n");
    expect_line(&facts, "oversubscribed", "");
    expect_line(&facts, "profile_steps", "");
    facts.profile_steps = 1;
    expect_line(&facts, "profile_steps",
                "profile        1 step of epoch 1, into layers.csv and trace.json\n");
    expect_line(&facts, "slurm_job_id", "");
    check_case("a line leaves out what is not there");
}

typedef struct sample {
    const char *text;
    char id[4];
    text_buffer list;
    int count;
    int64_t large;
    bool flag;
    double real;
} sample;

static void expect_value(const sample *record, column is, const char *expected) {
    column_table table = {.file = "a file", .columns = &is, .count = 1};
    text_buffer out = {0};
    is.name = "x";
    column_add(&out, &table, &is, (const void *const[]){record});
    const char *found = out.bytes ? out.bytes : "";
    CHECK(strcmp(found, expected) == 0, "expected '%s', found '%s'", expected, found);
    text_free(&out);
}

#define AT(of_type, member, ...)                                                                   \
    (column) {                                                                                     \
        .type = COLUMN_##of_type, .offset = offsetof(sample, member), __VA_ARGS__                  \
    }

static void values_are_written(void) {
    sample a = {
        .text = NULL, .id = "ab", .count = 0, .large = INT64_MAX, .flag = true, .real = NAN};
    expect_value(&a, AT(TEXT, text), "");
    expect_value(&a, AT(TEXT, text, .otherwise = "none"), "none");
    expect_value(&a, AT(ID, id), "ab");
    expect_value(&a, AT(LIST, list), "");
    expect_value(&a, AT(INT, count), "0");
    expect_value(&a, AT(INT, count, .show = SHOWN_POSITIVE), "");
    expect_value(&a, AT(INT64, large, .show = SHOWN_POSITIVE), "9223372036854775807");
    expect_value(&a, AT(FLAG, flag), "1");
    expect_value(&a, AT(REAL, real), "");
    a.real = 1e10 / 3;
    expect_value(&a, AT(REAL, real), "3.33333333e+09");
    expect_value(&a, AT(REAL, real, .show = SHOWN_WHOLE), "3333333333");
    a.real = INFINITY;
    expect_value(&a, AT(REAL, real), "inf");
    expect_value(&a, AT(REAL, real, .show = SHOWN_FINITE), "");
    a.real = 0;
    expect_value(&a, AT(REAL, real), "0");
    expect_value(&a, AT(REAL, real, .show = SHOWN_POSITIVE), "");
    check_case("values are written by type, and left out where they say nothing");
}

static void needs_are_checked(void) {
    static const struct {
        column_need need;
        const char *good, *bad;
    } cases[] = {
        {NEEDS_NAME, "a", ""},       {NEEDS_COUNT, "3", "0"},     {NEEDS_COUNT, "3e2", "1.5"},
        {NEEDS_WHOLE, "-2", "0.5"},  {NEEDS_WHOLE, "0", ""},      {NEEDS_POSITIVE, "0.5", "0"},
        {NEEDS_POSITIVE, "1", "1x"}, {NEEDS_MEASURED, "", "inf"}, {NEEDS_MEASURED, "-1", "1,5"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        CHECK(column_fits(cases[index].need, cases[index].good), "'%s'", cases[index].good);
        CHECK(!column_fits(cases[index].need, cases[index].bad), "'%s'", cases[index].bad);
    }
    check_case("what a report demands");
}

/* The layers of a large model, each with its reasons. */
static void texts_have_any_length(void) {
    enum { LAYERS = 2000 };
    fixture made;
    finished_run read;
    ls_error error = {0};
    text_buffer note = {0}, command = {0}, log;
    for (int layer = 0; layer < LAYERS; layer++) {
        text_add(&note, "%snot layer%d (the rows of all ranks are more)", layer ? ", " : "", layer);
        text_add(&command, "%s--option%d \"a, value\"", layer ? " " : "", layer);
    }
    fixture_make(&made, "ddp", 2, 64, 141);
    made.facts.factor_comm = "auto";
    made.facts.bucket_choice = "auto";
    made.facts.factor_note = note.bytes;
    made.facts.command_line = command.bytes;
    CHECK(fixture_write(&made, "long", &error) == LS_OK, "%s", error.text);
    log = fixture_read("long/log.txt");
    CHECK(strstr(log.bytes, note.bytes) != NULL, "the reasons were cut");
    CHECK(strstr(log.bytes, command.bytes) != NULL, "the command was cut");
    CHECK(finished_run_read(&read, "long", &error) == LS_OK, "%s", error.text);
    CHECK(strcmp(finished_run_text(&read, "command_line"), command.bytes) == 0, "in summary.csv");
    finished_run_free(&read);
    text_free(&log);
    text_free(&note);
    text_free(&command);
    check_case("no text of a run is cut");
}

/* A checkpoint keeps the rows of the epochs that ended: read back, they are the same rows. */
static void rows_come_back(void) {
    const epoch_record written[] = {
        {.epoch = 1,
         .train_loss = 2.1234567891234,
         .train_accuracy = 1.0 / 3,
         .test_loss = 2.25,
         .test_accuracy = 0.25,
         .best = true,
         .images = 150,
         .steps = 5,
         .seconds = 0.125,
         .phases = {.data = 1e-7, .waiting = NAN},
         .skipped_updates = 2,
         .loss_scale = 32768,
         .learning_rate = 0.001,
         .gradient_norm = NAN,
         .peak_memory_bytes = 123456789012.0,
         .gpu_utilisation = NAN,
         .gpu_peak_memory_bytes = NAN},
        {.epoch = 2, .test_loss = 1e-300, .images = 1, .gradient_norm = 17},
        {.epoch = 3,
         .train_loss = 0.5,
         .test_loss = NAN,
         .test_accuracy = NAN,
         .test_top5_accuracy = NAN,
         .images = 1,
         .evaluation_seconds = NAN}}; /* not evaluated */
    text_buffer file = {0}, again = {0};
    epoch_record *read = NULL;
    ls_error error = {0};
    int count = 0;
    column_table_names(&file, &epoch_columns);
    for (int row = 0; row < 3; row++)
        epoch_add_row(&file, &written[row]);
    CHECK(strstr(file.bytes, "\n1,3,0.5,0,,,,0,1,"), "%s", file.bytes);
    CHECK(epoch_read_rows("x", file.bytes, file.length, &read, &count, &error) == LS_OK, "%s",
          error.text);
    CHECK(count == 3);
    column_table_names(&again, &epoch_columns);
    for (int row = 0; row < count; row++)
        epoch_add_row(&again, &read[row]);
    CHECK(strcmp(again.bytes, file.bytes) == 0, "%s is not %s", again.bytes, file.bytes);
    CHECK(isnan(read[2].test_loss) && isnan(read[2].test_accuracy) &&
          isnan(read[2].test_top5_accuracy) && isnan(read[2].evaluation_seconds));
    CHECK(count == 3 && read[0].best && read[0].skipped_updates == 2 && read[1].loss_scale == 0 &&
          isnan(read[0].phases.waiting) && read[1].gradient_norm == 17);
    free(read);
    read = NULL;
    CHECK(epoch_read_rows("x", "epoch,images\n1,many\n", 20, &read, &count, &error) ==
                  LS_BAD_INPUT &&
              strstr(error.text, "images"),
          "%s", error.text);
    error = (ls_error){0};
    CHECK(epoch_read_rows("x", "epoch\n2\n", 8, &read, &count, &error) == LS_BAD_INPUT && !read,
          "epoch 2 without 1");
    text_free(&file);
    text_free(&again);
    check_case("rows of epochs.csv are read back as they were");
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: test_report_facts results/COLUMNS.md\n");
        return 2;
    }
    the_page_is_theirs(argv[1]);
    fixture_enter_folder();
    rows_are_whole();
    lines_name_facts();
    lines_leave_out_what_is_not_there();
    values_are_written();
    needs_are_checked();
    texts_have_any_length();
    fixture_leave_folder();
    rows_come_back();
    return check_done();
}
