#include "cuda/dnn/dnn_way.h"
#include "base/hash.h"
#include "cuda/dnn/dnn_settle.h"

#include <inttypes.h>
#include <string.h>

int dnn_way_prepare(cuda_device *device, const dnn_problem *problem, dnn_way *out,
                    ls_error *error) {
    out->device = device;
    out->problem = problem;
    return dnn_choose(device, problem, &out->run, out->source, error);
}

void dnn_way_release(dnn_way *self) {
    if (self->problem)
        dnn_waiting_remove(self->device, self->problem);
    dnn_run_destroy(&self->run);
}

static bool is_by_kernel(const dnn_way *self) {
    return self->refused || !self->run.graph;
}

void dnn_way_describe(const dnn_way *self, text_buffer *to) {
    char engine[CHOICE_TEXT_BYTES];
    if (!self->problem)
        return;
    const char *between = to->length ? "; " : "", *name = self->problem->name;
    if (is_by_kernel(self)) {
        text_add(to, "%sour %s kernel (%s)", between, name,
                 self->refused ? "refused in a step" : self->source);
        return;
    }
    dnn_engine_describe(&self->run.choice.engine, engine, sizeof engine);
    text_add(to, "%scuDNN %s %lld.%08" PRIx32 " (%s)", between, name,
             (long long)self->run.choice.engine.index,
             (uint32_t)hash_bytes(HASH_START, engine, strlen(engine)), self->source);
}

dtype dnn_way_form(const dnn_way *self) {
    return is_by_kernel(self) ? DTYPE_F32 : self->run.choice.form;
}

/* In the middle of a run the workspace is what it is: the kernel needs none. */
static void give_up(dnn_way *self, cuda_device *device, const ls_error *why) {
    cudaGetLastError(); /* the library's: the kernel is not blamed */
    device_remark(&device->base.fallbacks,
                  "%s %s: engine %lld in a step: %s; taken: a kernel of ours", self->problem->what,
                  self->problem->key, (long long)self->run.choice.engine.index, why->text);
    self->refused = true;
}

int dnn_way_run(dnn_way *self, cuda_device *device, cudaStream_t stream,
                const dnn_pointers *pointers, ls_error *error) {
    if (!is_by_kernel(self)) {
        ls_error why = {0};
        bool refused;
        if (dnn_run_execute(&self->run, stream, pointers, &refused, &why) == LS_OK)
            return LS_OK;
        if (!refused || !self->problem->kernel)
            return ls_fail(error, why.code, "%s", why.text);
        give_up(self, device, &why);
    }
    CUDA_TRY(self->problem->kernel(self->problem, stream, pointers), self->problem->key);
    return LS_OK;
}
