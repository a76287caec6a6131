#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool fuzz_accepted;
static char folder[64];

static void remove_folder(void) {
    DIR *stream = opendir(folder);
    for (struct dirent *entry; stream && (entry = readdir(stream));)
        unlinkat(dirfd(stream), entry->d_name, 0);
    if (stream)
        closedir(stream);
    rmdir(folder);
}

const char *fuzz_folder(void) {
    if (folder[0])
        return folder;
    snprintf(folder, sizeof folder, "/dev/shm/lockstep-fuzz-XXXXXX");
    if (!mkdtemp(folder)) {
        snprintf(folder, sizeof folder, "/tmp/lockstep-fuzz-XXXXXX");
        if (!mkdtemp(folder))
            abort();
    }
    atexit(remove_folder);
    return folder;
}

static void write_file(const char *path, const void *bytes, size_t size) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0 || write(file, bytes, size) != (ssize_t)size)
        abort();
    close(file);
}

const char *fuzz_file(const char *name, const void *bytes, size_t size) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    write_file(path, bytes, size);
    return path;
}

bool fuzz_text(const char *const *texts, int count, int number, const char *path) {
    if (number >= count)
        return false;
    write_file(path, texts[number], strlen(texts[number]));
    return true;
}

/* libFuzzer's, before its first input. Its own limit is by the clock, which says little on a
 * machine with other work; SIGUSR1 ends it as that limit does (-handle_usr1, on by default). */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    const char *seconds = getenv("FUZZ_SECONDS");
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;
    (void)argc;
    (void)argv;
    if (!seconds)
        return 0;
    struct itimerspec when = {.it_value.tv_sec = atol(seconds)};
    if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) != 0 ||
        timer_settime(timer, 0, &when, NULL) != 0)
        abort();
    return 0;
}
