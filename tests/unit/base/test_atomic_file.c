/* Atomic files, what killed processes left of them, folders. */
#include "../check.h"
#include "base/atomic_file.h"
#include "base/leftover.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int entries(const char *folder) {
    int count = 0;
    DIR *stream = opendir(folder);
    for (struct dirent *entry; (entry = readdir(stream));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(stream);
    return count;
}

static void test_atomic(const char *folder) {
    char path[512], text[32] = "";
    ls_error error = {0};
    snprintf(path, sizeof path, "%s/whole", folder);
    CHECK(atomic_file_write(path, "first", 5, &error) == LS_OK, "%s", error.text);
    CHECK(atomic_file_write(path, "second", 6, &error) == LS_OK, "%s", error.text);
    FILE *file = fopen(path, "r");
    CHECK(file && fread(text, 1, sizeof text, file) == 6 && memcmp(text, "second", 6) == 0);
    if (file)
        fclose(file);
    CHECK(entries(folder) == 1, "%d", entries(folder));
    unlink(path);
    check_case("atomic files: whole, replaced, nothing left beside them");
}

static void leave_file(const char *folder, const char *name, int days_old) {
    char path[1024];
    struct timespec times[2] = {{.tv_sec = time(NULL) - days_old * 86400L}};
    times[1] = times[0];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    CHECK(file && fclose(file) == 0);
    CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
}

static bool is_there(const char *folder, const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static pid_t ended_process(void) {
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    return child;
}

/* Whoever begins a file next removes what is nobody's, and nothing else. */
static void test_left_over(const char *parent) {
    char folder[512], own[256], dead[256], later[256], path[600], place[9];
    unsigned long long started = 0;
    atomic_file file;
    ls_error error = {0};
    snprintf(folder, sizeof folder, "%s/left", parent);
    CHECK(mkdir(folder, 0777) == 0);
    leftover_name("shard", own, sizeof own);
    CHECK(sscanf(own, ".shard.%*d-%llu-%8s", &started, place) == 2 && started > 0, "%s", own);
    snprintf(dead, sizeof dead, ".shard.%ld-%llu-%s.tmp", (long)ended_process(), started, place);
    snprintf(later, sizeof later, ".shard.%ld-%llu-%s.tmp", (long)getpid(), started - 1, place);
    const char *const stay[] = {own,
                                ".shard.1-1-00000000.tmp",
                                ".other.77.tmp",
                                "mine.1-1-00000000.tmp",
                                ".1-1-00000000.tmp",
                                ".shard.1-1-0000000g.tmp"};
    const char *const go[] = {dead, later, ".old.1-1-00000000.tmp"};
    for (int index = 0; index < 6; index++)
        leave_file(folder, stay[index], index > 1 ? 9 : 0);
    for (int index = 0; index < 3; index++)
        leave_file(folder, go[index], index > 1 ? 9 : 0);
    snprintf(path, sizeof path, "%s/other-shard", folder);
    CHECK(atomic_file_begin(&file, path, &error) == LS_OK, "%s", error.text);
    for (int index = 0; index < 6; index++)
        CHECK(is_there(folder, stay[index]), "%s was removed", stay[index]);
    for (int index = 0; index < 3; index++)
        CHECK(!is_there(folder, go[index]), "%s was left", go[index]);
    atomic_file_discard(&file);
    for (int index = 0; index < 6; index++) {
        snprintf(path, sizeof path, "%s/%s", folder, stay[index]);
        unlink(path);
    }
    rmdir(folder);
    check_case("atomic files: what a killed process left is removed, what lives is not");
}

static void test_long_name(const char *folder) {
    char path[512];
    ls_error error = {0};
    snprintf(path, sizeof path, "%s/%0250d", folder, 7);
    CHECK(atomic_file_write(path, "x", 1, &error) == LS_OK, "%s", error.text);
    unlink(path);
    check_case("atomic files: a name as long as any");
}

/* A file size limit stands for a full disk. */
static void test_atomic_failure(const char *folder) {
    static char bytes[65536];
    char path[512];
    ls_error error = {0};
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){1000, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    snprintf(path, sizeof path, "%s/large", folder);
    int status = atomic_file_write(path, bytes, sizeof bytes, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    CHECK(status == LS_FAILED && strstr(error.text, "large"), "%d %s", status, error.text);
    CHECK(entries(folder) == 0, "%d", entries(folder));
    error = (ls_error){0};
    snprintf(path, sizeof path, "%s/absent/file", folder);
    CHECK(atomic_file_write(path, "x", 1, &error) == LS_FAILED && strstr(error.text, "absent"));
    check_case("atomic files: a failed write leaves nothing and names the file");
}

static void test_discard_all(const char *folder) {
    enum { FILES = 200 };
    static atomic_file files[FILES];
    ls_error error = {0};
    for (int index = 0; index < FILES; index++) {
        char path[512];
        snprintf(path, sizeof path, "%s/file-%d", folder, index);
        CHECK(atomic_file_begin(&files[index], path, &error) == LS_OK, "%s", error.text);
        FILE *file = fopen(files[index].temporary, "w");
        CHECK(file);
        if (file)
            fclose(file);
    }
    CHECK(atomic_file_commit(&files[100], &error) == LS_OK, "%s", error.text);
    atomic_file_discard(&files[0]);
    CHECK(entries(folder) == FILES - 1);
    atomic_file_discard_all();
    CHECK(entries(folder) == 1, "%d", entries(folder));
    unlink(files[100].path);
    check_case("atomic files: what is unfinished can be removed at once, 200 files too");
}

static void test_folder(const char *folder) {
    char path[512];
    ls_error error = {0};
    struct stat found;
    snprintf(path, sizeof path, "%s/a/b/c", folder);
    CHECK(folder_create(path, &error) == LS_OK && folder_create(path, &error) == LS_OK);
    CHECK(stat(path, &found) == 0 && S_ISDIR(found.st_mode));
    rmdir(path);
    FILE *file = fopen(path, "w");
    if (file)
        fclose(file);
    CHECK(folder_create(path, &error) == LS_BAD_INPUT && strstr(error.text, "found a file"));
    error = (ls_error){0};
    strcat(path, "/d");
    CHECK(folder_create(path, &error) == LS_BAD_INPUT, "%s", error.text);
    check_case("folders: made with their parents; a file in the way is named");
}

int main(void) {
    char folder[] = "/tmp/lockstep-files-XXXXXX", command[600];
    if (!mkdtemp(folder))
        return 1;
    test_atomic(folder);
    test_left_over(folder);
    test_long_name(folder);
    test_atomic_failure(folder);
    test_discard_all(folder);
    test_folder(folder);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 || check_done();
}
