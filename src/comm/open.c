/* The only list of comms, and what "auto" means. */
#include "comm/comm_implementations.h"
#include "comm/gpu_survey.h"
#include "device/device.h"

#include <stdio.h>
#include <string.h>

typedef int (*comm_opener)(const comm_settings *settings, comm **out, ls_error *error);

static bool is_staged(const comm_settings *settings) {
    return settings->device && !settings->device->facts.host_addressable;
}

static int open_mpi(const comm_settings *settings, comm **out, ls_error *error) {
    return is_staged(settings) ? comm_staged_open(settings, out, error)
                               : comm_mpi_open(settings, out, error);
}

static const struct {
    const char *name;
    comm_opener open;
} comms[] = {
    {"alone", comm_alone_open},
    {"mpi", open_mpi},
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
    const char *why = strcmp(name, "mpi") == 0 ? "--comm mpi" : "ranks share a GPU";
    LS_TRY(choose(settings, &name, error));
    comm_opener open = find(name);
    if (!open)
        return ls_fail(error, LS_BAD_INPUT, "--comm: expected " COMM_CHOICES ", found '%s'", name);
    LS_TRY(open(settings, out, error));
    if (open == open_mpi && is_staged(settings))
        snprintf((*out)->note, sizeof(*out)->note, "%s: staged through pinned host memory", why);
    return LS_OK;
}
