#include "base/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Field 2 is the command in parentheses, which may itself hold spaces, so counting starts at the
 * last ')'. Field 3 is the state. */
unsigned long long process_start_ticks(const char *process) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%s/stat", process);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    size_t used = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[used] = '\0';
    const char *field = strrchr(line, ')');
    unsigned long long ticks = 0;
    if (!field || field[1] != ' ' || strchr("ZX", field[2]))
        return 0;
    for (int index = 2; field && index < 22; index++)
        field = strchr(field + 1, ' ');
    if (!field || sscanf(field, "%llu", &ticks) != 1)
        return 0;
    return ticks;
}

static void read_boot(char *out, int capacity) {
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!file || !fgets(out, capacity, file))
        out[0] = '\0';
    if (file)
        fclose(file);
    out[strcspn(out, "\n")] = '\0';
}

void process_id_own(process_id *out) {
    *out = (process_id){.pid = getpid(), .start_ticks = process_start_ticks("self")};
    read_boot(out->boot, sizeof out->boot);
    ssize_t length = readlink("/proc/self/ns/pid", out->space, sizeof out->space - 1);
    out->space[length > 0 ? length : 0] = '\0';
}

process_state process_look(const process_id *process) {
    process_id own;
    char number[32];
    process_id_own(&own);
    if (!own.boot[0] || !own.space[0] || strcmp(own.boot, process->boot) != 0 ||
        strcmp(own.space, process->space) != 0)
        return PROCESS_ELSEWHERE;
    snprintf(number, sizeof number, "%ld", process->pid);
    unsigned long long ticks = process_start_ticks(number);
    if (ticks)
        return ticks == process->start_ticks ? PROCESS_RUNS : PROCESS_ENDED;
    /* Other users' processes may be hidden (mount option hidepid). */
    snprintf(number, sizeof number, "/proc/%ld/stat", process->pid);
    if (access(number, F_OK) != 0 && kill((pid_t)process->pid, 0) != 0 && errno == EPERM)
        return PROCESS_ELSEWHERE;
    return PROCESS_ENDED;
}
