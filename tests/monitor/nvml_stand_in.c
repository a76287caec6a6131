/* Compiled three times: as it is, with OLD_DRIVER (before 535: another name for the throttle
 * reasons, and no energy counter here), with NOT_NVML (a library without its functions). */
#include "nvml_stand_in.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

typedef struct stand_in_device *nvmlDevice_t;
typedef struct nvmlUtilization_t {
    unsigned int gpu, memory;
} nvmlUtilization_t;
typedef struct nvmlMemory_t {
    unsigned long long total, free, used;
} nvmlMemory_t;

enum { SUCCESS, UNINITIALISED, BAD_ARGUMENT, NOT_FOUND = 6, LOST = 15 };

/* Until a test says otherwise; a program that is run on it whole has only this. */
nvml_stand_in_state nvml_stand_in = STAND_IN_DEFAULTS;

#ifndef NOT_NVML

static char the_device;

/* What a question is answered with before its value. */
static int answer(nvmlDevice_t device, asked kind, const void *out) {
    if (nvml_stand_in.inits <= nvml_stand_in.shutdowns)
        return UNINITIALISED;
    if ((void *)device != (void *)&the_device || !out)
        return BAD_ARGUMENT;
    return nvml_stand_in.status[kind];
}

int nvmlInit_v2(void) {
    if (nvml_stand_in.init_status == SUCCESS)
        nvml_stand_in.inits++;
    return nvml_stand_in.init_status;
}

int nvmlShutdown(void) {
    nvml_stand_in.shutdowns++;
    return SUCCESS;
}

const char *nvmlErrorString(int status) {
    return status == 9 ? "Driver Not Loaded" : status == NOT_FOUND ? "Not Found" : "Some Error";
}

int nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *out) {
    bool whole = strncmp(uuid, "GPU-", 4) == 0 && strlen(uuid) == strlen(STAND_IN_UUID);
    if (!whole && strcmp(uuid, "MIG-a-part") != 0)
        return NOT_FOUND;
    *out = (nvmlDevice_t)(void *)&the_device;
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *milliwatts) {
    long question = __atomic_add_fetch(&nvml_stand_in.power_questions, 1, __ATOMIC_RELAXED);
    int status = answer(device, ASKED_POWER, milliwatts);
    struct timespec pause = {.tv_sec = (time_t)nvml_stand_in.slow_seconds};
    pause.tv_nsec = (long)(1e9 * (nvml_stand_in.slow_seconds - (double)pause.tv_sec));
    nanosleep(&pause, NULL);
    if (nvml_stand_in.fail_after && question >= nvml_stand_in.fail_after)
        return LOST;
    *milliwatts = 1000 * nvml_stand_in.watts;
    return status;
}

#ifndef OLD_DRIVER
static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long *millijoules) {
    *millijoules = (unsigned long long)(1e3 * nvml_stand_in.watts * seconds_now());
    return answer(device, ASKED_ENERGY, millijoules);
}
#endif

int nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *out) {
    *out = (nvmlUtilization_t){nvml_stand_in.percent, 99};
    return answer(device, ASKED_UTILISATION, out);
}

int nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *out) {
    *out = (nvmlMemory_t){100 + nvml_stand_in.memory, 100, nvml_stand_in.memory};
    return answer(device, ASKED_MEMORY, out);
}

int nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned int *celsius) {
    *celsius = nvml_stand_in.celsius;
    return sensor == 0 ? answer(device, ASKED_TEMPERATURE, celsius) : BAD_ARGUMENT;
}

/* 0: graphics, 1: SM, 2: memory. */
int nvmlDeviceGetClockInfo(nvmlDevice_t device, int type, unsigned int *megahertz) {
    static const unsigned int clocks[] = {1000, 1980, 2619};
    if (type < 0 || type > 2)
        return BAD_ARGUMENT;
    *megahertz = clocks[type];
    return answer(device, ASKED_CLOCK, megahertz);
}

#ifdef OLD_DRIVER
int nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device, unsigned long long *out) {
#else
int nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device, unsigned long long *out) {
#endif
    *out = nvml_stand_in.reasons;
    return answer(device, ASKED_THROTTLE, out);
}

#endif
