/* The list of modes. */
#include "mode/modes.h"

#include <stdio.h>
#include <string.h>

extern const mode_interface mode_single, mode_dp, mode_ddp, mode_zero1, mode_zero2, mode_fsdp,
    mode_gemini;

static const mode_interface *const modes[] = {&mode_single, &mode_dp,   &mode_ddp,   &mode_zero1,
                                              &mode_zero2,  &mode_fsdp, &mode_gemini};
const char mode_choices[] = "single|dp|ddp|zero1|zero2|fsdp|zero3|gemini";

/* What a mode is called elsewhere. */
static const char *own_name(const char *name) {
    return strcmp(name, "zero3") == 0 ? "fsdp" : name;
}

const mode_interface *mode_find(const char *name, ls_error *error) {
    for (size_t index = 0; index < sizeof modes / sizeof modes[0]; index++)
        if (strcmp(modes[index]->name, own_name(name)) == 0)
            return modes[index];
    ls_fail(error, LS_BAD_INPUT, "--mode: expected one of %s, found '%s'", mode_choices, name);
    return NULL;
}

int mode_check(const char *name, int size, ls_error *error) {
    const mode_interface *chosen = mode_find(name, error);
    if (!chosen)
        return error->code;
    if (chosen->one_rank && size != 1)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--mode %s runs on one rank, found %d (use srun -n 1, or --mode ddp)", name,
                       size);
    return LS_OK;
}

const char *modes_that(bool (*can)(const mode_interface *mode), char *out, size_t capacity) {
    size_t count = 0, used = 0, all = sizeof modes / sizeof modes[0];
    for (size_t index = 0; index < all; index++)
        count += can(modes[index]);
    out[0] = '\0';
    for (size_t index = 0, named = 0; index < all && used < capacity; index++) {
        if (!can(modes[index]))
            continue;
        const char *before = named == 0 ? "" : named + 1 == count ? " and " : ", ";
        used += (size_t)snprintf(out + used, capacity - used, "%s%s", before, modes[index]->name);
        named++;
    }
    return out;
}
