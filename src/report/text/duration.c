#include "report/text/duration.h"

#include "base/text_buffer.h"

#include <math.h>

duration_text duration(double seconds) {
    duration_text out;
    if (!isfinite(seconds)) {
        format_plain(out.text, sizeof out.text, "-");
        return out;
    }
    /* Two decimals would print 59.996 s as 60.00 s: from there on it is a minute. */
    if (round(seconds * 100) < 6000) {
        format_plain(out.text, sizeof out.text, "%.2f s", seconds);
        return out;
    }
    long long whole = llround(seconds);
    long long hours = whole / 3600, minutes = whole / 60 % 60;
    if (hours > 0)
        format_plain(out.text, sizeof out.text, "%lld h %lld min %lld s", hours, minutes,
                     whole % 60);
    else
        format_plain(out.text, sizeof out.text, "%lld min %lld s", minutes, whole % 60);
    return out;
}
