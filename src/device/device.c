/* The only list of devices, and what "auto" means. */
#include "device/device.h"

#include <stdlib.h>
#include <string.h>

extern const device_interface device_ref, device_cpu;
#ifdef LOCKSTEP_CUDA
extern const device_interface device_cuda;
#endif

static const device_interface *const devices[] = {
    &device_ref,
    &device_cpu,
#ifdef LOCKSTEP_CUDA
    &device_cuda,
#endif
};
enum { DEVICES = sizeof devices / sizeof devices[0] };

static const device_interface *find(const char *name) {
    for (int index = 0; index < DEVICES; index++)
        if (strcmp(devices[index]->name, name) == 0)
            return devices[index];
    return NULL;
}

/* A GPU is granted where the environment names one. CUDA_VISIBLE_DEVICES decides where it is set
 * (Slurm sets it from --gres and --gpus; the empty string, "NoDevFiles" and "-1" mean none);
 * else Slurm's list of the step's GPUs. */
const char *device_granted_gpu(const char **value) {
    static const char *const names[] = {"CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        *value = getenv(names[index]);
        if (!*value)
            continue;
        bool none = !**value || strcmp(*value, "NoDevFiles") == 0 || strcmp(*value, "-1") == 0;
        return none ? NULL : names[index];
    }
    return NULL;
}

static int no_cuda(ls_error *error) {
    return ls_fail(error, LS_BAD_LAUNCH,
                   "--device cuda: this build has no CUDA (use --device cpu, or build where the "
                   "CUDA Toolkit is found)");
}

static int choose_auto(const device_interface **out, ls_error *error) {
    const char *value;
    const char *variable = device_granted_gpu(&value);
    *out = find(variable ? "cuda" : "cpu");
    if (*out)
        return LS_OK;
    return ls_fail(error, LS_BAD_LAUNCH,
                   "--device auto: a GPU was granted (%s=%s) but this build has no CUDA; give "
                   "--device cpu (LOCKSTEP_DEVICE=cpu for the job scripts) to leave it unused",
                   variable, value);
}

static int choose(const char *name, const device_interface **out, ls_error *error) {
    if (strcmp(name, "auto") == 0)
        return choose_auto(out, error);
    *out = find(name);
    if (*out)
        return LS_OK;
    return strcmp(name, "cuda") == 0
               ? no_cuda(error)
               : ls_fail(error, LS_BAD_INPUT, "--device: unknown device '%s'", name);
}

int device_open(const char *name, const device_request *request, device **out, ls_error *error) {
    const device_interface *chosen;
    LS_TRY(choose(name, &chosen, error));
    return chosen->open(request, out, error);
}

int device_describe(const char *name, const device_request *request, const char **chosen,
                    device_facts *out, ls_error *error) {
    const device_interface *is;
    *chosen = "";
    memset(out, 0, sizeof *out);
    LS_TRY(choose(name, &is, error));
    *chosen = is->name;
    return is->describe(request, out, error);
}

int device_numa_node(const char *name, const device_request *request) {
    const char *value;
    bool automatic = strcmp(name, "auto") == 0;
    const device_interface *chosen =
        find(automatic ? (device_granted_gpu(&value) ? "cuda" : "cpu") : name);
    return chosen && chosen->numa_node ? chosen->numa_node(request) : -1;
}

void device_close(device *self) {
    if (self)
        self->is->close(self);
}
