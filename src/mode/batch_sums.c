#include "mode/batch_sums.h"

static int add_up(void *context, size_t count, ls_error *error) {
    batch_sums *self = context;
    LS_TRY(step_clock_waiting(self->mode->clock, error));
    LS_TRY(outstanding_allreduce_now(self->works, self->given.values, count, DTYPE_F64,
                                     REDUCTION_SUM, error));
    return step_clock_resumed(self->mode->clock, error);
}

size_t batch_sums_bytes(const mode_settings *s) {
    return s->sync_batchnorm && s->size > 1 ? graph_most_sums(s->graph) * sizeof(double) : 0;
}

int batch_sums_open(batch_sums *self, mode *mode, outstanding *works, ls_error *error) {
    const mode_settings *s = &mode->settings;
    if (!s->sync_batchnorm || s->size == 1)
        return LS_OK;
    *self = (batch_sums){.given = {self, NULL, add_up}, .mode = mode, .works = works};
    mode->hooks.sums = &self->given;
    return store_take(mode->store, MEMORY_COMMUNICATION, true, batch_sums_bytes(s),
                      "sums of batch norms", (void **)&self->given.values, error);
}

int batch_sums_check(const mode_settings *settings, ls_error *error) {
    if (!settings->sync_batchnorm)
        return LS_OK;
    if (graph_most_sums(settings->graph) == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--sync-batchnorm: this model has no batch norm (leave it out)");
    return LS_OK;
}
