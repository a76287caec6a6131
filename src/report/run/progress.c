#include "report/run/progress.h"

#include "base/clock.h"
#include "base/text_buffer.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const double seconds_between_draws = 0.1;

/* 0 where it is not known. */
static int columns_of(int descriptor) {
    struct winsize size = {0};
    return ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* mpirun gives its processes a terminal of its own making, without a size, and copies what comes
 * out of it to wherever mpirun's own output goes: that decides. */
static int terminal_of_launcher(void) {
    char path[64];
    struct stat status;
    format_plain(path, sizeof path, "/proc/%ld/fd/1", (long)getppid());
    if (stat(path, &status) != 0 || !S_ISCHR(status.st_mode))
        return -1;
    int descriptor = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor >= 0 && !isatty(descriptor)) {
        close(descriptor);
        descriptor = -1;
    }
    return descriptor;
}

progress progress_start(void) {
    progress self = {.terminal = -1};
    if (isatty(STDOUT_FILENO))
        self.terminal = columns_of(STDOUT_FILENO) > 0 ? STDOUT_FILENO : terminal_of_launcher();
    return self;
}

bool progress_due(const progress *self) {
    return self->terminal >= 0 && clock_seconds() >= self->next;
}

int progress_width(int terminal) {
    int columns = columns_of(terminal);
    return (columns > 0 ? columns : 80) - 1;
}

void progress_show(progress *self, const char *format, ...) {
    if (self->terminal < 0)
        return;
    text_buffer line = {0};
    va_list values;
    va_start(values, format);
    text_add_list(&line, format, values);
    va_end(values);
    if (line.bytes) {
        /* ESC [ K: erase what an earlier, longer line left behind. */
        printf("\r%.*s\033[K", progress_width(self->terminal), line.bytes);
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

void progress_end(progress *self) {
    progress_clear(self);
    if (self->terminal > STDERR_FILENO)
        close(self->terminal);
    self->terminal = -1;
}
