#include "report/picture/plot_gnuplot.h"

#include "base/child.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int read_back(int file, text_buffer *out, ls_error *error) {
    char block[65536];
    ssize_t count;
    if (lseek(file, 0, SEEK_SET) != 0)
        return ls_fail_errno(error, LS_FAILED, "gnuplot: cannot read what it wrote");
    while ((count = read(file, block, sizeof block)) > 0)
        text_add_bytes(out, block, (size_t)count);
    if (count < 0)
        return ls_fail_errno(error, LS_FAILED, "gnuplot: cannot read what it wrote");
    return text_buffer_check(out, error);
}

/* The last line that says something: before it come the command and a mark below its mistake. */
static int fail_with_message(int file, int status, ls_error *error) {
    text_buffer said = {0};
    LS_TRY(read_back(file, &said, error));
    while (said.length && strchr(" \t\r\n", said.bytes[said.length - 1]))
        said.bytes[--said.length] = '\0';
    const char *line = said.length ? strrchr(said.bytes, '\n') : NULL;
    line = line ? line + 1 : said.length ? said.bytes : "it says nothing";
    if (WIFSIGNALED(status))
        ls_fail(error, LS_FAILED, "gnuplot was ended by signal %d (%.200s)", WTERMSIG(status),
                line);
    else
        ls_fail(error, LS_FAILED, "gnuplot failed: %.400s", line);
    text_free(&said);
    return LS_FAILED;
}

static int run_over(const int files[CHILD_STREAMS], double deadline_seconds, ls_error *error) {
    char *const arguments[] = {"gnuplot", "--default-settings", NULL};
    int status;
    switch (child_run(arguments, files, deadline_seconds, &status)) {
    case CHILD_FAILED:
        return ls_fail_errno(error, LS_FAILED, "gnuplot: cannot start a process");
    case CHILD_LATE:
        return ls_fail(error, LS_FAILED, "gnuplot did not end within %g s: no picture is made",
                       deadline_seconds);
    case CHILD_MISSING:
        return ls_fail(error, LS_FAILED,
                       "gnuplot is not on the PATH: install it (Debian, Ubuntu: apt-get install "
                       "gnuplot-nox) or load its module");
    case CHILD_ENDED:
        break;
    }
    return status == 0 ? LS_OK : fail_with_message(files[CHILD_MESSAGES], status, error);
}

int gnuplot_run(const text_buffer *script, double deadline_seconds, text_buffer *out,
                ls_error *error) {
    int files[CHILD_STREAMS] = {-1, -1, -1};
    int status = text_buffer_check(script, error);
    for (int stream = 0; status == LS_OK && stream < CHILD_STREAMS; stream++)
        if ((files[stream] = memfd_create("lockstep-gnuplot", MFD_CLOEXEC)) < 0)
            status = ls_fail_errno(error, LS_FAILED, "gnuplot: no memory for its files");
    if (status == LS_OK &&
        (write(files[CHILD_INPUT], script->bytes, script->length) != (ssize_t)script->length ||
         lseek(files[CHILD_INPUT], 0, SEEK_SET) != 0))
        status = ls_fail_errno(error, LS_FAILED, "gnuplot: cannot write its script");
    if (status == LS_OK)
        status = run_over(files, deadline_seconds, error);
    size_t before = out->length;
    if (status == LS_OK)
        status = read_back(files[CHILD_OUTPUT], out, error);
    if (status == LS_OK && out->length == before)
        status = fail_with_message(files[CHILD_MESSAGES], 0, error);
    for (int stream = 0; stream < CHILD_STREAMS; stream++)
        if (files[stream] >= 0)
            close(files[stream]);
    return status;
}
