/* What the monitors of all ranks saw of their GPUs in the training time, taken together. Nothing is
 * there where there is no GPU. */
#ifndef LOCKSTEP_REPORT_FACTS_GPU_SUMS_H
#define LOCKSTEP_REPORT_FACTS_GPU_SUMS_H

#include "report/facts/records.h"

/* Some rank computes on a GPU. */
bool has_gpus(const run_facts *facts);

/* `usage` [ranks], may be NULL. */

/* Something was measured of a GPU: the host's values are there without NVML too. */
bool gpus_measured(const run_facts *facts, const rank_usage *usage);

/* The double at `offset` of a rank's gpu_usage; NAN where it was not measured. */
double gpu_value(const rank_usage *usage, int rank, size_t offset);

/* Ranks that share a GPU (by UUID) count it once in EVERY_GPU. */
typedef enum { EVERY_RANK, EVERY_GPU } gpu_whose;
typedef struct gpu_sum {
    double sum, mean, minimum, maximum; /* of those that were measured; NAN where none was */
    int measured, missing;
} gpu_sum;
gpu_sum gpu_sum_up(const run_facts *facts, const rank_usage *usage, size_t offset, gpu_whose of);
#define GPU_SUM_UP(facts, usage, field, of) gpu_sum_up(facts, usage, offsetof(gpu_usage, field), of)

/* No lower rank has the same GPU (by UUID; every rank is the first on none), or the same host: what
 * is measured of it is counted once. `ranks` is in rank order. */
bool is_first_on_gpu(const rank_facts *ranks, int rank);
bool is_first_on_host(const rank_facts *ranks, int rank);

/* All reasons that were seen on any GPU; false where none was asked. */
bool gpu_throttles(const run_facts *facts, const rank_usage *usage, uint64_t *reasons);

#endif
