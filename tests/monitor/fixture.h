/* Opens the stand-in beside the code under test and sets what it says. */
#ifndef LOCKSTEP_TESTS_MONITOR_FIXTURE_H
#define LOCKSTEP_TESTS_MONITOR_FIXTURE_H

#include "nvml_stand_in.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

/* With the defaults. Stays open until the process ends. */
static inline nvml_stand_in_state *use_stand_in(const char *path) {
    setenv("LOCKSTEP_NVML", path, 1);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    nvml_stand_in_state *state = library ? dlsym(library, "nvml_stand_in") : NULL;
    if (!state) {
        printf("Bail out! %s\n", dlerror());
        exit(1);
    }
    *state = (nvml_stand_in_state)STAND_IN_DEFAULTS;
    return state;
}

#endif
