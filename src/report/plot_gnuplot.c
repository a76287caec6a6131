#include "report/plot_gnuplot.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NOT_THERE = 127, INPUT = 0, OUTPUT, MESSAGES, STREAMS };

static const double look_seconds = 0.005;

/* The child: only calls that are safe between fork and exec. A gnuplot whose report was killed must
 * not go on. */
static void become_gnuplot(const int files[STREAMS]) {
    char *const arguments[] = {"gnuplot", "--default-settings", NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int stream = 0; stream < STREAMS; stream++)
        if (dup2(files[stream], stream) < 0)
            _exit(1);
    execvp(arguments[0], arguments);
    _exit(errno == ENOENT || errno == EACCES ? NOT_THERE : 1);
}

/* Waits for the child; true where it ended in time, else it is killed. */
static bool wait_until(pid_t child, double deadline, int *status) {
    struct timespec pause = {.tv_nsec = (long)(look_seconds * 1e9)};
    while (waitpid(child, status, WNOHANG) == 0) {
        if (clock_seconds() > deadline) {
            kill(child, SIGKILL);
            waitpid(child, status, 0);
            return false;
        }
        nanosleep(&pause, NULL);
    }
    return true;
}

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

static int run_over(const int files[STREAMS], double deadline_seconds, ls_error *error) {
    int status = 0;
    double deadline = clock_seconds() + deadline_seconds;
    pid_t child = fork();
    if (child < 0)
        return ls_fail_errno(error, LS_FAILED, "gnuplot: cannot start a process");
    if (child == 0)
        become_gnuplot(files);
    if (!wait_until(child, deadline, &status))
        return ls_fail(error, LS_FAILED, "gnuplot did not end within %g s: no picture is made",
                       deadline_seconds);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_THERE)
        return ls_fail(error, LS_FAILED,
                       "gnuplot is not on the PATH: install it (Debian, Ubuntu: apt-get install "
                       "gnuplot-nox) or load its module");
    if (status != 0)
        return fail_with_message(files[MESSAGES], status, error);
    return LS_OK;
}

int gnuplot_run(const text_buffer *script, double deadline_seconds, text_buffer *out,
                ls_error *error) {
    int files[STREAMS] = {-1, -1, -1};
    int status = text_buffer_check(script, error);
    for (int stream = 0; status == LS_OK && stream < STREAMS; stream++)
        if ((files[stream] = memfd_create("lockstep-gnuplot", MFD_CLOEXEC)) < 0)
            status = ls_fail_errno(error, LS_FAILED, "gnuplot: no memory for its files");
    if (status == LS_OK &&
        (write(files[INPUT], script->bytes, script->length) != (ssize_t)script->length ||
         lseek(files[INPUT], 0, SEEK_SET) != 0))
        status = ls_fail_errno(error, LS_FAILED, "gnuplot: cannot write its script");
    if (status == LS_OK)
        status = run_over(files, deadline_seconds, error);
    size_t before = out->length;
    if (status == LS_OK)
        status = read_back(files[OUTPUT], out, error);
    if (status == LS_OK && out->length == before)
        status = fail_with_message(files[MESSAGES], 0, error);
    for (int stream = 0; stream < STREAMS; stream++)
        if (files[stream] >= 0)
            close(files[stream]);
    return status;
}
