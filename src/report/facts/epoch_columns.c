#include "report/facts/epoch_columns.h"

#include "report/facts/files.h"
#include "report/facts/quantities.h"
#include "report/text/csv.h"

#include <stdlib.h>

typedef struct epoch_derived {
    int format_version;
    double images_per_second, other_seconds;
} epoch_derived;

enum { PART_EPOCH, PART_DERIVED };
#define EPOCH(of_type, of_name, member, ...)                                                       \
    {                                                                                              \
        .name = of_name, .type = COLUMN_##of_type, .part = PART_EPOCH,                             \
        .offset = offsetof(epoch_record, member), __VA_ARGS__                                      \
    }
#define DERIVED(of_type, of_name, ...)                                                             \
    {                                                                                              \
        .name = #of_name, .type = COLUMN_##of_type, .part = PART_DERIVED,                          \
        .offset = offsetof(epoch_derived, of_name), __VA_ARGS__                                    \
    }

static const column columns[] = {
    DERIVED(INT, format_version, .meaning = "as in summary.csv"),
    EPOCH(INT, "epoch", epoch, .meaning = "from 1"),
    EPOCH(REAL, "train_loss", train_loss, .need = NEEDS_MEASURED,
          .meaning = "mean over the epoch's images, each as it was trained on"),
    EPOCH(REAL, "train_accuracy", train_accuracy, .need = NEEDS_MEASURED,
          .meaning = "in [0, 1], of the same"),
    EPOCH(REAL, "test_loss", test_loss, .need = NEEDS_MEASURED,
          .meaning =
              "mean over all test images, each once, after the epoch; empty, as the next and "
              "`evaluation_seconds`, where it was not evaluated (`--validate-every`)"),
    EPOCH(REAL, "test_accuracy", test_accuracy, .need = NEEDS_MEASURED,
          .meaning = "in [0, 1], of the same"),
    EPOCH(REAL, "test_top5_accuracy", test_top5_accuracy,
          .meaning = "test images whose label is among the five likeliest classes, in [0, 1]"),
    EPOCH(FLAG, "best", best, .meaning = "the highest test accuracy so far (`*` in the log)"),
    EPOCH(INT64, "images", images, .need = NEEDS_POSITIVE,
          .meaning = "trained on, by all ranks together: counted by the device inside the clock"),
    EPOCH(INT64, "steps", steps, .meaning = "updates, counted by the device inside the clock"),
    EPOCH(REAL, "training_seconds", seconds, .need = NEEDS_POSITIVE, .unit = "s",
          .meaning = "from the epoch's first step to its last, loader included, on the slowest "
                     "rank"),
    DERIVED(REAL, images_per_second, .unit = "1/s", .meaning = "`images` / `training_seconds`"),
    EPOCH(REAL, "data_seconds", phases.data, .unit = "s",
          .meaning = "this and the other phases are as in summary.csv"),
    EPOCH(REAL, "forward_seconds", phases.forward, .unit = "s", .meaning = "with the loss"),
    EPOCH(REAL, "backward_seconds", phases.backward, .unit = "s",
          .meaning = "of data and of weights"),
    EPOCH(REAL, "exposed_communication_seconds", phases.communication, .unit = "s",
          .meaning = "`comm` in the log"),
    EPOCH(REAL, "optimizer_seconds", phases.optimizer, .unit = "s", .meaning = "the update"),
    DERIVED(REAL, other_seconds, .unit = "s", .meaning = "what no phase holds"),
    EPOCH(REAL, "waiting_seconds", phases.waiting, .unit = "s",
          .meaning = "in the exposed communication: for the rank that came last"),
    EPOCH(REAL, "evaluation_seconds", evaluation_seconds, .need = NEEDS_MEASURED, .unit = "s",
          .meaning = "outside the training time"),
    EPOCH(INT64, "skipped_updates", skipped_updates, .with = "loss_scale",
          .meaning = "fp16: steps whose gradients overflowed"),
    EPOCH(REAL, "loss_scale", loss_scale, .show = SHOWN_POSITIVE,
          .meaning = "fp16: at the epoch's end"),
    EPOCH(REAL, "cpu_utilisation_mean", cpu_utilisation,
          .meaning =
              "CPU seconds over (this epoch's training time x threads), mean over the ranks"),
    EPOCH(REAL, "peak_memory_maximum_bytes", peak_memory_bytes, .show = SHOWN_WHOLE,
          .unit = "bytes", .meaning = "most that a rank had resident so far"),
    EPOCH(REAL, "gpu_utilisation_mean", gpu_utilisation,
          .meaning = "of this epoch's training time, mean over the ranks"),
    EPOCH(REAL, "gpu_peak_memory_maximum_bytes", gpu_peak_memory_bytes, .show = SHOWN_WHOLE,
          .unit = "bytes", .meaning = "most in use on a GPU so far, by any process"),
    EPOCH(REAL, "gpu_energy_joules", gpu_energy_joules, .unit = "J",
          .meaning = "of this epoch's training time, as in summary.csv"),
    EPOCH(REAL, "cpu_energy_joules", cpu_energy_joules, .unit = "J", .meaning = "the same"),
    EPOCH(REAL, "suspended_seconds", suspended_seconds, .unit = "s",
          .meaning = "the longest that a rank did not run in this epoch's training"),
    EPOCH(REAL, "gradient_norm_mean", gradient_norm,
          .meaning = "`--clip-norm`: the gradient's norm before clipping, mean over the updates; "
                     "else empty"),
};

const column_table epoch_columns = {.file = EPOCHS_FILE,
                                    .about =
                                        "A row an epoch, each written when the epoch has ended.",
                                    .columns = columns,
                                    .count = sizeof columns / sizeof columns[0]};

void epoch_add_row(text_buffer *out, const epoch_record *epoch) {
    epoch_derived derived = {.format_version = SUMMARY_FORMAT_VERSION,
                             .images_per_second = rate(epoch->images, epoch->seconds),
                             .other_seconds = other_seconds(epoch->seconds, &epoch->phases)};
    column_table_row(out, &epoch_columns, (const void *const[]){epoch, &derived});
}

static int read_row(const char *where, const csv_table *table, size_t row, epoch_record *out,
                    ls_error *error) {
    for (size_t index = 0; index < sizeof columns / sizeof columns[0]; index++) {
        const column *each = &columns[index];
        const char *text = csv_get(table, row, each->name);
        if (each->part == PART_EPOCH && !column_parse(each, text ? text : "", (void *const[]){out}))
            return ls_fail(error, LS_BAD_INPUT, "%s: row %zu: %s: expected a number, found '%.80s'",
                           where, row + 1, each->name, text);
    }
    if (out->epoch == (int)row + 1)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: row %zu: expected epoch %zu, found %d", where, row + 1,
                   row + 1, out->epoch);
}

int epoch_read_rows(const char *where, const char *text, size_t length, epoch_record **out,
                    int *count, ls_error *error) {
    csv_table table;
    *out = NULL;
    *count = 0;
    LS_TRY(csv_parse(&table, where, text, length, error));
    epoch_record *rows = calloc(table.rows + 1, sizeof *rows);
    int status = rows ? LS_OK : ls_fail(error, LS_FAILED, "%s: out of memory", where);
    for (size_t row = 0; status == LS_OK && row < table.rows; row++)
        status = read_row(where, &table, row, &rows[row], error);
    *count = (int)table.rows;
    csv_free(&table);
    if (status == LS_OK)
        *out = rows;
    else
        free(rows);
    return status;
}
