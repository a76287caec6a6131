/* Which GPUs the ranks hold, compared before NCCL is asked: it refuses two ranks on one GPU. */
#ifndef LOCKSTEP_COMM_GPUS_H
#define LOCKSTEP_COMM_GPUS_H

#include "comm/comm.h"

#include <stdbool.h>

typedef struct gpu_survey {
    int without;                /* the first rank whose device is not cuda; -1: none */
    char device[16], host[256]; /* that rank's */
    int first, second;          /* the first two ranks that share a GPU; -1: none do */
    char first_host[256], second_host[256], uuid[48];
} gpu_survey;

/* Collective over settings->control (not used with one rank): the same answer on every rank. */
int gpu_survey_make(const comm_settings *settings, gpu_survey *out, ls_error *error);

#endif
