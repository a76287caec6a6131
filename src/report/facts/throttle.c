#include "report/facts/throttle.h"

#include <string.h>

/* nvmlClocksEventReasons, from NVML's reference. Bits 0 (idle), 1 (application clocks), 4 (sync
 * boost) and 8 (display clocks) limit nothing that the user did not ask for. */
static const struct {
    uint64_t bit;
    const char *name;
} throttles[] = {
    {0x04, "power cap"},          {0x08, "hardware slowdown"}, {0x20, "thermal (software)"},
    {0x40, "thermal (hardware)"}, {0x80, "power brake"},
};

void throttle_text(text_buffer *out, uint64_t reasons) {
    int named = 0;
    for (size_t index = 0; index < sizeof throttles / sizeof throttles[0]; index++)
        if (reasons & throttles[index].bit)
            text_add(out, "%s%s", named++ ? ", " : "", throttles[index].name);
    if (!named)
        text_add(out, "none");
}

/* One of the names, up to the next comma; 0: none of them. */
static uint64_t throttle_bit(const char *name, size_t length) {
    for (size_t index = 0; index < sizeof throttles / sizeof throttles[0]; index++)
        if (strlen(throttles[index].name) == length &&
            strncmp(throttles[index].name, name, length) == 0)
            return throttles[index].bit;
    return 0;
}

bool throttle_parse(const char *text, uint64_t *out) {
    *out = 0;
    if (!text[0] || strcmp(text, "none") == 0)
        return true;
    for (bool last = false; !last;) {
        size_t length = strcspn(text, ",");
        uint64_t bit = throttle_bit(text, length);
        if (bit == 0)
            return false;
        *out |= bit;
        last = text[length] == '\0';
        text += length + (last ? 0 : 1);
        text += !last && *text == ' ';
    }
    return true;
}
