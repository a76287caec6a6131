/* The doctor's quick checks, where a run starts: warnings stand in the header, a failure ends the
 * run as any other wrong launch does. */
#include "train/examine.h"
#include "train/trainer.h"

int trainer_examine(trainer *self, ls_error *error) {
    const train_settings *s = self->settings;
    doctor_settings settings = {
        .data = s->input.folder, .results = s->results, .device = s->device};
    LS_TRY(doctor_examine_start(self->me, &settings, self->control, &self->engine.binding,
                                self->engine.device, &self->examined, error));
    if (!self->examined.failures)
        return LS_OK;
    for (int index = 0; index < self->examined.count; index++) {
        const finding *each = &self->examined.list[index];
        if (each->level == FINDING_FAILURE)
            return ls_fail(error, LS_BAD_LAUNCH, "%s: %s: %s", each->check, each->found,
                           each->mend);
    }
    *error = (ls_error){.code = LS_BAD_LAUNCH}; /* rank 0 says it */
    return LS_BAD_LAUNCH;
}

int trainer_note_examination(trainer *self, ls_error *error) {
    for (int index = 0; index < self->examined.count; index++) {
        const finding *each = &self->examined.list[index];
        if (each->level == FINDING_WARNING)
            LS_TRY(run_note(self->run, error, "warning  %s: %s (%s)", each->check, each->found,
                            each->mend));
    }
    if (self->settings->verbose)
        LS_TRY(run_note(self->run, error, "checks  %d in %.4f s, %d warnings", self->examined.count,
                        self->examined.seconds, self->examined.warnings));
    return LS_OK;
}
