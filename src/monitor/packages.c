#include "monitor/packages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_PACKAGES = 64, PATH_BYTES = 512 };

typedef struct zone {
    int file; /* energy_uj, open */
    unsigned long long before, range;
} zone;

struct packages {
    zone zones[MOST_PACKAGES];
    int count;
    double microjoules;
};

/* A file of one line, without its end; false with errno where it cannot be read. */
static bool read_line(int file, char *out, size_t capacity) {
    ssize_t length = pread(file, out, capacity - 1, 0);
    if (length < 0)
        return false;
    out[length] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return true;
}

static bool read_file(const char *folder, const char *name, char *out, size_t capacity) {
    char path[2 * PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    bool read = read_line(file, out, capacity);
    int why = errno;
    close(file);
    errno = why;
    return read;
}

static bool parse(const char *text, unsigned long long *out) {
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

/* "intel-rapl:0" and not "intel-rapl:0:1", a part of it, nor "intel-rapl-mmio:0", the same again;
 * and not the whole platform ("psys"). */
static bool is_package(const char *name, const char *folder) {
    static const char prefix[] = "intel-rapl:";
    char called[64];
    return strncmp(name, prefix, sizeof prefix - 1) == 0 &&
           !strchr(name + sizeof prefix - 1, ':') &&
           read_file(folder, "name", called, sizeof called) && strncmp(called, "package", 7) == 0;
}

static int add_zone(packages *self, const char *folder, ls_error *error) {
    char path[2 * PATH_BYTES], text[32];
    zone *zone = &self->zones[self->count];
    if (self->count == MOST_PACKAGES)
        return ls_fail(error, LS_FAILED, "%s: more than %d packages", folder, MOST_PACKAGES);
    snprintf(path, sizeof path, "%s/energy_uj", folder);
    zone->file = open(path, O_RDONLY | O_CLOEXEC);
    if (zone->file < 0)
        return ls_fail(error, LS_FAILED, "%s: %s", path, strerror(errno));
    self->count++;
    if (!read_line(zone->file, text, sizeof text))
        return ls_fail(error, LS_FAILED, "%s: %s", path, strerror(errno));
    if (!parse(text, &zone->before))
        return ls_fail(error, LS_FAILED, "%s: expected a number, found '%s'", path, text);
    if (!read_file(folder, "max_energy_range_uj", text, sizeof text) || !parse(text, &zone->range))
        return ls_fail(error, LS_FAILED, "%s/max_energy_range_uj: expected a number", folder);
    return LS_OK;
}

static int add_zones(packages *self, const char *root, DIR *list, ls_error *error) {
    for (const struct dirent *entry; (entry = readdir(list));) {
        char folder[PATH_BYTES];
        int length = snprintf(folder, sizeof folder, "%s/%s", root, entry->d_name);
        if (length < (int)sizeof folder && is_package(entry->d_name, folder))
            LS_TRY(add_zone(self, folder, error));
    }
    if (self->count == 0)
        return ls_fail(error, LS_FAILED, "%s: no zone of a CPU package", root);
    return LS_OK;
}

int packages_open(packages **out, ls_error *error) {
    const char *given = getenv("LOCKSTEP_POWERCAP");
    const char *root = given && given[0] ? given : "/sys/class/powercap";
    *out = NULL;
    DIR *list = opendir(root);
    if (!list)
        return ls_fail(error, LS_FAILED, "%s: %s", root, strerror(errno));
    packages *self = calloc(1, sizeof *self);
    int status = self ? add_zones(self, root, list, error)
                      : ls_fail(error, LS_FAILED, "CPU packages: out of memory");
    closedir(list);
    if (status == LS_OK)
        *out = self;
    else
        packages_close(self);
    return status;
}

void packages_close(packages *self) {
    for (int index = 0; self && index < self->count; index++)
        close(self->zones[index].file);
    free(self);
}

int packages_count(const packages *self) {
    return self ? self->count : 0;
}

/* Microjoules since it was last read: the counter goes from 0 to `range` and begins anew. */
static double grown(zone *self) {
    char text[32];
    unsigned long long now, before = self->before;
    if (!read_line(self->file, text, sizeof text) || !parse(text, &now))
        return NAN;
    self->before = now;
    if (now >= before)
        return (double)(now - before);
    return self->range >= before ? (double)(self->range - before) + (double)now : NAN;
}

double packages_joules(packages *self) {
    if (!self)
        return NAN;
    for (int index = 0; index < self->count; index++)
        self->microjoules += grown(&self->zones[index]);
    return 1e-6 * self->microjoules;
}
