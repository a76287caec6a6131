/* The ranks' GPUs as they are seen without starting anything on them. */
#include "doctor/node_gpus.h"

#include "comm/gpu_survey.h"
#include "monitor/nvml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_GPUS = 64 };

static int count_in_host(void) {
    int count = 0;
    for (int index = 0; index < MOST_GPUS; index++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/nvidia%d", index);
        count += access(path, F_OK) == 0;
    }
    return count;
}

static void look_at_peers(const bed *all, int rank, int size, gpu_facts *out) {
    ls_error none = {0};
    nvml *library = NULL;
    out->shared_with = gpu_survey_sharer(all[0].gpu_uuid, sizeof *all, rank);
    for (int other = 0; other < size; other++) {
        bool peer = other != rank && all[other].gpu_uuid[0] && all[other].node == all[rank].node;
        if (!peer || strcmp(all[other].gpu_uuid, all[rank].gpu_uuid) == 0)
            continue;
        if (!library && nvml_open(all[rank].gpu_uuid, &library, &none) != LS_OK)
            return;
        nvml_peer reach = nvml_reach(library, all[other].gpu_uuid);
        out->peers_known = out->peers_known || reach != NVML_PEER_UNKNOWN;
        if (reach == NVML_PEER_HIDDEN && out->hidden < 0)
            out->hidden = other;
        if (reach == NVML_PEER_UNCONNECTED && out->unconnected < 0)
            out->unconnected = other;
    }
    nvml_close(library);
}

static int examine(examination *self, void *facts, ls_error *error) {
    gpu_facts *mine = facts;
    (void)error;
    const char *value, *variable = device_granted_gpu(&value);
    *mine = (gpu_facts){.numa_node = self->device.numa_node,
                        .cores_numa_node = self->binding ? self->binding->numa_node : -1,
                        .in_host = count_in_host(),
                        .hidden = -1,
                        .unconnected = -1,
                        .shared_with = -1};
    snprintf(mine->error, sizeof mine->error, "%s", self->device_error);
    snprintf(mine->device, sizeof mine->device, "%.7s", self->device_name);
    snprintf(mine->name, sizeof mine->name, "%s", self->device.name);
    snprintf(mine->driver, sizeof mine->driver, "%s", self->device.driver);
    snprintf(mine->uuid, sizeof mine->uuid, "%s", self->device.uuid);
    if (variable)
        snprintf(mine->granted, sizeof mine->granted, "%s=%.60s", variable, value);
    if (mine->uuid[0])
        look_at_peers(self->beds, self->me->rank, self->me->size, mine);
    return LS_OK;
}

/* ---- judging */

static const char *ask_for_gpus(const ward *all, int rank) {
    return mend_text("#SBATCH --gres=gpu:%d   # or --device cpu (LOCKSTEP_DEVICE=cpu for the job "
                     "scripts)",
                     all->beds[rank].local_size);
}

void judge_gpu(const ward *all, finding *out) {
    const gpu_facts *ranks = all->facts;
    for (int rank = 0; rank < all->size; rank++)
        if (ranks[rank].error[0])
            finding_say(out, FINDING_FAILURE, ask_for_gpus(all, rank), "%s: %s%s%s",
                        name_rank(all, rank), ranks[rank].error,
                        ranks[rank].granted[0] ? "; granted: " : "", ranks[rank].granted);
    for (int rank = 1; rank < all->size; rank++)
        if (strcmp(ranks[rank].device, ranks[0].device) != 0)
            finding_say(out, FINDING_FAILURE, ask_for_gpus(all, rank),
                        "%s computes on %s, rank 0 on %s", name_rank(all, rank), ranks[rank].device,
                        ranks[0].device);
    for (int rank = 0; rank < all->size; rank++)
        if (ranks[rank].in_host && !ranks[rank].uuid[0] &&
            strcmp(all->settings->device.device, "auto") == 0)
            finding_say(out, FINDING_WARNING, ask_for_gpus(all, rank),
                        "host %s has %d GPU%s, of which none was granted: %s computes on its cores",
                        all->beds[rank].host, ranks[rank].in_host,
                        ranks[rank].in_host == 1 ? "" : "s", name_rank(all, rank));
    for (int rank = 1; rank < all->size; rank++)
        if (strcmp(ranks[rank].name, ranks[0].name) != 0)
            finding_say(out, FINDING_WARNING,
                        "#SBATCH --constraint=FEATURE   # nodes of one kind (sinfo -o '%N %f %G')",
                        "%s has %s, rank 0 has %s: the slower holds the other up",
                        name_rank(all, rank), ranks[rank].name, ranks[0].name);
    if (!ranks[0].uuid[0])
        finding_say(out, FINDING_OK, NULL, "none is used: device %s (%s)", ranks[0].device,
                    ranks[0].name);
    finding_say(out, FINDING_OK, NULL, "%s on every rank, driver %s%s%s", ranks[0].name,
                ranks[0].driver, ranks[0].granted[0] ? "; rank 0: " : "", ranks[0].granted);
}

static bool without_gpus(const ward *all, finding *out) {
    const gpu_facts *ranks = all->facts;
    for (int rank = 0; rank < all->size; rank++)
        if (ranks[rank].uuid[0])
            return false;
    finding_say(out, FINDING_SKIPPED, NULL, "no GPU is used");
    return true;
}

void judge_gpu_sharing(const ward *all, finding *out) {
    const gpu_facts *ranks = all->facts;
    if (without_gpus(all, out))
        return;
    for (int rank = 0; rank < all->size; rank++) {
        if (ranks[rank].shared_with < 0)
            continue;
        finding_say(out, all->settings->device.share_gpu ? FINDING_WARNING : FINDING_FAILURE,
                    mend_text("#SBATCH --gres=gpu:%d   # one a rank; or --share-gpu on purpose",
                              all->beds[rank].local_size),
                    "ranks %d and %d on host %s have the same GPU (%s)", ranks[rank].shared_with,
                    rank, all->beds[rank].host, ranks[rank].uuid);
    }
    finding_say(out, FINDING_OK, NULL, "each rank has one of its own (by UUID)");
}

void judge_gpu_numa(const ward *all, finding *out) {
    const gpu_facts *ranks = all->facts;
    bool known = false;
    if (without_gpus(all, out))
        return;
    for (int rank = 0; rank < all->size; rank++) {
        const gpu_facts *mine = &ranks[rank];
        if (mine->numa_node < 0 || mine->cores_numa_node < 0)
            continue;
        known = true;
        if (mine->numa_node != mine->cores_numa_node)
            finding_say(out, FINDING_WARNING,
                        "#SBATCH --gres-flags=enforce-binding   # or srun --gpu-bind=closest, "
                        "mpirun --map-by numa",
                        "%s: its GPU is on NUMA node %d, its cores are on node %d",
                        name_rank(all, rank), mine->numa_node, mine->cores_numa_node);
    }
    if (known)
        finding_say(out, FINDING_OK, NULL, "each rank's cores are on its GPU's NUMA node");
    else
        finding_say(out, FINDING_SKIPPED, NULL,
                    "the machine does not say on which NUMA node a GPU is");
}

void judge_gpu_peers(const ward *all, finding *out) {
    const gpu_facts *ranks = all->facts;
    bool known = false;
    if (without_gpus(all, out))
        return;
    for (int rank = 0; rank < all->size; rank++) {
        known = known || ranks[rank].peers_known;
        if (ranks[rank].hidden >= 0)
            finding_say(out, FINDING_WARNING,
                        mend_text("srun --gpus-per-node=%d --gpu-bind=none ...   # in place of "
                                  "--gpus-per-task",
                                  all->beds[rank].local_size),
                        "%s has no access to the GPU of rank %d on its host (isolated by a control "
                        "group): copies between them go through the host's memory",
                        name_rank(all, rank), ranks[rank].hidden);
    }
    for (int rank = 0; rank < all->size; rank++)
        if (ranks[rank].unconnected >= 0)
            finding_say(out, FINDING_WARNING,
                        "nvidia-smi topo -p2p r   # on that host: which pairs are connected",
                        "%s: the hardware does not copy between its GPU and that of rank %d",
                        name_rank(all, rank), ranks[rank].unconnected);
    if (known)
        finding_say(out, FINDING_OK, NULL, "GPUs of a host reach each other (NVML)");
    else
        finding_say(out, FINDING_SKIPPED, NULL,
                    "no two GPUs on a host to compare, or NVML does not answer");
}

static const check checks[] = {
    {"gpu", false, judge_gpu},
    {"gpu sharing", false, judge_gpu_sharing},
    {"gpu numa", false, judge_gpu_numa}, /* a run has a line of its own */
    {"gpu peers", true, judge_gpu_peers},
    {0}};

const theme theme_gpus = {.place = "doctor: GPUs",
                          .fact_bytes = sizeof(gpu_facts),
                          .examine = examine,
                          .checks = checks,
                          .at_start = true};
