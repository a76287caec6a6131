#include "base/child.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NOT_THERE = 127 };

static const double look_seconds = 0.005;

/* Only calls that are safe between fork and exec. A child whose parent was killed must not go on.
 */
static void become(char *const arguments[], const int files[CHILD_STREAMS]) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int stream = 0; stream < CHILD_STREAMS; stream++)
        if (dup2(files[stream], stream) < 0)
            _exit(1);
    execvp(arguments[0], arguments);
    _exit(errno == ENOENT || errno == EACCES ? NOT_THERE : 1);
}

/* True where it ended in time, else it is killed. */
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

child_end child_run(char *const arguments[], const int files[CHILD_STREAMS],
                    double deadline_seconds, int *status) {
    double deadline = clock_seconds() + deadline_seconds;
    pid_t child = fork();
    *status = 0;
    if (child < 0)
        return CHILD_FAILED;
    if (child == 0)
        become(arguments, files);
    if (!wait_until(child, deadline, status))
        return CHILD_LATE;
    return WIFEXITED(*status) && WEXITSTATUS(*status) == NOT_THERE ? CHILD_MISSING : CHILD_ENDED;
}
