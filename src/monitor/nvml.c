#include "monitor/nvml.h"

#include <dlfcn.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NVML's interface as its reference has it (docs.nvidia.com/deploy/nvml-api), as far as it is used.
 * 0 is success; any other status leaves the value out, so no more of them are named. */
typedef struct nvml_device *nvml_device;
typedef struct nvml_utilisation {
    unsigned int gpu, memory; /* percent */
} nvml_utilisation;
typedef struct nvml_memory {
    unsigned long long total, free, used; /* bytes */
} nvml_memory;
enum { NVML_SUCCESS = 0, NVML_NO_PERMISSION = 4, NVML_NOT_FOUND = 6 };
enum { NVML_CLOCK_SM = 1, NVML_CLOCK_MEMORY = 2 };
enum { NVML_TEMPERATURE_GPU = 0 };
enum { NVML_P2P_READ = 0, NVML_P2P_OK = 0 };

typedef struct nvml_functions {
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_string)(int status);
    int (*handle_by_uuid)(const char *uuid, nvml_device *out);
    int (*utilisation)(nvml_device device, nvml_utilisation *out);
    int (*memory)(nvml_device device, nvml_memory *out);
    int (*power)(nvml_device device, unsigned int *milliwatts);
    int (*energy)(nvml_device device, unsigned long long *millijoules);
    int (*clock)(nvml_device device, int type, unsigned int *megahertz);
    int (*temperature)(nvml_device device, int sensor, unsigned int *celsius);
    int (*peer)(nvml_device device, nvml_device other, int capability, int *status);
    int (*throttle)(nvml_device device, unsigned long long *reasons);
} nvml_functions;

#define MEMBER(name) offsetof(nvml_functions, name)

/* The first name that the library has is taken: the throttle reasons were renamed in driver 535. */
static const struct {
    size_t member;
    const char *symbol;
    bool required;
} symbols[] = {
    {MEMBER(init), "nvmlInit_v2", true},
    {MEMBER(shutdown), "nvmlShutdown", true},
    {MEMBER(handle_by_uuid), "nvmlDeviceGetHandleByUUID", true},
    {MEMBER(error_string), "nvmlErrorString", false},
    {MEMBER(utilisation), "nvmlDeviceGetUtilizationRates", false},
    {MEMBER(memory), "nvmlDeviceGetMemoryInfo", false},
    {MEMBER(power), "nvmlDeviceGetPowerUsage", false},
    {MEMBER(energy), "nvmlDeviceGetTotalEnergyConsumption", false},
    {MEMBER(clock), "nvmlDeviceGetClockInfo", false},
    {MEMBER(temperature), "nvmlDeviceGetTemperature", false},
    {MEMBER(peer), "nvmlDeviceGetP2PStatus", false},
    {MEMBER(throttle), "nvmlDeviceGetCurrentClocksEventReasons", false},
    {MEMBER(throttle), "nvmlDeviceGetCurrentClocksThrottleReasons", false},
};

struct nvml {
    void *library;
    bool started;
    nvml_functions call;
    nvml_device device;
};

static int load(nvml *self, const char *path, ls_error *error) {
    self->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!self->library)
        return ls_fail(error, LS_FAILED, "NVML: %s", dlerror());
    for (size_t index = 0; index < sizeof symbols / sizeof symbols[0]; index++) {
        /* POSIX: a function's address fits a void pointer. */
        void **member = (void **)((char *)&self->call + symbols[index].member);
        if (!*member)
            *member = dlsym(self->library, symbols[index].symbol);
        if (!*member && symbols[index].required)
            return ls_fail(error, LS_FAILED, "NVML: %s has no %s", path, symbols[index].symbol);
    }
    return LS_OK;
}

static int check(const nvml *self, int status, const char *what, ls_error *error) {
    if (status == NVML_SUCCESS)
        return LS_OK;
    const char *text = self->call.error_string ? self->call.error_string(status) : NULL;
    return ls_fail(error, LS_FAILED, "NVML: %s: %s (%d)", what, text ? text : "failed", status);
}

/* CUDA gives a part of a GPU (MIG) the form of a GPU's UUID; NVML names it "MIG-...". */
static int handle_of(const nvml *self, const char *uuid, nvml_device *out) {
    char part[96];
    int status = self->call.handle_by_uuid(uuid, out);
    if (status == NVML_NOT_FOUND && strncmp(uuid, "GPU-", 4) == 0) {
        snprintf(part, sizeof part, "MIG-%.80s", uuid + 4);
        if (self->call.handle_by_uuid(part, out) == NVML_SUCCESS)
            return NVML_SUCCESS;
    }
    return status;
}

static int start(nvml *self, const char *uuid, ls_error *error) {
    const char *path = getenv("LOCKSTEP_NVML");
    LS_TRY(load(self, path && path[0] ? path : "libnvidia-ml.so.1", error));
    LS_TRY(check(self, self->call.init(), "nvmlInit_v2", error));
    self->started = true;
    return check(self, handle_of(self, uuid, &self->device), uuid, error);
}

int nvml_open(const char *uuid, nvml **out, ls_error *error) {
    *out = NULL;
    nvml *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "NVML: out of memory");
    int status = start(self, uuid, error);
    if (status != LS_OK)
        nvml_close(self);
    else
        *out = self;
    return status;
}

void nvml_close(nvml *self) {
    if (!self)
        return;
    if (self->started)
        self->call.shutdown();
    if (self->library)
        dlclose(self->library);
    free(self);
}

nvml_peer nvml_reach(nvml *self, const char *uuid) {
    nvml_device other;
    int found = handle_of(self, uuid, &other), status = NVML_P2P_OK;
    if (found == NVML_NOT_FOUND || found == NVML_NO_PERMISSION)
        return NVML_PEER_HIDDEN;
    if (found != NVML_SUCCESS || !self->call.peer ||
        self->call.peer(self->device, other, NVML_P2P_READ, &status) != NVML_SUCCESS)
        return NVML_PEER_UNKNOWN;
    return status == NVML_P2P_OK ? NVML_PEER_REACHED : NVML_PEER_UNCONNECTED;
}

/* Of a call that gives an unsigned int: its value in units of `unit`. */
static double scaled(int status, unsigned int value, double unit) {
    return status == NVML_SUCCESS ? unit * (double)value : NAN;
}

static void read_clocks(const nvml *self, nvml_reading *out) {
    unsigned int value = 0;
    if (!self->call.clock)
        return;
    int status = self->call.clock(self->device, NVML_CLOCK_SM, &value);
    out->sm_clock_hertz = scaled(status, value, 1e6);
    status = self->call.clock(self->device, NVML_CLOCK_MEMORY, &value);
    out->memory_clock_hertz = scaled(status, value, 1e6);
}

static void read_power(const nvml *self, nvml_reading *out) {
    unsigned int value = 0;
    unsigned long long millijoules = 0;
    if (self->call.power) {
        int status = self->call.power(self->device, &value);
        out->power_watts = scaled(status, value, 1e-3);
    }
    if (self->call.energy && self->call.energy(self->device, &millijoules) == NVML_SUCCESS)
        out->energy_joules = 1e-3 * (double)millijoules;
}

void nvml_read(nvml *self, nvml_reading *out) {
    *out = (nvml_reading){NAN, NAN, NAN, NAN, NAN, NAN, NAN, false, 0};
    unsigned int value = 0;
    unsigned long long reasons = 0;
    nvml_utilisation busy = {0, 0};
    nvml_memory memory = {0, 0, 0};
    read_power(self, out);
    if (self->call.utilisation) {
        int status = self->call.utilisation(self->device, &busy);
        out->utilisation = scaled(status, busy.gpu, 1e-2);
    }
    if (self->call.memory && self->call.memory(self->device, &memory) == NVML_SUCCESS)
        out->memory_bytes = (double)memory.used;
    if (self->call.temperature) {
        int status = self->call.temperature(self->device, NVML_TEMPERATURE_GPU, &value);
        out->temperature_celsius = scaled(status, value, 1);
    }
    if (self->call.throttle && self->call.throttle(self->device, &reasons) == NVML_SUCCESS) {
        out->throttle_known = true;
        out->throttle_reasons = reasons;
    }
    read_clocks(self, out);
}
