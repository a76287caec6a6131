/* The judges of `lockstep doctor`, given the facts of machines that are not here: several NUMA
 * nodes, GPUs, RDMA, networks of every kind. */
#include "../unit/check.h"
#include "doctor/node_gpus.h"
#include "doctor/node_memory.h"
#include "doctor/node_network.h"
#include "doctor/process_limits.h"

#include <math.h>
#include <string.h>

enum { RANKS = 4 };

static launch me = {.size = RANKS, .node_count = 2, .launcher = "srun"};
static doctor_settings settings = {.device = {.device = "auto"}};

/* Two nodes of two ranks. */
static const bed two_by_two[RANKS] = {
    {"a", "", 0, 0, 2, ""}, {"a", "", 0, 1, 2, ""}, {"b", "", 1, 0, 2, ""}, {"b", "", 1, 1, 2, ""}};

/* One rank on each of four nodes. */
static const bed apart[RANKS] = {
    {"a", "", 0, 0, 1, ""}, {"b", "", 1, 0, 1, ""}, {"c", "", 2, 0, 1, ""}, {"d", "", 3, 0, 1, ""}};

static void expect(void (*judge)(const ward *, finding *), const bed *beds, const void *facts,
                   finding_level level, const char *found, const char *mend) {
    ward all = {.me = &me, .settings = &settings, .size = RANKS, .beds = beds, .facts = facts};
    finding out = {0};
    judge(&all, &out);
    CHECK(out.level == level, "expected level %d, found %d: %s", level, out.level, out.found);
    CHECK(strstr(out.found, found), "expected '%s', found '%s'", found, out.found);
    CHECK(strstr(out.mend, mend) && (mend[0] || !out.mend[0]), "expected '%s', found '%s'", mend,
          out.mend);
}

/* ---- GPUs */

static void healthy_gpus(gpu_facts all[RANKS]) {
    for (int rank = 0; rank < RANKS; rank++) {
        all[rank] = (gpu_facts){.device = "cuda",
                                .name = "NVIDIA X",
                                .driver = "580",
                                .numa_node = rank % 2,
                                .cores_numa_node = rank % 2,
                                .in_host = 2,
                                .hidden = -1,
                                .unconnected = -1,
                                .peers_known = true,
                                .shared_with = -1};
        snprintf(all[rank].uuid, sizeof all[rank].uuid, "GPU-%d", rank);
    }
}

static void gpus(void) {
    gpu_facts all[RANKS];
    healthy_gpus(all);
    expect(judge_gpu, two_by_two, all, FINDING_OK, "NVIDIA X on every rank", "");
    expect(judge_gpu_sharing, two_by_two, all, FINDING_OK, "of its own", "");
    expect(judge_gpu_numa, two_by_two, all, FINDING_OK, "on its GPU's NUMA node", "");
    expect(judge_gpu_peers, two_by_two, all, FINDING_OK, "reach each other", "");
    all[3].cores_numa_node = 0;
    expect(judge_gpu_numa, two_by_two, all, FINDING_WARNING,
           "rank 3 (host b): its GPU is on NUMA node 1, its cores are on node 0",
           "--gres-flags=enforce-binding");
    for (int rank = 0; rank < RANKS; rank++)
        all[rank].numa_node = -1;
    expect(judge_gpu_numa, two_by_two, all, FINDING_SKIPPED, "does not say", "");
    healthy_gpus(all);
    all[2].hidden = 3;
    all[0].unconnected = 1; /* isolation, which can be mended, is said first */
    expect(judge_gpu_peers, two_by_two, all, FINDING_WARNING,
           "rank 2 (host b) has no access to the GPU of rank 3", "--gpus-per-node=2");
    healthy_gpus(all);
    snprintf(all[1].name, sizeof all[1].name, "NVIDIA Y");
    expect(judge_gpu, two_by_two, all, FINDING_WARNING, "rank 1 (host a) has NVIDIA Y",
           "--constraint");
    snprintf(all[2].device, sizeof all[2].device, "cpu");
    expect(judge_gpu, two_by_two, all, FINDING_FAILURE, "rank 2 (host b) computes on cpu",
           "--gres=gpu:2");
    check_case("GPUs: NUMA nodes, peers, kinds");
}

static void idle_gpus(void) {
    gpu_facts all[RANKS];
    healthy_gpus(all);
    for (int rank = 0; rank < RANKS; rank++) {
        all[rank].uuid[0] = '\0';
        snprintf(all[rank].device, sizeof all[rank].device, "cpu");
    }
    expect(judge_gpu, two_by_two, all, FINDING_WARNING, "host a has 2 GPUs, of which none",
           "#SBATCH --gres=gpu:2");
    expect(judge_gpu_sharing, two_by_two, all, FINDING_SKIPPED, "no GPU", "");
    settings.device.device = "cpu";
    expect(judge_gpu, two_by_two, all, FINDING_OK, "none is used", "");
    settings.device.device = "auto";
    check_case("GPUs that are there and not asked for");
}

/* ---- memory */

static void memory(void) {
    memory_facts all[RANKS];
    for (int rank = 0; rank < RANKS; rank++)
        all[rank] = (memory_facts){.shared = "/dev/shm",
                                   .shared_free_bytes = 1e9,
                                   .temporary = "/tmp",
                                   .temporary_free_bytes = 1e9,
                                   .locked_bytes = INFINITY,
                                   .rdma = true};
    expect(judge_shared_memory, two_by_two, all, FINDING_OK, "954 MiB free in /dev/shm", "");
    expect(judge_locked_memory, two_by_two, all, FINDING_OK, "no limit", "");
    all[2].locked_bytes = 64 << 20;
    expect(judge_locked_memory, two_by_two, all, FINDING_WARNING,
           "rank 2 (host b) may lock 64 MiB, and there is an RDMA network",
           "LimitMEMLOCK=infinity");
    all[3].temporary_free_bytes = 1e6;
    expect(judge_shared_memory, two_by_two, all, FINDING_WARNING, "host b: /tmp has 977 KiB",
           "export TMPDIR");
    all[1].shared_free_bytes = 64 << 20;
    all[1].gpu = true;
    all[3].temporary_free_bytes = 1e9;
    expect(judge_shared_memory, two_by_two, all, FINDING_WARNING,
           "host a: /dev/shm has 64 MiB free, the 2 ranks there need about 136 MiB", "--shm-size");
    all[1].shared_free_bytes = -1; /* not known: no verdict */
    expect(judge_shared_memory, two_by_two, all, FINDING_OK, "954 MiB free", "");
    check_case("memory: RDMA, NCCL");
}

/* ---- limits of processes */

static void unlimited(limit_facts all[RANKS]) {
    for (int rank = 0; rank < RANKS; rank++)
        all[rank] = (limit_facts){.threads = 4,
                                  .granted = 4,
                                  .quota_cpus = INFINITY,
                                  .files_limit = INFINITY,
                                  .files_open = 40,
                                  .files_more = 18,
                                  .tasks_limit = INFINITY,
                                  .tasks_now = -1,
                                  .tasks_more = 12,
                                  .group_limit = INFINITY,
                                  .space_limit = INFINITY,
                                  .space_now = 1e9,
                                  .space_more = 2e9,
                                  .space_flag = 'v'};
}

static void quota(limit_facts *rank, double cpus, int ranks) {
    rank->quota_cpus = cpus;
    rank->quota_ranks = ranks;
    snprintf(rank->quota_file, sizeof rank->quota_file, "/sys/fs/cgroup/x/cpu.max");
}

static void quotas(void) {
    limit_facts all[RANKS];
    unlimited(all);
    expect(judge_cpu_quota, two_by_two, all, FINDING_OK, "no quota", "");
    quota(&all[2], 4, 2);
    expect(judge_cpu_quota, two_by_two, all, FINDING_OK, "4 CPUs for 4 threads of rank 2", "");
    quota(&all[2], 2.5, 2);
    expect(judge_cpu_quota, two_by_two, all, FINDING_WARNING,
           "rank 2 (host b): 4 threads for 2.5 CPUs, its share of a quota of 5 for 2 ranks "
           "(/sys/fs/cgroup/x/cpu.max)",
           "--threads 2   # or a larger quota: docker run --cpus=8");
    quota(&all[2], 0.5, 2);
    all[2].threads = 1;
    expect(judge_cpu_quota, two_by_two, all, FINDING_WARNING, "1 thread for 0.5 CPUs",
           "docker run --cpus=2 ...");
    quota(&all[2], 1, 2);
    expect(judge_cpu_quota, two_by_two, all, FINDING_WARNING,
           "rank 2 (host b) has 4 cores, but 1 CPUs of a quota", "--cpus=8");
    settings.device.threads = 1; /* one was wanted */
    expect(judge_cpu_quota, two_by_two, all, FINDING_OK, "1 CPUs for 1 thread", "");
    settings.device.threads = 0;
    check_case("limits: CPU quotas");
}

static void limits(void) {
    limit_facts all[RANKS];
    unlimited(all);
    expect(judge_open_files, two_by_two, all, FINDING_OK, "no limit", "");
    expect(judge_processes, two_by_two, all, FINDING_OK, "no limit", "");
    expect(judge_address_space, two_by_two, all, FINDING_OK, "no limit", "");
    all[1].files_limit = 58;
    expect(judge_open_files, two_by_two, all, FINDING_OK,
           "58 a process; rank 1 (host a) has 40 and may need 18 more", "");
    all[1].files_limit = 57;
    expect(judge_open_files, two_by_two, all, FINDING_WARNING,
           "rank 1 (host a) may have 57 open files, has 40, and may need 18 more",
           "ulimit -Hn 65536");
    check_case("limits: open files");

    all[2].tasks_limit = 1000;
    all[2].tasks_now = 976; /* its host's two ranks want 24 */
    expect(judge_processes, two_by_two, all, FINDING_OK, "room for 24 more", "");
    all[2].tasks_now = 977;
    expect(judge_processes, two_by_two, all, FINDING_WARNING,
           "host b: this user may have 1000 processes and threads, has 977, and the ranks may "
           "start 24 more",
           "ulimit -u unlimited");
    unlimited(all);
    for (int rank = 0; rank < 2; rank++) { /* a container each */
        all[rank].group_limit = 100;
        all[rank].group_now = 88;
        snprintf(all[rank].group_file, sizeof all[rank].group_file, "/cgroup/%d/pids.max", rank);
    }
    expect(judge_processes, two_by_two, all, FINDING_OK, "room for 12 more", "");
    snprintf(all[1].group_file, sizeof all[1].group_file, "/cgroup/0/pids.max"); /* in one */
    expect(judge_processes, two_by_two, all, FINDING_WARNING,
           "host a: 100 processes and threads are allowed, 88 run, and its ranks may start 24 more "
           "(/cgroup/0/pids.max)",
           "--pids-limit=-1");
    check_case("limits: processes of a user and of a control group");

    all[3].space_limit = 3.5e9;
    expect(judge_address_space, two_by_two, all, FINDING_OK, "room for 2.3 GiB", "");
    all[3].space_limit = 2.5e9;
    expect(judge_address_space, two_by_two, all, FINDING_WARNING,
           "rank 3 (host b): the address space is limited to 2.3 GiB, 954 MiB is in use, and a run "
           "may need 1.9 GiB more",
           "ulimit -v unlimited");
    all[3].space_flag = 'd';
    expect(judge_address_space, two_by_two, all, FINDING_WARNING, "the data memory is limited",
           "ulimit -d unlimited");
    all[3].space_flag = 'v';
    all[3].space_limit = 1e12;
    all[3].gpu = true;
    expect(judge_address_space, two_by_two, all, FINDING_WARNING,
           "limited to 931.3 GiB, and CUDA reserves more", "ulimit -v unlimited");
    check_case("limits: address space");
}

/* ---- networks */

static network_interface interface(const char *name, uint32_t address, uint32_t mask,
                                   int megabits) {
    network_interface out = {
        .address = address, .mask = mask, .megabits = megabits, .numa_node = -1};
    snprintf(out.name, sizeof out.name, "%s", name);
    return out;
}

static void connected(network_facts all[RANKS], int megabits) {
    memset(all, 0, RANKS * sizeof *all);
    for (int rank = 0; rank < RANKS; rank++) {
        all[rank].count = 1;
        all[rank].cores_numa_node = 0;
        all[rank].list[0] = interface("eth0", 0x0a000001u + (uint32_t)rank, 0xffffff00u, megabits);
    }
}

static void networks(void) {
    network_facts all[RANKS];
    me.node_count = 4;
    connected(all, 100000);
    expect(judge_network, apart, all, FINDING_OK, "eth0 100 Gbit/s", "");
    connected(all, 0);
    expect(judge_network, apart, all, FINDING_OK, "eth0 of unknown speed", "");
    connected(all, 1000);
    expect(judge_network, apart, all, FINDING_WARNING,
           "hosts a and b reach each other by eth0 1 Gbit/s only", "btl_tcp_if_include");
    all[0].list[1] = interface("ib0", 0x0b000001u, 0xffff0000u, 200000);
    all[1].list[1] = interface("ib0", 0x0b000002u, 0xffff0000u, 200000);
    all[0].count = all[1].count = 2; /* between a and b all is well; c is slow */
    expect(judge_network, apart, all, FINDING_WARNING, "hosts a and c reach each other by eth0",
           "NCCL_SOCKET_IFNAME");
    connected(all, 10000);
    all[2].count = 0;
    expect(judge_network, apart, all, FINDING_FAILURE, "host c has no network but loopback",
           "#SBATCH --exclude");
    all[2].has_ipv6 = true;
    expect(judge_network, apart, all, FINDING_OK, "eth0 10 Gbit/s", "");
    check_case("networks: fast, slow, none");

    connected(all, 10000);
    for (int rank = 0; rank < RANKS; rank++) {
        all[rank].list[1] = interface("docker0", 0xac110001u, 0xffff0000u, 0);
        all[rank].count = 2;
    }
    expect(judge_network, apart, all, FINDING_WARNING,
           "docker0 has the address 172.17.0.1 on hosts a and b alike",
           "btl_tcp_if_exclude=lo,docker0");
    connected(all, 1000);
    for (int rank = 0; rank < RANKS; rank++) {
        all[rank].rdma = rank < 3;
        snprintf(all[rank].rdma_name, sizeof all[rank].rdma_name, "mlx5_0, 200 Gb/sec");
    }
    expect(judge_network, apart, all, FINDING_WARNING,
           "host a has an RDMA network, host d has none", "--constraint");
    all[3].rdma = 1;
    expect(judge_network, apart, all, FINDING_OK, "RDMA: 1 active, the first mlx5_0", "");
    connected(all, 10000);
    all[1].list[0].numa_node = 1;
    expect(judge_network, apart, all, FINDING_WARNING,
           "rank 1 (host b): its cores are on NUMA node 0, its network", "map_ldom:1");
    me.node_count = 1;
    expect(judge_network, two_by_two, all, FINDING_OK, "one node", "");
    me.node_count = 2;
    check_case("networks: bridges, RDMA, NUMA nodes");
}

int main(void) {
    gpus();
    idle_gpus();
    memory();
    quotas();
    limits();
    networks();
    return check_done();
}
