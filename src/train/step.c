/* One step, as the data goes through it. */
#include "base/clock.h"
#include "train/trainer.h"

/* Adds the time since *mark to *phase, less what the comm took of it, and moves the mark. */
static void account(const trainer *self, double *phase, double *mark, double *communication) {
    double now = clock_seconds(), inside = self->mode->communication_seconds;
    *phase += now - *mark - (inside - *communication);
    *mark = now;
    *communication = inside;
}

int trainer_train_step(trainer *self, const mode_batch *batch, phase_seconds *phases,
                       ls_error *error) {
    mode *mode = self->mode;
    pass *pass = network_pass(self->network, mode_local_count(mode, batch->global_count));
    phase_seconds spent = {0};
    double first = mode->communication_seconds, communication = first;
    double mark = clock_seconds();

    LS_TRY(mode->is->begin(mode, batch, pass, error));
    account(self, &spent.data, &mark, &communication);
    LS_TRY(network_forward(self->network, pass, self->stream, &mode->hooks, error));
    LS_TRY(mode->is->loss(mode, batch, pass, error));
    account(self, &spent.forward, &mark, &communication);
    LS_TRY(network_backward(self->network, pass, self->stream, &mode->hooks, error));
    LS_TRY(mode->is->finish(mode, error));
    account(self, &spent.backward, &mark, &communication);
    LS_TRY(optimizer_update(&self->optimizer, mode, error));
    account(self, &spent.optimizer, &mark, &communication);

    if (phases) {
        phases->data += spent.data;
        phases->forward += spent.forward;
        phases->backward += spent.backward;
        phases->optimizer += spent.optimizer;
        phases->communication += communication - first;
    }
    return LS_OK;
}

int trainer_evaluation_step(trainer *self, const mode_batch *batch, ls_error *error) {
    mode *mode = self->mode;
    pass *pass = network_pass(self->network, mode_local_count(mode, batch->global_count));
    LS_TRY(mode->is->begin(mode, batch, pass, error));
    LS_TRY(network_forward(self->network, pass, self->stream, &mode->hooks, error));
    return mode->is->loss(mode, batch, pass, error);
}
