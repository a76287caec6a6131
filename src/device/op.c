#include "device/op.h"

#include "device/ops.h"

#include <stdlib.h>

extern const device_interface device_ref;

static const op *find(const device_interface *device, const op_kind *kind) {
    for (const op *const *each = device->kinds; *each; each++)
        if ((*each)->kind == kind)
            return *each;
    return NULL;
}

/* The op that computes the kind on this device; ref's where it shares the host's memory. */
static const op *choose(const device *device, const op_kind *kind, bool *borrowed) {
    const op *own = find(device->is, kind);
    *borrowed = !own;
    return own || !device->facts.host_addressable ? own : find(&device_ref, kind);
}

int op_prepare(device *device, const op_kind *kind, const void *shape, const plan *like, plan **out,
               ls_error *error) {
    bool borrowed;
    const op *is = choose(device, kind, &borrowed);
    if (!is)
        return ls_fail(error, LS_FAILED, "device %s: it has no op '%s'%s", device->is->name,
                       kind->name, find(&device_ref, kind) ? " (--device cpu has it)" : "");
    plan *made = calloc(1, is->plan_bytes);
    if (!made)
        return ls_fail(error, LS_FAILED, "out of memory");
    made->is = is;
    made->device = device;
    made->borrowed = borrowed;
    int status = is->prepare(made, shape, like, error);
    if (status == LS_OK)
        *out = made;
    else
        plan_release(made);
    return status;
}

void plan_release(plan *self) {
    if (!self)
        return;
    if (self->is->release)
        self->is->release(self);
    text_free(&self->description);
    free(self);
}

const char *plan_describe(plan *self) {
    if (self->is->describe) {
        self->description.length = 0;
        self->is->describe(self);
    }
    if (self->borrowed) { /* "ref:": what network_describe_references looks for */
        self->description.length = 0;
        text_add(&self->description, "ref:%s", self->is->kind->name);
    }
    return self->description.bytes ? self->description.bytes : "";
}

int plan_pack(plan *self, device_stream *stream, int parameter, const float *from, void *to,
              ls_error *error) {
    const op_packed *copy = &self->packed[parameter];
    if (copy->bytes == 0)
        return LS_OK;
    if (!copy->in_order)
        return self->is->pack(self, stream, parameter, from, to, error);
    return self->device->is->ops->cast(self->device, stream, copy->bytes / dtype_bytes(copy->type),
                                       DTYPE_F32, from, copy->type, to, error);
}
