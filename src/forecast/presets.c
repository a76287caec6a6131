#include "forecast/interconnect.h"

#include <string.h>

#define ENTRY(name, gbs, us, source) {name, gbs * 1e9, us * 1e-6},
static const struct {
    const char *name;
    double bytes_per_second, latency_seconds;
} presets[] = {NETWORK_PRESETS(ENTRY)};
enum { PRESETS = sizeof presets / sizeof presets[0] };

#define NAME(name, gbs, us, source) " " name

void network_nominal(const char *name, double latency_seconds, double bytes_per_second,
                     measured_link *out) {
    *out = (measured_link){.nominal = true};
    format_plain(out->name, sizeof out->name, "%s", name);
    for (int kind = 0; kind < LINK_KINDS; kind++)
        out->kinds[kind].fit = (link_cost){latency_seconds, bytes_per_second};
}

int network_preset(const char *option, const char *name, measured_link *out, ls_error *error) {
    for (int index = 0; index < PRESETS; index++)
        if (strcmp(presets[index].name, name) == 0) {
            network_nominal(name, presets[index].latency_seconds, presets[index].bytes_per_second,
                            out);
            return LS_OK;
        }
    return ls_fail(error, LS_BAD_INPUT, "%s: expected one of" NETWORK_PRESETS(NAME) ", found '%s'",
                   option, name);
}
