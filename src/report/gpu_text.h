/* What a run says of its GPUs: lines of the header, of the closing tables, columns of
 * summary.csv. Nothing of it appears where there is no GPU; its columns are empty then. */
#ifndef LOCKSTEP_REPORT_GPU_TEXT_H
#define LOCKSTEP_REPORT_GPU_TEXT_H

#include "report/csv.h"
#include "report/run.h"

/* Some rank computes on a GPU. */
bool has_gpus(const run_facts *facts);

/* The last 8 characters: enough to tell GPUs apart, and what `nvidia-smi -L` ends its lines with.
 */
const char *uuid_tail(const char *uuid);

/* "power cap, thermal (hardware)": NVML's bits in words, in the order of the bits,
 * "none" for 0. Idle GPUs and clocks that were set on purpose are no limit and not named. */
void throttle_text(text_buffer *out, uint64_t reasons);

/* The other way; "" is none too. False where it names anything else. */
bool throttle_parse(const char *text, uint64_t *out);

/* The line about drivers: each once, with the first rank that has it. */
void add_drivers(text_buffer *out, const run_facts *facts);
/* A line that names the ranks whose cores are not on their GPU's NUMA node. */
void add_far_ranks(text_buffer *out, const run_facts *facts);

/* gpu_usage.c: of the training time; the table and the line are left out where nothing was
 * measured. Ranks that share a GPU (by UUID) count it once in sums. `usage` [ranks], may be
 * NULL. */
void add_gpu_usage(text_buffer *out, const run_facts *facts, const rank_usage *usage);
void put_gpu_usage(csv_row *row, const run_facts *facts, const rank_usage *usage);

#endif
