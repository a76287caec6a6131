/* What the epochs of a run add up to. */
#include "train/totals.h"
#include "train/trainer.h"

#include <math.h>

void trainer_add_epoch(trainer *self, epoch_record *record) {
    run_totals *totals = &self->totals;
    if (!isnan(record->test_accuracy) &&
        (self->best.epoch == 0 || record->test_accuracy > self->best.test_accuracy)) {
        record->best = true;
        self->best = *record;
    }
    if (!isnan(record->evaluation_seconds)) {
        self->evaluations++;
        totals->evaluation_seconds += record->evaluation_seconds;
    }
    totals->training_seconds += record->seconds;
    self->at.seconds = 0; /* the next epoch begins at its start */
    totals->suspended_seconds += record->suspended_seconds;
    totals->images += record->images;
    totals->gpu_energy_joules += record->gpu_energy_joules;
    totals->cpu_energy_joules += record->cpu_energy_joules;
    totals->phases.data += record->phases.data;
    totals->phases.forward += record->phases.forward;
    totals->phases.backward += record->phases.backward;
    totals->phases.communication += record->phases.communication;
    totals->phases.optimizer += record->phases.optimizer;
    totals->phases.waiting += record->phases.waiting;
    totals->skipped_updates += record->skipped_updates;
    totals->final_loss_scale = record->loss_scale;
    totals->final_train_loss = record->train_loss;
    totals->final_test_loss = record->test_loss;
    totals->final_test_accuracy = record->test_accuracy;
    totals->final_test_top5_accuracy = record->test_top5_accuracy;
}
