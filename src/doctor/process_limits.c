/* Limits of a process, its user and its control groups, against what a run will want. Reached in
 * the middle of one, they look like a network's or a memory's fault. */
#include "doctor/process_limits.h"

#include "base/cgroup.h"
#include "base/local_limits.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB (1024.0 * 1024.0)

/* Beside compute threads: the loader's, the monitor's, MPI's and PMIx's. CUDA and NCCL start
 * threads and open files for each GPU that they talk to, of which their manuals give no number:
 * guesses on the safe side. */
enum { OTHER_THREADS = 8, GPU_THREADS = 32, GPU_FILES = 256 };

/* A thread's stack and its heap of glibc's malloc (HEAP_MAX_SIZE); what a rank maps of every rank
 * of its node for gradients, which 32 million parameters fill; the model's arrays of a rank itself.
 */
static const double THREAD_BYTES = (8 + 64) * MIB, PEER_BYTES = 128 * MIB, OWN_BYTES = 1024 * MIB;

/* ---- facts */

static double soft_limit(__rlimit_resource_t resource) {
    struct rlimit limit;
    return getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY
               ? (double)limit.rlim_cur
               : INFINITY;
}

/* A number in a file, the `index`th; -1 where there is none. */
static double number_in(const char *path, int index) {
    char word[64] = "";
    double value = -1;
    FILE *file = fopen(path, "re");
    for (int at = 0; file && at <= index && fscanf(file, "%63s", word) == 1; at++)
        if (at == index && sscanf(word, "%lf", &value) != 1)
            value = -1;
    if (file)
        fclose(file);
    return value;
}

/* The threads of a process, where it is this user's. */
static int threads_of(const char *process, unsigned user) {
    char path[300], line[128];
    unsigned owner = user + 1;
    int threads = 0;
    snprintf(path, sizeof path, "/proc/%.255s/status", process);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "Uid: %u", &owner);
        if (sscanf(line, "Threads: %d", &threads) == 1)
            break;
    }
    if (file)
        fclose(file);
    return owner == user ? threads : 0;
}

/* What RLIMIT_NPROC is compared with (setrlimit(2)): threads, of one user. */
static double count_tasks(void) {
    DIR *folder = opendir("/proc");
    double count = 0;
    if (!folder)
        return -1;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (isdigit((unsigned char)entry->d_name[0]))
            count += threads_of(entry->d_name, getuid());
    closedir(folder);
    return count;
}

/* pids.max and pids.current; the level with the least room stays. */
static void look_at_group(void *context, const char *folder) {
    limit_facts *mine = context;
    char path[CGROUP_PATH + 16];
    snprintf(path, sizeof path, "%s/pids.current", folder);
    double now = number_in(path, 0);
    snprintf(path, sizeof path, "%s/pids.max", folder);
    double limit = number_in(path, 0);
    if (limit < 0 || now < 0 || limit - now >= mine->group_limit - mine->group_now)
        return;
    mine->group_limit = limit;
    mine->group_now = now;
    snprintf(mine->group_file, sizeof mine->group_file, "%.255s", path);
}

static void read_processes(const examination *self, limit_facts *mine) {
    mine->group_limit = INFINITY;
    mine->group_now = 0;
    cgroup_visit("", "pids", look_at_group, mine);
    mine->tasks_limit = geteuid() == 0 ? INFINITY : soft_limit(RLIMIT_NPROC); /* root is exempt */
    mine->tasks_now = -1;
    mine->tasks_more = mine->threads + OTHER_THREADS + (mine->gpu ? GPU_THREADS : 0);
    if (self->me->local_rank == 0 && !isinf(mine->tasks_limit) && !self->at_start)
        mine->tasks_now = count_tasks(); /* all of /proc: one rank a node is enough */
}

/* The lifeline's connections stand already; MPI makes its own as it needs them, one to each rank of
 * another node. */
static void read_files(const examination *self, limit_facts *mine) {
    long limit = limits_open_files();
    mine->files_limit = limit == LONG_MAX ? INFINITY : (double)limit;
    mine->files_open = (double)limits_files_open_now();
    mine->files_more =
        SPARE_FILES + self->me->size - self->me->local_size + (mine->gpu ? GPU_FILES : 0);
}

static void read_space(const examination *self, limit_facts *mine) {
    double space = soft_limit(RLIMIT_AS), data = soft_limit(RLIMIT_DATA);
    mine->space_flag = space <= data ? 'v' : 'd';
    mine->space_limit = fmin(space, data);
    /* proc(5): size is the first of statm's columns, data the sixth; in pages */
    double pages = number_in("/proc/self/statm", mine->space_flag == 'v' ? 0 : 5);
    mine->space_now = pages < 0 ? 0 : pages * (double)sysconf(_SC_PAGESIZE);
    mine->space_more = OWN_BYTES + mine->threads * THREAD_BYTES;
    if (mine->space_flag == 'v') /* what is shared is no data */
        mine->space_more += (self->me->local_size - 1) * PEER_BYTES;
}

static int examine(examination *self, void *facts, ls_error *error) {
    limit_facts *mine = facts;
    (void)error;
    mine->gpu = self->device.uuid[0] != '\0';
    mine->quota_cpus = INFINITY;
    if (self->binding) {
        mine->threads = self->binding->threads;
        mine->granted = self->binding->granted;
        mine->quota_cpus = self->binding->quota_cpus;
        mine->quota_ranks = self->binding->quota_ranks;
        memcpy(mine->quota_file, self->binding->quota_file, sizeof mine->quota_file);
    }
    read_files(self, mine);
    read_processes(self, mine);
    read_space(self, mine);
    return LS_OK;
}

/* ---- judges */

static const char *mend_quota(const limit_facts *mine, int threads) {
    int cpus = threads * mine->quota_ranks, fit = (int)(mine->quota_cpus + 1e-6);
    if (fit >= 1)
        return mend_text("--threads %d   # or a larger quota: docker run --cpus=%d, Kubernetes "
                         "limits.cpu: %d, systemd CPUQuota=%d%%",
                         fit, cpus, cpus, 100 * cpus);
    return mend_text("docker run --cpus=%d ...   # Kubernetes limits.cpu: %d, systemd "
                     "CPUQuota=%d%%; or fewer ranks a host",
                     cpus, cpus, 100 * cpus);
}

/* Threads beyond a quota are stopped in every period, all at once. Cores beyond it lie idle, which
 * a container may well want: a run says nothing of it. */
void judge_cpu_quota(const ward *all, finding *out) {
    const limit_facts *ranks = all->facts;
    int least = 0;
    for (int rank = 0; rank < all->size; rank++) {
        const limit_facts *mine = &ranks[rank];
        if (mine->quota_cpus < ranks[least].quota_cpus)
            least = rank;
        if (mine->threads > mine->quota_cpus + 1e-6)
            finding_say(out, FINDING_WARNING, mend_quota(mine, mine->threads),
                        "%s: %d thread%s for %.3g CPUs, its share of a quota of %.3g for %d rank%s "
                        "(%s): threads are stopped in every period, and times are not comparable",
                        name_rank(all, rank), mine->threads, mine->threads == 1 ? "" : "s",
                        mine->quota_cpus, mine->quota_cpus * mine->quota_ranks, mine->quota_ranks,
                        mine->quota_ranks == 1 ? "" : "s", mine->quota_file);
    }
    const limit_facts *mine = &ranks[least];
    if (isinf(mine->quota_cpus)) {
        finding_say(out, FINDING_OK, NULL, "no quota");
        return;
    }
    if (!all->at_start && all->settings->device.threads == 0 && mine->granted > mine->threads)
        finding_say(out, FINDING_WARNING,
                    mend_text("docker run --cpus=%d ...   # Kubernetes limits.cpu: %d, systemd "
                              "CPUQuota=%d%%",
                              mine->granted * mine->quota_ranks, mine->granted * mine->quota_ranks,
                              100 * mine->granted * mine->quota_ranks),
                    "%s has %d cores, but %.3g CPUs of a quota (%s): --threads 0 takes %d",
                    name_rank(all, least), mine->granted, mine->quota_cpus, mine->quota_file,
                    mine->threads);
    finding_say(out, FINDING_OK, NULL, "%.3g CPUs for %d thread%s of %s", mine->quota_cpus,
                mine->threads, mine->threads == 1 ? "" : "s", name_rank(all, least));
}

void judge_open_files(const ward *all, finding *out) {
    const limit_facts *ranks = all->facts;
    int tightest = 0;
    for (int rank = 0; rank < all->size; rank++) {
        const limit_facts *mine = &ranks[rank], *best = &ranks[tightest];
        double wanted = mine->files_open + mine->files_more;
        if (mine->files_limit - wanted < best->files_limit - best->files_open - best->files_more)
            tightest = rank;
        if (mine->files_limit < wanted)
            finding_say(out, FINDING_WARNING,
                        mend_text("ulimit -Hn %.0f   # before srun, as root; for all: "
                                  "LimitNOFILE=1048576 in slurmd.service",
                                  fmax(65536, 2 * wanted)),
                        "%s may have %.0f open files, has %.0f, and may need %.0f more",
                        name_rank(all, rank), mine->files_limit, mine->files_open,
                        mine->files_more);
    }
    const limit_facts *mine = &ranks[tightest];
    if (isinf(mine->files_limit))
        finding_say(out, FINDING_OK, NULL, "no limit");
    finding_say(out, FINDING_OK, NULL, "%.0f a process; %s has %.0f and may need %.0f more",
                mine->files_limit, name_rank(all, tightest), mine->files_open, mine->files_more);
}

/* What the ranks of a rank's host (and, where it is not NULL, of its group) will want together. */
static double tasks_of(const ward *all, int of, const char *group) {
    const limit_facts *ranks = all->facts;
    double sum = 0;
    for (int rank = 0; rank < all->size; rank++)
        if (strcmp(all->beds[rank].host, all->beds[of].host) == 0 &&
            (!group || strcmp(ranks[rank].group_file, group) == 0))
            sum += ranks[rank].tasks_more;
    return sum;
}

void judge_processes(const ward *all, finding *out) {
    const limit_facts *ranks = all->facts;
    double room = INFINITY;
    for (int rank = 0; rank < all->size; rank++) {
        const limit_facts *mine = &ranks[rank];
        double group = tasks_of(all, rank, mine->group_file), user = tasks_of(all, rank, NULL);
        room = fmin(room, mine->group_limit - mine->group_now);
        if (mine->group_limit - mine->group_now < group)
            finding_say(out, FINDING_WARNING,
                        "docker run --pids-limit=-1 ...   # or TasksMax=infinity in "
                        "slurmd.service; Kubernetes: podPidsLimit",
                        "host %s: %.0f processes and threads are allowed, %.0f run, and its ranks "
                        "may start %.0f more (%s)",
                        all->beds[rank].host, mine->group_limit, mine->group_now, group,
                        mine->group_file);
        if (mine->tasks_now < 0)
            continue;
        room = fmin(room, mine->tasks_limit - mine->tasks_now);
        if (mine->tasks_limit - mine->tasks_now < user)
            finding_say(out, FINDING_WARNING,
                        "ulimit -u unlimited   # before srun; for all: LimitNPROC=infinity in "
                        "slurmd.service",
                        "host %s: this user may have %.0f processes and threads, has %.0f, and "
                        "the ranks may start %.0f more",
                        all->beds[rank].host, mine->tasks_limit, mine->tasks_now, user);
    }
    if (isinf(room))
        finding_say(out, FINDING_OK, NULL, "no limit");
    finding_say(out, FINDING_OK, NULL, "room for %.0f more processes and threads%s", room,
                all->me->node_count > 1 ? " where there is least" : "");
}

/* CUDA maps all memory of all GPUs and of the host at once, so with one no limit will do. */
void judge_address_space(const ward *all, finding *out) {
    const limit_facts *ranks = all->facts;
    double room = INFINITY;
    for (int rank = 0; rank < all->size; rank++) {
        const limit_facts *mine = &ranks[rank];
        double left = mine->space_limit - mine->space_now;
        const char *what = mine->space_flag == 'd' ? "data memory" : "address space";
        room = fmin(room, left);
        if (isinf(left))
            continue;
        if (mine->gpu && mine->space_flag == 'v')
            finding_say(out, FINDING_WARNING, "ulimit -v unlimited   # before srun or mpirun",
                        "%s: the address space is limited to %s, and CUDA reserves more than the "
                        "machine's memory",
                        name_rank(all, rank), size_text(mine->space_limit));
        if (left < mine->space_more)
            finding_say(
                out, FINDING_WARNING,
                mend_text("ulimit -%c unlimited   # before srun or mpirun", mine->space_flag),
                "%s: the %s is limited to %s, %s is in use, and a run may need %s more",
                name_rank(all, rank), what, size_text(mine->space_limit),
                size_text(mine->space_now), size_text(mine->space_more));
    }
    if (isinf(room))
        finding_say(out, FINDING_OK, NULL, "no limit");
    finding_say(out, FINDING_OK, NULL, "room for %s", size_text(room));
}

static const check checks[] = {{"cpu quota", true, judge_cpu_quota},
                               {"open files", true, judge_open_files},
                               {"processes", false, judge_processes},
                               {"address space", true, judge_address_space},
                               {0}};

const theme theme_limits = {.place = "doctor: limits",
                            .fact_bytes = sizeof(limit_facts),
                            .examine = examine,
                            .checks = checks,
                            .at_start = true};
