#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

static bool continues(unsigned char byte) {
    return (byte & 0xC0) == 0x80;
}

size_t utf8_character(const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] == 0)
        return 0;
    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xC2 && at[0] <= 0xDF)
        return continues(at[1]) ? 2 : 0;
    if (at[0] >= 0xE0 && at[0] <= 0xEF) {
        bool overlong = at[0] == 0xE0 && at[1] < 0xA0, surrogate = at[0] == 0xED && at[1] > 0x9F;
        return continues(at[1]) && !overlong && !surrogate && continues(at[2]) ? 3 : 0;
    }
    if (at[0] >= 0xF0 && at[0] <= 0xF4) {
        bool overlong = at[0] == 0xF0 && at[1] < 0x90, beyond = at[0] == 0xF4 && at[1] > 0x8F;
        return continues(at[1]) && !overlong && !beyond && continues(at[2]) && continues(at[3]) ? 4
                                                                                                : 0;
    }
    return 0;
}

bool utf8_valid(const char *text) {
    for (size_t length; *text; text += length)
        if ((length = utf8_character(text)) == 0)
            return false;
    return true;
}

void utf8_escape(const char *text, char *out, size_t capacity) {
    size_t used = 0;
    while (*text) {
        size_t length = utf8_character(text), needed = length ? length : 4;
        if (used + needed >= capacity)
            break;
        if (length)
            memcpy(out + used, text, length);
        else
            snprintf(out + used, capacity - used, "\\x%02X", (unsigned char)*text);
        used += needed;
        text += length ? length : 1;
    }
    out[used] = '\0';
}
