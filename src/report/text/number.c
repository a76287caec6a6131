#include "report/text/number.h"

#include "base/text_buffer.h"

#include <math.h>

/* What would be printed as "-0.0" is 0. */
static double no_minus(double value, int decimals) {
    return fabs(value) < 0.5 * pow(10, -decimals) ? 0 : value;
}

number_text number(double value, int decimals) {
    number_text out = {"-"};
    if (!isnan(value))
        format_plain(out.text, sizeof out.text, "%.*f", decimals, no_minus(value, decimals));
    return out;
}

number_text percent(double fraction, int decimals) {
    number_text out = {"-"};
    if (!isnan(fraction))
        format_plain(out.text, sizeof out.text, "%.*f%%", decimals,
                     no_minus(100 * fraction, decimals));
    return out;
}
