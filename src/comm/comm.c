/* The only list of comms, and what "auto" means. */
#include "comm/comm.h"

#include "comm/comm_implementations.h"
#include "comm/gpus.h"

#include <stdlib.h>
#include <string.h>

typedef int (*comm_opener)(const comm_settings *settings, comm **out, ls_error *error);

static const struct {
    const char *name;
    comm_opener open;
} comms[] = {
    {"alone", comm_alone_open},
    {"mpi", comm_mpi_open},
#ifdef LOCKSTEP_NCCL
    {"nccl", comm_nccl_open},
#endif
};
enum { COMMS = sizeof comms / sizeof comms[0] };

static comm_opener find(const char *name) {
    for (int index = 0; index < COMMS; index++)
        if (strcmp(comms[index].name, name) == 0)
            return comms[index].open;
    return NULL;
}

static int refuse_nccl(const gpu_survey *gpus, ls_error *error) {
    if (!find("nccl"))
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--comm nccl: this build has no NCCL (use --comm mpi, or build where the "
                       "CUDA Toolkit and NCCL are found)");
    if (strcmp(gpus->device, "cuda") != 0)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--comm nccl: NCCL works between GPUs, but the device is %s (use --device "
                       "cuda, or --comm auto)",
                       gpus->device);
    if (gpus->first >= 0)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--comm nccl: rank %d (host %s) and rank %d (host %s) share one GPU (%s); "
                       "NCCL needs one GPU a rank (srun --gres=gpu:N with N the ranks of a node, "
                       "and --gpu-bind=single:1; or --comm mpi)",
                       gpus->first, gpus->first_host, gpus->second, gpus->second_host, gpus->uuid);
    return LS_OK;
}

/* mpi through pinned memory cuts collectives otherwise than mpi on host memory. */
static int refuse_unlike(const gpu_survey *gpus, ls_error *error) {
    if (gpus->unlike < 0)
        return LS_OK;
    return ls_fail(error, LS_BAD_LAUNCH,
                   "the ranks' devices differ: %s on rank 0, %s on rank %d (host %s); give all "
                   "ranks a GPU, or --device cpu",
                   gpus->device, gpus->unlike_device, gpus->unlike, gpus->unlike_host);
}

static int choose(const comm_settings *settings, const char **name, ls_error *error) {
    bool is_auto = strcmp(*name, "auto") == 0;
    bool is_nccl = strcmp(*name, "nccl") == 0;
    gpu_survey gpus;
    ls_error unused = {0};
    if (is_auto && settings->size == 1) {
        *name = "alone";
        return LS_OK;
    }
    if (settings->size > 1 && !settings->control) { /* the control comm itself */
        *name = is_auto ? "mpi" : *name;
        return is_nccl ? ls_fail(error, LS_FAILED, "comm nccl: no control comm") : LS_OK;
    }
    LS_TRY(gpu_survey_make(settings, &gpus, error));
    LS_TRY(refuse_unlike(&gpus, error));
    if (is_nccl)
        return refuse_nccl(&gpus, error);
    if (is_auto)
        *name = refuse_nccl(&gpus, &unused) == LS_OK ? "nccl" : "mpi";
    return LS_OK;
}

int comm_open(const char *name, const comm_settings *settings, comm **out, ls_error *error) {
    LS_TRY(choose(settings, &name, error));
    comm_opener open = find(name);
    if (!open)
        return ls_fail(error, LS_BAD_INPUT, "--comm: expected " COMM_CHOICES ", found '%s'", name);
    return open(settings, out, error);
}

void comm_close(comm *self) {
    if (self)
        self->is->close(self);
}

static int allreduce(comm *self, void *values, size_t count, dtype type, reduction how,
                     ls_error *error) {
    comm_work work = {0};
    LS_TRY(self->is->allreduce(self, NULL, values, count, type, how, &work, error));
    return self->is->wait(self, NULL, &work, error);
}

int comm_allreduce_double(comm *self, double *values, size_t count, reduction how,
                          ls_error *error) {
    return allreduce(self, values, count, DTYPE_F64, how, error);
}

int comm_sum_tree_double(comm *self, double *values, size_t count, ls_error *error) {
    comm_work work = {0};
    LS_TRY(self->is->sum_tree(self, NULL, values, count, 1, count, DTYPE_F64, &work, error));
    return self->is->wait(self, NULL, &work, error);
}

int comm_allreduce_int64(comm *self, int64_t *values, size_t count, reduction how,
                         ls_error *error) {
    return allreduce(self, values, count, DTYPE_I64, how, error);
}

int comm_allgather_bytes(comm *self, const void *mine, void *all, size_t bytes, ls_error *error) {
    comm_work work = {0};
    int64_t *counts = malloc((size_t)self->size * sizeof *counts);
    if (!counts)
        return ls_fail(error, LS_FAILED, "no memory for an all-gather");
    for (int rank = 0; rank < self->size; rank++)
        counts[rank] = (int64_t)bytes;
    if (bytes > 0)
        memcpy((char *)all + (size_t)self->rank * bytes, mine, bytes);
    int status = self->is->allgather(self, NULL, all, counts, DTYPE_U8, &work, error);
    if (status == LS_OK)
        status = self->is->wait(self, NULL, &work, error);
    free(counts);
    return status;
}

int comm_broadcast_bytes(comm *self, void *bytes, size_t count, int root, ls_error *error) {
    comm_work work = {0};
    LS_TRY(self->is->broadcast(self, NULL, bytes, count, DTYPE_U8, root, &work, error));
    return self->is->wait(self, NULL, &work, error);
}
