/* Which GPUs the ranks hold, compared before NCCL is asked: it refuses two ranks on one GPU.
 * Whoever else has the ranks' UUIDs, from a message of its own, asks here which of them share one.
 */
#ifndef LOCKSTEP_COMM_GPU_SURVEY_H
#define LOCKSTEP_COMM_GPU_SURVEY_H

#include "comm/comm.h"

#include <stdbool.h>

/* Ranks that stand for the others in a text. */
typedef struct gpu_survey {
    char device[16]; /* rank 0's */
    int unlike;      /* the first rank with another device; -1: none */
    char unlike_device[16], unlike_host[256];
    int first, second; /* the first two that share a GPU; -1: none do */
    char first_host[256], second_host[256], uuid[48];
} gpu_survey;

/* Collective over settings->control (not used with one rank): the same answer on every rank. */
int gpu_survey_make(const comm_settings *settings, gpu_survey *out, ls_error *error);

/* The lowest rank below `rank` that has the same GPU; -1: none, or it has no GPU. uuids: rank 0's
 * text ("" without a GPU), the next rank's `stride` bytes behind it. By UUID alone: ranks of one
 * node may call their host by two names (containers). */
int gpu_survey_sharer(const char *uuids, size_t stride, int rank);

#endif
