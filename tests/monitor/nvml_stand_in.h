/* A library in NVML's place, opened by LOCKSTEP_NVML: it says what it is told to. The tests open
 * the same file and find `nvml_stand_in` in it. */
#ifndef LOCKSTEP_TESTS_NVML_STAND_IN_H
#define LOCKSTEP_TESTS_NVML_STAND_IN_H

typedef enum {
    ASKED_POWER,
    ASKED_ENERGY,
    ASKED_UTILISATION,
    ASKED_MEMORY,
    ASKED_TEMPERATURE,
    ASKED_THROTTLE,
    ASKED_CLOCK,
    ASKED_KINDS
} asked;

typedef struct nvml_stand_in_state {
    int init_status;               /* of nvmlInit_v2 */
    int status[ASKED_KINDS];       /* of each kind of question; 3: not supported */
    long fail_after;               /* all questions about power fail from this one on; 0: never */
    double slow_seconds;           /* that a question about power takes */
    unsigned int watts;            /* also the rate of the energy counter */
    unsigned int percent, celsius; /* 0 to 100 */
    unsigned long long memory, reasons;
    /* What it saw. */
    int inits, shutdowns;
    long power_questions;
} nvml_stand_in_state;

/* 250 W, 80%, 60 C, 2 GB, power capped; everything answers. */
#define STAND_IN_DEFAULTS                                                                          \
    { .watts = 250, .percent = 80, .celsius = 60, .memory = 2000000000, .reasons = 0x5 }

/* It knows every UUID of this form. */
#define STAND_IN_UUID "GPU-12345678-9abc-def0-1234-56789abcdef0"

#endif
