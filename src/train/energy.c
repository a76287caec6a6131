#include "train/energy.h"
#include "report/facts/gpu_sums.h"
#include "train/trainer.h"

void energy_start(trainer *self) {
    self->energy.before = monitor_consumed(self->monitor);
}

int energy_so_far(trainer *self, monitor_energy *out, ls_error *error) {
    const epoch_energy *own = &self->energy;
    monitor_energy now = monitor_consumed(self->monitor);
    double joules[] = {now.gpu - own->before.gpu, now.cpu - own->before.cpu};
    if (!is_first_on_gpu(self->ranks.facts, self->me->rank))
        joules[0] = 0;
    if (!is_first_on_host(self->ranks.facts, self->me->rank))
        joules[1] = 0;
    LS_TRY(comm_allreduce_double(self->control, joules, 2, REDUCTION_SUM, error));
    *out = (monitor_energy){own->earlier.gpu + joules[0], own->earlier.cpu + joules[1]};
    return LS_OK;
}
