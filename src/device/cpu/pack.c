/* Copies of the weights, blocked and typed as oneDNN's primitives want them, made from the
 * canonical fp32 masters. Forward and backward-data have one each where they do not agree on the
 * order. */
#include "device/cpu/cpu.h"

static int add_copy(cpu_plan *self, onednn_desc canonical, onednn_desc packed, onednn_call *out,
                    ls_error *error) {
    self->packed_bytes += cpu_align64(onednn_desc_bytes(packed));
    LS_TRY(onednn_reorder(&self->device->engine, canonical, packed, out, error));
    if (out->scratchpad_bytes)
        return ls_fail(error, LS_FAILED, "oneDNN wants scratch memory for a reorder of weights");
    return LS_OK;
}

int cpu_plan_pack_forward(cpu_plan *self, onednn_desc canonical, ls_error *error) {
    return add_copy(self, canonical, self->packed_forward, &self->pack_forward, error);
}

int cpu_plan_pack_backward(cpu_plan *self, onednn_desc canonical, ls_error *error) {
    if (onednn_desc_equal(self->packed_backward, self->packed_forward)) {
        self->packed_backward_offset = 0;
        return LS_OK;
    }
    self->packed_backward_offset = self->packed_bytes;
    return add_copy(self, canonical, self->packed_backward, &self->pack_backward, error);
}

int cpu_pack_weights(plan *plan, device_stream *stream, const float *weights, void *packed,
                     ls_error *error) {
    cpu_plan *self = (cpu_plan *)plan;
    if (self->packed_bytes == 0)
        return LS_OK;
    if (self->by_winograd) {
        cpu_winograd_pack_forward(&self->winograd, weights, packed);
        if (self->shape.conv2d.need_dx)
            cpu_winograd_pack_backward(&self->winograd, weights,
                                       (float *)((char *)packed + self->packed_backward_offset));
        return LS_OK;
    }
    if (self->packed_in_order)
        return cpu_cast(&self->device->base, stream, self->packed_bytes / 2, DTYPE_F32, weights,
                        DTYPE_BF16, packed, error);
    onednn_argument arguments[] = {{DNNL_ARG_FROM, weights}, {DNNL_ARG_TO, packed}};
    LS_TRY(onednn_call_run(&self->pack_forward, arguments, 2, NULL, error));
    if (!self->pack_backward.primitive)
        return LS_OK;
    arguments[1].memory = (char *)packed + self->packed_backward_offset;
    return onednn_call_run(&self->pack_backward, arguments, 2, NULL, error);
}
