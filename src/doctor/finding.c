#include "doctor/check.h"

#include <stdarg.h>
#include <stdio.h>

enum { TEXTS = 4 };

void finding_say(finding *self, finding_level level, const char *mend, const char *format, ...) {
    va_list values;
    if (self->found[0] && level <= self->level)
        return;
    self->level = level;
    va_start(values, format);
    vsnprintf(self->found, sizeof self->found, format, values);
    va_end(values);
    snprintf(self->mend, sizeof self->mend, "%s", mend ? mend : "");
}

const char *name_rank(const ward *all, int rank) {
    static char texts[TEXTS][96];
    static int next;
    char *text = texts[next++ % TEXTS];
    snprintf(text, sizeof texts[0], "rank %d (host %s)", rank, all->beds[rank].host);
    return text;
}

const char *mend_text(const char *format, ...) {
    static char text[320];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    return text;
}

const char *size_text(double bytes) {
    static char texts[TEXTS][32];
    static int next;
    char *text = texts[next++ % TEXTS];
    if (bytes >= 1024.0 * 1024 * 1024)
        snprintf(text, sizeof texts[0], "%.1f GiB", bytes / (1024.0 * 1024 * 1024));
    else if (bytes >= 1024.0 * 1024)
        snprintf(text, sizeof texts[0], "%.0f MiB", bytes / (1024.0 * 1024));
    else
        snprintf(text, sizeof texts[0], "%.0f KiB", bytes / 1024);
    return text;
}
