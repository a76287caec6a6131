#include "report/progress.h"

#include "base/clock.h"
#include "report/text_buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double seconds_between_draws = 0.1;

progress progress_start(void) {
    return (progress){.terminal = isatty(STDOUT_FILENO)};
}

bool progress_due(const progress *self) {
    return self->terminal && clock_seconds() >= self->next;
}

/* The last column stays free: some terminals go to the next line when it is filled. */
static int usable_width(void) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 79;
    return size.ws_col - 1;
}

void progress_show(progress *self, const char *format, ...) {
    if (!self->terminal)
        return;
    text_buffer line = {0};
    va_list values;
    va_start(values, format);
    text_add_list(&line, format, values);
    va_end(values);
    if (line.bytes) {
        /* ESC [ K: erase what an earlier, longer line left behind. */
        printf("\r%.*s\033[K", usable_width(), line.bytes);
        fflush(stdout);
        self->shown = true;
        self->next = clock_seconds() + seconds_between_draws;
    }
    text_free(&line);
}

void progress_clear(progress *self) {
    if (!self->shown)
        return;
    printf("\r\033[K");
    self->shown = false;
}
