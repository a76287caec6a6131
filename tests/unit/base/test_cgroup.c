/* Control groups, their CPU quotas and limits on memory, of machines that are given as folders. */
#include "../check.h"
#include "base/cgroup.h"
#include "base/cpu_quota.h"
#include "base/memory_left.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char machine[64]; /* the folder */

static void put(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Folders on the way are made. */
static void put(const char *path, const char *format, ...) {
    char full[600];
    va_list values;
    snprintf(full, sizeof full, "%s/%s", machine, path);
    for (char *at = full + strlen(machine) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(full, 0755);
        *at = '/';
    }
    FILE *file = fopen(full, "w");
    CHECK(file, "cannot write %s", full);
    if (!file)
        return;
    va_start(values, format);
    vfprintf(file, format, values);
    va_end(values);
    fclose(file);
}

static void fresh(void) {
    char command[160];
    snprintf(command, sizeof command, "rm -rf %s && mkdir %s", machine, machine);
    CHECK(system(command) == 0, "%s", command);
}

/* The quotas are these, and the first stands in that file. */
static void expect(const char *name, int count, const double *cpus, const char *file) {
    cpu_quota found[MOST_CPU_QUOTAS];
    char files[MOST_CPU_QUOTAS][CPU_QUOTA_FILE];
    int quotas = cpu_quota_read(machine, found, files);
    CHECK(quotas == count, "%s: %d quotas, expected %d", name, quotas, count);
    for (int index = 0; index < quotas && index < count; index++)
        CHECK(fabs(found[index].cpus - cpus[index]) < 1e-9, "%s: %g CPUs, expected %g", name,
              found[index].cpus, cpus[index]);
    if (quotas)
        CHECK(strcmp(files[0] + strlen(machine), file) == 0, "%s: '%s'", name, files[0]);
    check_case(name);
}

#define CPUS(...) ((const double[]){__VA_ARGS__})

static void version_2(void) {
    fresh();
    put("proc/self/cgroup", "0::/user.slice/job.scope\n");
    put("proc/self/mountinfo",
        "22 1 0:5 / /proc rw - proc proc rw\n"
        "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
    put("sys/fs/cgroup/user.slice/job.scope/cpu.max", "max 100000\n");
    expect("v2: no quota", 0, NULL, "");
    put("sys/fs/cgroup/user.slice/cpu.max", "350000 100000\n");
    expect("v2: an ancestor's", 1, CPUS(3.5), "/sys/fs/cgroup/user.slice/cpu.max");
    put("sys/fs/cgroup/user.slice/job.scope/cpu.max", "50000 100000\n");
    expect("v2: its own comes first", 2, CPUS(0.5, 3.5),
           "/sys/fs/cgroup/user.slice/job.scope/cpu.max");
    put("proc/self/cgroup", "0::/../other\n"); /* outside the name space: what is mounted is all */
    put("sys/fs/cgroup/cpu.max", "200000 100000\n");
    expect("v2: a group that a name space hides", 1, CPUS(2), "/sys/fs/cgroup/cpu.max");
    put("proc/self/cgroup", "0::/\n");
    expect("v2: a container's root", 1, CPUS(2), "/sys/fs/cgroup/cpu.max");
    put("sys/fs/cgroup/cpu.max", "junk\n");
    expect("v2: what is no quota", 0, NULL, "");
}

static void version_1(void) {
    fresh();
    put("proc/self/cgroup",
        "9:cpuset:/docker/7f\n4:cpu,cpuacct:/docker/7f\n1:name=systemd:/x\n0::/\n");
    put("proc/self/mountinfo",
        "33 32 0:28 /docker/7f /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
        "34 32 0:29 /docker/7f /sys/fs/cgroup/cpu\\040and\\040time rw shared:1 master:2 - cgroup "
        "cgroup rw,cpu,cpuacct\n");
    put("sys/fs/cgroup/cpu and time/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu and time/cpu.cfs_period_us", "100000\n");
    expect("v1: no quota", 0, NULL, "");
    put("sys/fs/cgroup/cpu and time/cpu.cfs_quota_us", "25000\n");
    put("sys/fs/cgroup/cpu and time/cpu.cfs_period_us", "50000\n");
    expect("v1: a container's, of its mount", 1, CPUS(0.5),
           "/sys/fs/cgroup/cpu and time/cpu.cfs_quota_us");
    put("proc/self/cgroup", "9:cpuset:/\n3:cpuacct:/a\n");
    expect("v1: cpuacct and cpuset are not cpu", 0, NULL, "");
    put("proc/self/cgroup", "4:cpu,cpuacct:/docker/7f/step\n");
    put("sys/fs/cgroup/cpu and time/step/cpu.cfs_quota_us", "150000\n");
    put("sys/fs/cgroup/cpu and time/step/cpu.cfs_period_us", "100000\n");
    expect("v1: a group in it", 2, CPUS(1.5, 0.5),
           "/sys/fs/cgroup/cpu and time/step/cpu.cfs_quota_us");
    fresh();
    expect("a machine without control groups", 0, NULL, "");
}

static void memory(void) {
    fresh();
    double machines = memory_limit_bytes(machine);
    CHECK(machines > 1e6, "%g bytes", machines);
    put("proc/self/cgroup", "0::/user.slice/job.scope\n");
    put("proc/self/mountinfo", "29 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("sys/fs/cgroup/user.slice/job.scope/memory.max", "max\n");
    CHECK(memory_limit_bytes(machine) == machines, "a limit of max");
    put("sys/fs/cgroup/user.slice/memory.max", "100000\n");
    put("sys/fs/cgroup/user.slice/memory.current", "100\n");
    put("sys/fs/cgroup/user.slice/job.scope/memory.current", "100\n");
    CHECK(memory_limit_bytes(machine) == 100000, "an ancestor's limit");
    put("sys/fs/cgroup/user.slice/job.scope/memory.max", "200000\n");
    CHECK(memory_limit_bytes(machine) == 100000, "the least of several");
    put("sys/fs/cgroup/user.slice/memory.high", "90000\n");
    CHECK(memory_limit_bytes(machine) == 90000, "what a group is slowed down at");
    check_case("memory: the machine's, or the least limit of its groups");
}

/* The limits leave these bytes, and the first stands in that file. */
static void expect_memory(const char *name, int count, const double *left, const char *file) {
    memory_limit found[MOST_MEMORY_LIMITS];
    int limits = memory_limits_read(machine, found);
    CHECK(limits == count, "%s: %d limits, expected %d", name, limits, count);
    for (int index = 0; index < limits && index < count; index++)
        CHECK(found[index].left == left[index], "%s: %.0f bytes left, expected %.0f", name,
              found[index].left, left[index]);
    if (limits)
        CHECK(strcmp(found[0].file + strlen(machine), file) == 0, "%s: '%s'", name, found[0].file);
    check_case(name);
}

static void memory_left(void) {
    static const char job[] = "sys/fs/cgroup/job/memory.";
    char path[64];
    fresh();
    put("proc/self/cgroup", "0::/job\n");
    put("proc/self/mountinfo", "29 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("sys/fs/cgroup/job/memory.max", "max\n");
    put("sys/fs/cgroup/job/memory.current", "7000\n");
    expect_memory("v2: no limit", 0, NULL, "");
    put("sys/fs/cgroup/job/memory.max", "10000\n");
    expect_memory("v2: what is not in use", 1, CPUS(3000), "/sys/fs/cgroup/job/memory.max");
    snprintf(path, sizeof path, "%sstat", job);
    put(path, "anon 1\nfile 900\ninactive_file 500\nactive_file 400\nshmem 9\n");
    expect_memory("v2: and pages of files", 1, CPUS(3900), "/sys/fs/cgroup/job/memory.max");
    snprintf(path, sizeof path, "%shigh", job);
    put(path, "9000\n");
    expect_memory("v2: a softer limit", 1, CPUS(2900), "/sys/fs/cgroup/job/memory.high");
    put("sys/fs/cgroup/memory.max", "6000\n");
    put("sys/fs/cgroup/memory.current", "7100\n");
    expect_memory("v2: an ancestor that is beyond its own", 2, CPUS(2900, 0),
                  "/sys/fs/cgroup/job/memory.high");
    fresh();
    put("proc/self/cgroup", "4:memory:/a\n");
    put("proc/self/mountinfo", "33 32 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "5000\n");
    put("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "4000\n");
    put("sys/fs/cgroup/memory/a/memory.stat", "inactive_file 7\ntotal_inactive_file 100\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/memory.usage_in_bytes", "4000\n");
    expect_memory("v1: a limit below one that is none", 1, CPUS(1100),
                  "/sys/fs/cgroup/memory/a/memory.limit_in_bytes");
    CHECK(isinf(memory_left_bytes(machine)));
    put("proc/meminfo", "MemTotal: 100 kB\nMemAvailable:   64 kB\n");
    CHECK(memory_left_bytes(machine) == 65536);
    check_case("what the machine has left");
}

static void threads(void) {
    static const struct {
        double cpus;
        int threads;
    } cases[] = {{0.05, 1}, {1, 1}, {1.01, 2}, {2, 2}, {6.0 / 3, 2}, {3.5, 4}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++)
        CHECK(cpu_quota_threads(cases[index].cpus) == cases[index].threads, "%g: %d",
              cases[index].cpus, cpu_quota_threads(cases[index].cpus));
    check_case("threads of a quota");
}

int main(void) {
    strcpy(machine, "/tmp/lockstep-cgroup-XXXXXX");
    if (!mkdtemp(machine))
        return 1;
    version_2();
    version_1();
    memory();
    memory_left();
    threads();
    fresh();
    return rmdir(machine) != 0 || check_done();
}
