#include "report/compare/modes.h"

#include "report/text/csv.h"

#include <math.h>

/* One value an epoch. */
static void add_epochs(csv_row *row, const mode_row *self, const char *column, size_t offset) {
    text_buffer list = {0};
    for (size_t epoch = 0; epoch < self->epoch_count; epoch++) {
        const char *place = (const char *)&self->epochs[epoch] + offset;
        double value = *(const double *)(const void *)place;
        text_add(&list, "%s", epoch ? ";" : "");
        if (!isnan(value))
            text_add(&list, "%.9g", value);
    }
    csv_put_text(row, column, list.bytes ? list.bytes : "");
    row->values.failed |= list.failed;
    text_free(&list);
}

static void add_place(csv_row *row, const mode_row *self) {
    const configuration *from = self->self;
    csv_put_text(row, "configuration", from ? from->name : self->published->configuration);
    csv_put_integer(row, "measured_here", from != NULL);
    csv_put_text(row, "hardware", self->hardware);
    csv_put_text(row, "source", from ? from->runs[0]->folder : self->published->source);
    csv_put_text(row, "model", from ? configuration_text(from, "model") : "");
    csv_put_text(row, "mode", from ? configuration_text(from, "mode") : "");
    csv_put_text(row, "precision", from ? configuration_text(from, "precision") : "");
    csv_put_text(row, "ranks", from ? configuration_text(from, "ranks") : "");
    csv_put_text(row, "nodes", from ? configuration_text(from, "nodes") : "");
    csv_put_number(row, "batch_per_rank",
                   from ? finished_run_number(from->runs[0], "batch_per_rank")
                        : self->published->batch_per_rank);
    csv_put_text(row, "global_batch", from ? configuration_text(from, "global_batch") : "");
    csv_put_number(row, "runs", from ? (double)from->count : NAN);
}

static void add_values(csv_row *row, const mode_row *self) {
    csv_put_number(row, "images_per_second", self->images_per_second);
    csv_put_number(row, "over_published", self->over_published);
    csv_put_number(row, "training_seconds", self->training_seconds);
    csv_put_number(row, "exposed_communication_seconds", self->exposed_seconds);
    csv_put_number(row, "peak_memory_bytes", self->peak_memory_bytes);
    csv_put_number(row, "gpu_joules_per_image", self->gpu_joules);
    csv_put_number(row, "cpu_joules_per_image", self->cpu_joules);
    csv_put_number(row, "memory_planned_bytes", self->planned_bytes);
    for (int kind = 0; kind < MEMORY_KINDS; kind++)
        csv_put_number(row, memory_kinds[kind].column, self->memory_bytes[kind]);
    csv_put_number(row, "final_train_loss", self->final_train_loss);
    csv_put_number(row, "final_test_accuracy", self->final_test_accuracy);
    add_epochs(row, self, "epoch_train_loss", offsetof(mode_epoch, train_loss));
    add_epochs(row, self, "epoch_train_accuracy", offsetof(mode_epoch, train_accuracy));
    add_epochs(row, self, "epoch_test_loss", offsetof(mode_epoch, test_loss));
    add_epochs(row, self, "epoch_test_accuracy", offsetof(mode_epoch, test_accuracy));
    add_epochs(row, self, "epoch_images_per_second", offsetof(mode_epoch, images_per_second));
}

void modes_csv(text_buffer *out, const modes *self) {
    for (size_t index = 0; index < self->count; index++) {
        csv_row row = {0};
        add_place(&row, &self->rows[index]);
        add_values(&row, &self->rows[index]);
        out->failed |= row.names.failed || row.values.failed;
        if (index == 0 && row.names.bytes)
            text_add(out, "%s\n", row.names.bytes);
        text_add(out, "%s\n", row.values.bytes ? row.values.bytes : "");
        csv_row_free(&row);
    }
}
