#include "refusals.h"
#include "emulated.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[REFUSABLE_CALLS] = {"blas-describe", "blas-query", "blas-run",
                                                   "dnn-describe",  "dnn-query",  "dnn-run"};

typedef struct refusals {
    int calls, first, last, status;
} refusals;

static refusals all[REFUSABLE_CALLS];
static bool told; /* by the program, or the environment was read */

static void bad(const char *text) {
    emulated_violation("LOCKSTEP_EMULATED_REFUSE: expected KIND:FIRST[-[LAST]][:STATUS], found %s",
                       text);
}

static void read_one(const char *text, size_t length) {
    for (int kind = 0; kind < REFUSABLE_CALLS; kind++) {
        size_t name = strlen(names[kind]);
        if (length <= name || memcmp(text, names[kind], name) != 0 || text[name] != ':')
            continue;
        char *at;
        refusals *of = &all[kind];
        of->first = of->last = (int)strtol(text + name + 1, &at, 10);
        of->status = -1;
        if (*at == '-') {
            const char *last = at + 1;
            of->last = (int)strtol(last, &at, 10);
            if (at == last)
                of->last = INT_MAX;
        }
        if (*at == ':')
            of->status = (int)strtol(at + 1, &at, 10);
        if (at != text + length || of->first < 1)
            bad(text);
        return;
    }
    bad(text);
}

static void read_environment(void) {
    const char *text = getenv("LOCKSTEP_EMULATED_REFUSE");
    while (text && *text) {
        size_t length = strcspn(text, ",");
        read_one(text, length);
        text += length + (text[length] == ',');
    }
}

void emulated_refuse(refusable_call kind, int first, int last, int status) {
    memset(all, 0, sizeof all);
    all[kind] = (refusals){.first = first, .last = last, .status = status};
    told = true;
}

int emulated_calls(refusable_call kind) {
    return all[kind].calls;
}

bool emulated_is_refused(refusable_call kind, int not_supported, int *status) {
    if (!told)
        read_environment();
    told = true;
    refusals *of = &all[kind];
    of->calls++;
    if (of->first == 0 || of->calls < of->first || of->calls > of->last)
        return false;
    *status = of->status < 0 ? not_supported : of->status;
    return true;
}
