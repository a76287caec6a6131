#include "base/claim_holder.h"

#include "base/child.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const double ask_seconds = 5;

static void copy_variable(char *out, size_t capacity, const char *name) {
    const char *text = getenv(name);
    snprintf(out, capacity, "%s", text ? text : "");
}

static int own_attempt(void) {
    const char *restarts = getenv("SLURM_RESTART_COUNT");
    return restarts ? atoi(restarts) : 0;
}

static void make_key(char out[33]) {
    uint64_t words[2];
    if (getrandom(words, sizeof words, 0) != (ssize_t)sizeof words) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        words[0] = (uint64_t)now.tv_sec ^ ((uint64_t)getpid() << 40);
        words[1] = (uint64_t)now.tv_nsec;
    }
    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, words[0], words[1]);
}

void claim_holder_own(claim_holder *out) {
    time_t now = time(NULL);
    struct tm local;
    *out = (claim_holder){.attempt = own_attempt()};
    if (gethostname(out->host, sizeof out->host - 1) != 0)
        snprintf(out->host, sizeof out->host, "localhost");
    process_id_own(&out->process);
    copy_variable(out->job, sizeof out->job, "SLURM_JOB_ID");
    /* A batch script's own number is none of a step. */
    if (getenv("SLURM_PROCID") && out->job[0])
        copy_variable(out->step, sizeof out->step, "SLURM_STEP_ID");
    if (strspn(out->step, "0123456789") != strlen(out->step) || strlen(out->step) > 9)
        out->step[0] = '\0';
    localtime_r(&now, &local);
    strftime(out->since, sizeof out->since, "%Y-%m-%dT%H:%M:%S%z", &local);
    make_key(out->key);
}

size_t claim_holder_write(const claim_holder *self, char out[CLAIM_TEXT]) {
    int length =
        snprintf(out, CLAIM_TEXT,
                 "host %s\npid %ld\nstart %llu\nboot %s\nspace %s\njob %s\nstep %s\nattempt %d\n"
                 "since %s\nkey %s\n",
                 self->host, self->process.pid, self->process.start_ticks, self->process.boot,
                 self->process.space, self->job, self->step, self->attempt, self->since, self->key);
    return length < CLAIM_TEXT ? (size_t)length : CLAIM_TEXT - 1;
}

/* The value of "name value" on a line of its own; "" where there is none. */
static void find_value(const char *text, const char *name, char *out, size_t capacity) {
    size_t length = strlen(name);
    out[0] = '\0';
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (strncmp(line, name, length) == 0 && line[length] == ' ') {
            const char *value = line + length + 1;
            snprintf(out, capacity, "%.*s", (int)strcspn(value, "\n"), value);
            return;
        }
}

void claim_holder_read(claim_holder *out, const char *text) {
    char number[32];
    *out = (claim_holder){0};
    find_value(text, "host", out->host, sizeof out->host);
    find_value(text, "boot", out->process.boot, sizeof out->process.boot);
    find_value(text, "space", out->process.space, sizeof out->process.space);
    find_value(text, "job", out->job, sizeof out->job);
    find_value(text, "step", out->step, sizeof out->step);
    find_value(text, "since", out->since, sizeof out->since);
    find_value(text, "key", out->key, sizeof out->key);
    find_value(text, "pid", number, sizeof number);
    out->process.pid = strtol(number, NULL, 10);
    find_value(text, "start", number, sizeof number);
    out->process.start_ticks = strtoull(number, NULL, 10);
    find_value(text, "attempt", number, sizeof number);
    out->attempt = atoi(number);
}

/* ---- Slurm: squeue(1) lists a step, or the state of a job, while there is one */

static size_t read_all(int file, char *out, size_t capacity) {
    ssize_t length = pread(file, out, capacity - 1, 0);
    out[length > 0 ? length : 0] = '\0';
    return strlen(out);
}

static holder_state judge(int status, int files[CHILD_STREAMS]) {
    static const char *const over[] = {"COMPLET",   "FAILED",    "CANCELLED",
                                       "TIMEOUT",   "NODE_FAIL", "OUT_OF_ME",
                                       "PREEMPTED", "BOOT_FAIL", "DEADLINE"};
    char text[512];
    if (!WIFEXITED(status))
        return HOLDER_UNKNOWN;
    if (WEXITSTATUS(status) != 0) {
        read_all(files[CHILD_MESSAGES], text, sizeof text);
        return strstr(text, "Invalid job id") ? HOLDER_ENDED : HOLDER_UNKNOWN;
    }
    if (read_all(files[CHILD_OUTPUT], text, sizeof text) == 0)
        return HOLDER_ENDED;
    for (size_t index = 0; index < sizeof over / sizeof over[0]; index++)
        if (strncmp(text, over[index], strlen(over[index])) == 0)
            return HOLDER_ENDED;
    return HOLDER_RUNS;
}

static holder_state ask_slurm(const claim_holder *self) {
    char what[96];
    int files[CHILD_STREAMS] = {-1, -1, -1}, status;
    holder_state found = HOLDER_UNKNOWN;
    snprintf(what, sizeof what, "--%s=%s%s%s", self->step[0] ? "steps" : "jobs", self->job,
             self->step[0] ? "." : "", self->step);
    char *const arguments[] = {"squeue", "--noheader", what,
                               self->step[0] ? "--format=%i" : "--format=%T", NULL};
    if (self->job[0] == '\0' || strspn(self->job, "0123456789_") != strlen(self->job))
        return HOLDER_UNKNOWN;
    for (int stream = 0; stream < CHILD_STREAMS; stream++)
        files[stream] = memfd_create("lockstep-squeue", MFD_CLOEXEC);
    if (files[0] >= 0 && files[1] >= 0 && files[2] >= 0 &&
        child_run(arguments, files, ask_seconds, &status) == CHILD_ENDED)
        found = judge(status, files);
    for (int stream = 0; stream < CHILD_STREAMS; stream++)
        if (files[stream] >= 0)
            close(files[stream]);
    return found;
}

holder_state claim_holder_look(const claim_holder *self) {
    const char *job = getenv("SLURM_JOB_ID");
    switch (process_look(&self->process)) {
    case PROCESS_RUNS:
        return HOLDER_RUNS;
    case PROCESS_ENDED:
        return HOLDER_ENDED;
    case PROCESS_ELSEWHERE:
        break;
    }
    /* Slurm starts a job again when nothing of its last attempt runs any more. */
    if (job && self->job[0] && strcmp(job, self->job) == 0 && self->attempt < own_attempt())
        return HOLDER_ENDED;
    return ask_slurm(self);
}

void claim_holder_describe(const claim_holder *self, char *out, size_t capacity) {
    if (!self->key[0]) {
        snprintf(out, capacity, "a process that has not yet said which it is");
        return;
    }
    snprintf(out, capacity, "pid %ld on host %s%s%s, since %s", self->process.pid, self->host,
             self->job[0] ? ", Slurm job " : "", self->job, self->since);
}
