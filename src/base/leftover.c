#include "base/leftover.h"

#include "base/hash.h"
#include "base/process.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
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
    process_id process; /* boot and space as here: read from this place alone */
    uint32_t place;
} owner;

static uint32_t place_of(const process_id *process) {
    uint64_t hash = hash_bytes(HASH_START, process->boot, strlen(process->boot));
    hash = hash_bytes(hash, process->space, strlen(process->space));
    return (uint32_t)(hash ^ hash >> 32);
}

static owner myself;

static void find_myself(void) {
    process_id_own(&myself.process);
    myself.place = place_of(&myself.process);
}

static const owner *me(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_myself);
    return &myself;
}

void leftover_name(const char *name, char *out, size_t capacity) {
    const owner *self = me();
    snprintf(out, capacity, ".%.*s.%ld-%llu-%08x.tmp", LONGEST_NAME, name, self->process.pid,
             self->process.start_ticks, (unsigned)self->place);
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
    *out = *me();
    out->process.pid = strtol(process, NULL, 10);
    out->process.start_ticks = strtoull(started, NULL, 10);
    out->place = (uint32_t)strtoul(place, NULL, 16);
    return 0;
}

static process_state state_of(const owner *self) {
    bool here = self->place == me()->place && self->process.start_ticks != 0;
    return here ? process_look(&self->process) : PROCESS_ELSEWHERE;
}

static bool is_left(int folder, const char *name) {
    owner whose;
    struct stat found;
    if (owner_from(name, &whose) != 0)
        return false;
    process_state state = state_of(&whose);
    if (state != PROCESS_ELSEWHERE)
        return state == PROCESS_ENDED;
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
