/* Which cores the ranks of a node get, on machines of hwloc's making ("numa:2 core:4 pu:1"). */
#include "../check.h"
#include "launch/binding_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16 };

static launch_topology machine(const char *description) {
    launch_topology out = {.core_type = HWLOC_OBJ_CORE};
    if (hwloc_topology_init(&out.hwloc) || hwloc_topology_set_synthetic(out.hwloc, description) ||
        hwloc_topology_load(out.hwloc)) {
        printf("Bail out! hwloc does not make '%s'\n", description);
        exit(1);
    }
    return out;
}

/* `ranks` ranks that may all use the units in `mask`. */
static void make_claims(claim *all, int ranks, unsigned long mask, const int *gpu_nodes) {
    memset(all, 0, (size_t)ranks * sizeof *all);
    for (int rank = 0; rank < ranks; rank++) {
        all[rank].rank = rank;
        all[rank].gpu_numa_node = gpu_nodes[rank];
        all[rank].mask[0] = mask;
    }
}

/* "4 5 0": in the threads' order. */
static void plan_text(const launch_topology *topology, const claim *all, int ranks, int rank,
                      char *out) {
    static plan mine;
    out[0] = '\0';
    binding_plan(topology, all, ranks, rank, &mine);
    for (int thread = 0; thread < mine.threads; thread++)
        sprintf(out + strlen(out), "%s%d", thread ? " " : "", mine.cores[thread]);
}

static void expect(const char *description, int ranks, unsigned long mask, const int *gpu_nodes,
                   int threads, const char *const *expected) {
    launch_topology topology = machine(description);
    claim *all = calloc((size_t)ranks, sizeof *all);
    make_claims(all, ranks, mask, gpu_nodes);
    for (int rank = 0; rank < ranks; rank++)
        all[rank].threads = threads;
    for (int rank = 0; rank < ranks; rank++) {
        char found[4096];
        plan_text(&topology, all, ranks, rank, found);
        CHECK(strcmp(found, expected[rank]) == 0, "%s, rank %d of %d: expected '%s', found '%s'",
              description, rank, ranks, expected[rank], found);
    }
    free(all);
    hwloc_topology_destroy(topology.hwloc);
}

#define NODES(...)    ((const int[]){__VA_ARGS__})
#define EXPECTED(...) ((const char *const[]){__VA_ARGS__})

static void without_gpus(void) {
    expect("numa:2 core:4 pu:1", 2, 0xff, NODES(-1, -1), 0, EXPECTED("0 1 2 3", "4 5 6 7"));
    expect("numa:2 core:4 pu:1", 3, 0xff, NODES(-1, -1, -1), 0, EXPECTED("0 1", "2 3 4", "5 6 7"));
    expect("numa:2 core:4 pu:1", 1, 0x3c, NODES(-1), 0, EXPECTED("2 3 4 5"));
    expect("numa:2 core:4 pu:1", 3, 0x6, NODES(-1, -1, -1), 0, EXPECTED("1", "1", "2"));
    expect("numa:2 core:4 pu:1", 2, 0x3, NODES(-1, -1), 3, EXPECTED("0 0 0", "1 1 1"));
    check_case("ranks without a GPU share their mask in order");
}

static void near_their_gpus(void) {
    expect("numa:2 core:4 pu:1", 2, 0xff, NODES(1, 0), 0, EXPECTED("4 5 6 7", "0 1 2 3"));
    expect("numa:2 core:4 pu:1", 4, 0xff, NODES(1, 1, 0, 0), 0,
           EXPECTED("4 5", "6 7", "0 1", "2 3"));
    expect("numa:2 core:4 pu:1", 4, 0xff, NODES(0, 1, 0, 1), 0,
           EXPECTED("0 1", "4 5", "2 3", "6 7"));
    expect("numa:2 core:4 pu:2", 2, 0xffff, NODES(1, 0), 1, EXPECTED("4", "0"));
    expect("numa:2 core:4 pu:1", 1, 0xff, NODES(1), 0, EXPECTED("4 5 6 7 0 1 2 3"));
    check_case("cores of the node that the GPU is on");
}

static void too_few_near(void) {
    expect("numa:2 core:4 pu:1", 2, 0xff, NODES(1, 1), 0, EXPECTED("4 5 0 1", "6 7 2 3"));
    expect("numa:2 core:4 pu:1", 3, 0xff, NODES(0, 0, 0), 0, EXPECTED("0 4", "1 5 6", "2 3 7"));
    expect("numa:2 core:4 pu:1", 2, 0x0f, NODES(1, 1), 0, EXPECTED("0 1", "2 3"));
    expect("numa:2 core:4 pu:1", 2, 0x1f, NODES(1, 0), 0, EXPECTED("4 3", "0 1 2"));
    expect("numa:2 core:4 pu:1", 2, 0xff, NODES(7, 7), 0, EXPECTED("0 1 2 3", "4 5 6 7"));
    check_case("near cores first where they are too few, others where there are none");
}

static void known_and_unknown(void) {
    expect("numa:2 core:4 pu:1", 2, 0xff, NODES(1, -1), 0, EXPECTED("4 5 6 7", "0 1 2 3"));
    expect("numa:2 core:4 pu:1", 2, 0xff, NODES(-1, 0), 0, EXPECTED("4 5 6 7", "0 1 2 3"));
    check_case("a rank whose GPU's node is unknown takes what is left");
}

static void masks_of_their_own(void) {
    launch_topology topology = machine("numa:2 core:4 pu:1");
    claim all[3];
    char found[256];
    static const char *const expected[] = {"6 7 3", "1", "0"};
    make_claims(all, 3, 0x03, NODES(1, 1, 0));
    all[0].mask[0] = 0xc8;
    for (int rank = 0; rank < 3; rank++) {
        plan_text(&topology, all, 3, rank, found);
        CHECK(strcmp(found, expected[rank]) == 0, "rank %d: expected '%s', found '%s'", rank,
              expected[rank], found);
    }
    hwloc_topology_destroy(topology.hwloc);
    check_case("a rank with a mask of its own shares with nobody");
}

/* Which rank each of 20 cores went to; -1: none. */
static void plan_all(const launch_topology *topology, const claim *all, int ranks, int cores,
                     int owner[20]) {
    static plan mine;
    for (int core = 0; core < 20; core++)
        owner[core] = -1;
    for (int rank = 0; rank < ranks; rank++) {
        binding_plan(topology, all, ranks, rank, &mine);
        CHECK(mine.threads == cores / ranks || mine.threads == cores / ranks + 1,
              "%d of %d cores for one of %d ranks", mine.threads, cores, ranks);
        for (int thread = 0; thread < mine.threads; thread++) {
            CHECK(owner[mine.cores[thread]] == -1, "core %d twice", mine.cores[thread]);
            owner[mine.cores[thread]] = rank;
        }
    }
}

/* Who has a core far from its GPU has it because all near ones went to ranks with a GPU there. */
static void check_near(const int owner[20], const int *nodes, int round) {
    for (int far = 0; far < 20; far++) {
        int node = owner[far] < 0 ? -1 : nodes[owner[far]];
        if (node < 0 || far / 5 == node)
            continue;
        for (int near = 5 * node; near < 5 * node + 5; near++)
            CHECK(owner[near] < 0 || nodes[owner[near]] == node,
                  "round %d: rank %d has core %d, rank %d core %d", round, owner[far], far,
                  owner[near], near);
    }
}

static void any_node(void) {
    launch_topology topology = machine("numa:4 core:5 pu:1");
    claim all[MOST];
    int nodes[MOST], owner[20];
    srand(1);
    for (int round = 0; round < 1000; round++) {
        int ranks = 1 + rand() % MOST, cores = 0;
        unsigned long mask = (unsigned long)rand() & 0xfffff;
        for (int rank = 0; rank < ranks; rank++)
            nodes[rank] = rand() % 5 - 1;
        for (int core = 0; core < 20; core++)
            cores += (int)(mask >> core & 1);
        if (cores < ranks)
            continue;
        make_claims(all, ranks, mask, nodes);
        plan_all(&topology, all, ranks, cores, owner);
        for (int core = 0; core < 20; core++)
            CHECK((owner[core] >= 0) == (int)(mask >> core & 1), "core %d: rank %d", core,
                  owner[core]);
        check_near(owner, nodes, round);
    }
    hwloc_topology_destroy(topology.hwloc);
    check_case("nodes by chance: no core twice, none left over, even shares, near ones first");
}

static void several_nodes_of_a_core(void) {
    launch_topology topology = machine("pack:2 [numa] [numa] core:2 pu:1");
    hwloc_obj_t core = hwloc_get_obj_by_type(topology.hwloc, HWLOC_OBJ_CORE, 0);
    int first = binding_numa_node(core, -1), last = hwloc_bitmap_last(core->nodeset);
    CHECK(first != last && first >= 0, "this machine's cores have one node each: %d", first);
    CHECK(binding_numa_node(core, last) == last, "%d", binding_numa_node(core, last));
    CHECK(binding_numa_node(core, 77) == first, "%d", binding_numa_node(core, 77));
    hwloc_topology_destroy(topology.hwloc);
    check_case("a core with two kinds of memory is near both");
}

/* `group`: its folder's number; `outer` is that of the group around all of them. */
static void grant(claim *rank, uint64_t group, double cpus, uint64_t outer, double outer_cpus) {
    rank->quota_count = 2;
    rank->quotas[0] = (cpu_quota){1, group, cpus};
    rank->quotas[1] = (cpu_quota){1, outer, outer_cpus};
}

static void expect_quota(const launch_topology *topology, const claim *all, int rank, int threads,
                         int level, double cpus, int sharing) {
    static plan mine;
    binding_plan(topology, all, 4, rank, &mine);
    CHECK(mine.threads == threads && mine.granted == 4, "rank %d: %d threads of %d cores", rank,
          mine.threads, mine.granted);
    CHECK(mine.quota.level == level && mine.quota.ranks == sharing &&
              (isinf(cpus) ? isinf(mine.quota.cpus) : fabs(mine.quota.cpus - cpus) < 1e-9),
          "rank %d: level %d, %g CPUs, %d ranks", rank, mine.quota.level, mine.quota.cpus,
          mine.quota.ranks);
}

/* Ranks 0 and 1 are in one container, rank 2 in another of the same pod, rank 3 in none. */
static void quotas(void) {
    launch_topology topology = machine("numa:1 core:16 pu:1");
    claim all[4];
    make_claims(all, 4, 0xffff, NODES(-1, -1, -1, -1));
    grant(&all[0], 10, 3, 20, 9);
    grant(&all[1], 10, 3, 20, 9);
    grant(&all[2], 11, 8, 20, 9);
    expect_quota(&topology, all, 0, 2, 0, 1.5, 2); /* rounded up */
    expect_quota(&topology, all, 2, 3, 1, 3, 3);   /* the pod's, of which three have a third */
    expect_quota(&topology, all, 3, 4, -1, INFINITY, 0);
    all[0].threads = 4; /* who names a number gets it */
    expect_quota(&topology, all, 0, 4, 0, 1.5, 2);
    all[0].threads = 0;
    all[0].quotas[0].cpus = all[1].quotas[0].cpus = 0.2;
    expect_quota(&topology, all, 1, 1, 0, 0.1, 2); /* never none */
    hwloc_topology_destroy(topology.hwloc);
    check_case("CPU quotas: shared by who is under them, the tightest level counts");
}

int main(void) {
    quotas();
    without_gpus();
    near_their_gpus();
    too_few_near();
    known_and_unknown();
    masks_of_their_own();
    any_node();
    several_nodes_of_a_core();
    return check_done();
}
