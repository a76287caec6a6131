#include "device/op.h"

const char *activation_name(activation self) {
    static const char *const names[] = {"none", "relu", "gelu", "gelu-tanh"};
    return names[self];
}

int plan_refuse_activation(const plan *self, activation wanted, ls_error *error) {
    if (wanted == ACTIVATION_NONE || wanted == ACTIVATION_RELU)
        return LS_OK;
    return ls_fail(error, LS_FAILED,
                   "device %s: %s: expected no activation or relu with it, found %s",
                   self->device->is->name, self->is->kind->name, activation_name(wanted));
}
