/* What a run says of its GPUs: lines of the header and of the closing tables. Nothing of it appears
 * where there is no GPU. */
#ifndef LOCKSTEP_REPORT_RUN_GPU_TEXT_H
#define LOCKSTEP_REPORT_RUN_GPU_TEXT_H

#include "base/text_buffer.h"
#include "report/facts/records.h"

/* The last 8 characters: enough to tell GPUs apart, and what `nvidia-smi -L` ends its lines with.
 */
const char *uuid_tail(const char *uuid);

/* The line about drivers: each once, with the first rank that has it. */
void add_drivers(text_buffer *out, const run_facts *facts);
/* A line that names the ranks whose cores are not on their GPU's NUMA node. */
void add_far_ranks(text_buffer *out, const run_facts *facts);

/* gpu_usage.c: of the training time; the table and the line are left out where nothing was
 * measured. Ranks that share a GPU (by UUID) count it once in sums. `usage` [ranks], may be
 * NULL. */
void add_gpu_usage(text_buffer *out, const run_facts *facts, const rank_usage *usage);

#endif
