/* What the checks of GPUs judge: apart, so that tests can give facts that this machine has not. */
#ifndef LOCKSTEP_DOCTOR_NODE_GPUS_H
#define LOCKSTEP_DOCTOR_NODE_GPUS_H

#include "doctor/check.h"

typedef struct gpu_facts {
    char error[768]; /* why no device can be opened */
    char device[8], name[128], driver[32], uuid[48];
    int numa_node, cores_numa_node; /* -1 unknown */
    char granted[96];               /* "CUDA_VISIBLE_DEVICES=0,1"; "" none */
    int in_host;                    /* /dev/nvidiaN that are there */
    int hidden, unconnected;        /* a rank of this node whose GPU is so; -1: none */
    bool peers_known;               /* NVML answered */
    int shared_with;                /* a lower rank with the same GPU; -1: none */
} gpu_facts;

void judge_gpu(const ward *all, finding *out);
void judge_gpu_sharing(const ward *all, finding *out);
void judge_gpu_numa(const ward *all, finding *out);
void judge_gpu_peers(const ward *all, finding *out);

#endif
