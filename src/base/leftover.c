#include "base/leftover.h"

#include "base/hash.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Of a place whose processes cannot be asked: longer than anything writes without a pause. */
enum { OLD_SECONDS = 24 * 3600, FOLDERS = 16, LONGEST_NAME = 200 };

typedef struct owner {
    long process;
    unsigned long long started; /* 0: not known */
    uint32_t place;
} owner;

/* Field 22 of /proc/PID/stat, counted from behind the name, which may hold anything. */
static unsigned long long start_of(long process) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", process);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t got = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[got] = '\0';
    char *at = strrchr(line, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

static uint32_t this_place(void) {
    char text[128];
    uint64_t hash = HASH_START;
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (file) {
        hash = hash_bytes(hash, text, fread(text, 1, sizeof text, file));
        fclose(file);
    }
    ssize_t length = readlink("/proc/self/ns/pid", text, sizeof text);
    if (length > 0)
        hash = hash_bytes(hash, text, (size_t)length);
    return (uint32_t)(hash ^ hash >> 32);
}

static owner myself;

static void find_myself(void) {
    long process = (long)getpid();
    myself = (owner){process, start_of(process), this_place()};
}

static const owner *me(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_myself);
    return &myself;
}

void leftover_name(const char *name, char *out, size_t capacity) {
    const owner *self = me();
    snprintf(out, capacity, ".%.*s.%ld-%llu-%08x.tmp", LONGEST_NAME, name, self->process,
             self->started, (unsigned)self->place);
}

/* Digits up to `end`; NULL where there is something else. */
static const char *skip_digits(const char *from, int base, char end) {
    const char *at = from;
    while (base == 16 ? isxdigit((unsigned char)*at) : isdigit((unsigned char)*at))
        at++;
    return at > from && *at == end ? at + 1 : NULL;
}

static int owner_from(const char *name, owner *out) {
    size_t length = strlen(name);
    const char *tail = length > 4 ? name + length - 4 : name;
    if (name[0] != '.' || strcmp(tail, ".tmp") != 0)
        return -1;
    const char *at = tail - 1;
    while (at > name && *at != '.')
        at--;
    const char *process = at + 1, *started = skip_digits(process, 10, '-');
    const char *place = started ? skip_digits(started, 10, '-') : NULL;
    if (at == name || !place || skip_digits(place, 16, '.') != tail + 1 || tail - place != 8)
        return -1;
    *out = (owner){strtol(process, NULL, 10), strtoull(started, NULL, 10),
                   (uint32_t)strtoul(place, NULL, 16)};
    return 0;
}

static int lives(const owner *self) {
    if (kill((pid_t)self->process, 0) != 0 && errno == ESRCH)
        return 0;
    unsigned long long started = start_of(self->process);
    return started == 0 || self->started == 0 || started == self->started;
}

static int is_left(int folder, const char *name) {
    owner whose;
    struct stat found;
    if (owner_from(name, &whose) != 0)
        return 0;
    if (whose.place == me()->place)
        return !lives(&whose);
    return fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(found.st_mode) &&
           time(NULL) - found.st_mtime > OLD_SECONDS;
}

/* Files are begun in one folder again and again. */
static int seen_before(const char *folder) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t seen[FOLDERS];
    static int next;
    uint64_t hash = hash_bytes(HASH_START, folder, strlen(folder));
    int found = 0;
    pthread_mutex_lock(&mutex);
    for (int index = 0; index < FOLDERS; index++)
        found = found || seen[index] == hash;
    if (!found)
        seen[next++ % FOLDERS] = hash;
    pthread_mutex_unlock(&mutex);
    return found;
}

void leftover_sweep(const char *folder) {
    if (seen_before(folder))
        return;
    DIR *stream = opendir(folder);
    if (!stream)
        return;
    for (struct dirent *entry; (entry = readdir(stream));)
        if (is_left(dirfd(stream), entry->d_name))
            unlinkat(dirfd(stream), entry->d_name, 0);
    closedir(stream);
}
