#include "base/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct search {
    const char *root, *controller;
    void (*visit)(void *context, const char *folder);
    void *context;
} search;

/* "cpu" in "cpu,cpuacct". */
static bool lists(const char *list, const char *name) {
    size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += length)
        if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

/* proc(5): space, tab, newline and backslash in paths stand as \040 and so on. */
static void decode(char *path) {
    char *out = path;
    for (const char *at = path; *at; out++) {
        unsigned code;
        if (sscanf(at, "\\%3o", &code) == 1) {
            *out = (char)code;
            at += 4;
        } else {
            *out = *at++;
        }
    }
    *out = '\0';
}

/* What of `path` lies below a mount of `root`; "", so the mount itself, where it is not below (a
 * namespace or a container hides what is above). */
static const char *below(const char *path, const char *root) {
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strstr(path, "/..") || strncmp(path, root, length) != 0 ||
        (path[length] != '/' && path[length] != '\0'))
        return "";
    return strcmp(path + length, "/") == 0 ? "" : path + length;
}

static void visit_upwards(const search *self, const char *mount, const char *path) {
    char folder[CGROUP_PATH];
    size_t top = strlen(self->root) + strlen(mount);
    int length = snprintf(folder, sizeof folder, "%s%s%s", self->root, mount, path);
    if (length >= (int)sizeof folder)
        return;
    for (;;) {
        self->visit(self->context, folder);
        char *last = strrchr(folder, '/');
        if (strlen(folder) <= top || !last || last < folder + top)
            return;
        *last = '\0';
    }
}

/* A line of mountinfo: "36 35 98:0 /root /mount options optional... - type source options". The
 * first mount that has the group is taken. */
static bool visit_mount(const search *self, char *line, const char *type, const char *path) {
    char root[CGROUP_PATH], mount[CGROUP_PATH], found[32], options[CGROUP_PATH] = "";
    const char *rest = strstr(line, " - ");
    if (!rest || sscanf(rest, " - %31s %*s %511s", found, options) < 1 ||
        strcmp(found, type) != 0 || sscanf(line, "%*s %*s %*s %511s %511s", root, mount) != 2)
        return false;
    if (strcmp(type, "cgroup") == 0 && !lists(options, self->controller))
        return false;
    decode(root);
    decode(mount);
    visit_upwards(self, mount, below(path, root));
    return true;
}

static FILE *open_proc(const search *self, const char *name) {
    char path[CGROUP_PATH];
    snprintf(path, sizeof path, "%s/proc/self/%s", self->root, name);
    return fopen(path, "re");
}

static void visit_hierarchy(const search *self, const char *type, const char *path) {
    FILE *mounts = open_proc(self, "mountinfo");
    char *line = NULL;
    size_t capacity = 0;
    bool found = false;
    while (mounts && !found && getline(&line, &capacity, mounts) > 0)
        found = visit_mount(self, line, type, path);
    free(line);
    if (mounts)
        fclose(mounts);
}

/* Lines of /proc/self/cgroup: "4:cpu,cpuacct:/path" of v1, "0::/path" of v2. */
void cgroup_visit(const char *root, const char *controller,
                  void (*visit)(void *context, const char *folder), void *context) {
    search self = {root, controller, visit, context};
    FILE *groups = open_proc(&self, "cgroup");
    char *line = NULL;
    size_t capacity = 0;
    while (groups && getline(&line, &capacity, groups) > 0) {
        line[strcspn(line, "\n")] = '\0';
        char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        list++;
        if (*list == '\0')
            visit_hierarchy(&self, "cgroup2", path);
        else if (lists(list, controller))
            visit_hierarchy(&self, "cgroup", path);
    }
    free(line);
    if (groups)
        fclose(groups);
}

bool cgroup_read_line(const char *folder, const char *name, char *out, int capacity) {
    char path[CGROUP_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    bool read = file && fgets(out, capacity, file);
    if (file)
        fclose(file);
    return read;
}
