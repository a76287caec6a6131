/* `srun --mpi=list`, with a limit: a Slurm in trouble must not keep the doctor. */
#include "base/clock.h"
#include "doctor/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const double PATIENCE_SECONDS = 2;

static pid_t start_srun(int output) {
    char *arguments[] = {"srun", "--mpi=list", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t process = -1;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (posix_spawnp(&process, "srun", &actions, &attributes, arguments, environ) != 0)
        process = -1;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return process;
}

/* Until the other end is closed, or patience ends. True where all was read. */
static bool read_all(int input, char *out, size_t capacity) {
    double until = clock_seconds() + PATIENCE_SECONDS;
    size_t used = 0;
    for (;;) {
        struct pollfd one = {.fd = input, .events = POLLIN};
        double left = until - clock_seconds();
        int ready = left > 0 ? poll(&one, 1, (int)(left * 1e3) + 1) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        ssize_t got = ready > 0 ? read(input, out + used, capacity - 1 - used) : -1;
        if (got > 0)
            used += (size_t)got;
        out[used] = '\0';
        if (got <= 0 || used == capacity - 1)
            return got == 0;
    }
}

/* Slurm 22.05: a heading, a name a line after a tab, "specific pmix plugin versions available: ".
 */
static void join_names(char *text, char *out, size_t capacity) {
    static const char versions[] = "versions available:";
    size_t used = 0;
    out[0] = '\0';
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        char *names = strstr(line, versions);
        if (names)
            names += sizeof versions - 1;
        else if (line[0] == '\t' || (line[0] == ' ' && !strchr(line, ':')))
            names = line;
        for (char *name; names && (name = strsep(&names, " \t,"));)
            if (*name && used < capacity)
                used +=
                    (size_t)snprintf(out + used, capacity - used, "%s%s", used ? ", " : "", name);
    }
}

void slurm_mpi_plugins(char *out, size_t capacity) {
    char text[2048] = "";
    int ends[2];
    out[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    pid_t process = start_srun(ends[1]);
    close(ends[1]);
    if (process > 0) {
        int status = 0;
        bool all = read_all(ends[0], text, sizeof text);
        if (!all)
            kill(process, SIGKILL);
        while (waitpid(process, &status, 0) < 0 && errno == EINTR)
            ;
        if (all && WIFEXITED(status) && WEXITSTATUS(status) == 0)
            join_names(text, out, capacity);
    }
    close(ends[0]);
}
