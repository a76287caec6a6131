#include "comm/gpu_survey.h"

#include "device/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a rank tells the others. */
typedef struct gpu_record {
    char device[16], uuid[48], host[256];
} gpu_record;

static gpu_record record_of(const comm_settings *settings) {
    gpu_record mine = {.device = "host memory"};
    snprintf(mine.host, sizeof mine.host, "%s", settings->host ? settings->host : "");
    if (settings->device) {
        snprintf(mine.device, sizeof mine.device, "%s", settings->device->is->name);
        snprintf(mine.uuid, sizeof mine.uuid, "%s", settings->device->facts.uuid);
    }
    return mine;
}

int gpu_survey_sharer(const char *uuids, size_t stride, int rank) {
    const char *mine = uuids + (size_t)rank * stride;
    for (int other = 0; other < rank && mine[0]; other++)
        if (strcmp(uuids + (size_t)other * stride, mine) == 0)
            return other;
    return -1;
}

static void note_sharing(const gpu_record *all, int first, int second, gpu_survey *out) {
    out->first = first;
    out->second = second;
    snprintf(out->uuid, sizeof out->uuid, "%s", all[first].uuid);
    snprintf(out->first_host, sizeof out->first_host, "%s", all[first].host);
    snprintf(out->second_host, sizeof out->second_host, "%s", all[second].host);
}

static void compare(const gpu_record *all, int size, gpu_survey *out) {
    *out = (gpu_survey){.unlike = -1, .first = -1, .second = -1};
    snprintf(out->device, sizeof out->device, "%s", all[0].device);
    for (int rank = 0; rank < size; rank++) {
        if (out->unlike < 0 && strcmp(all[rank].device, all[0].device) != 0) {
            out->unlike = rank;
            snprintf(out->unlike_device, sizeof out->unlike_device, "%s", all[rank].device);
            snprintf(out->unlike_host, sizeof out->unlike_host, "%s", all[rank].host);
        }
        int other = gpu_survey_sharer(all[0].uuid, sizeof *all, rank);
        if (other >= 0 && out->first < 0)
            note_sharing(all, other, rank, out);
    }
}

int gpu_survey_make(const comm_settings *settings, gpu_survey *out, ls_error *error) {
    gpu_record mine = record_of(settings);
    gpu_record *all = calloc((size_t)settings->size, sizeof *all);
    if (!all)
        return ls_fail(error, LS_FAILED, "no memory for the ranks' GPUs");
    int status = LS_OK;
    if (settings->size == 1)
        all[0] = mine;
    else
        status = comm_allgather_bytes(settings->control, &mine, all, sizeof mine, error);
    if (status == LS_OK)
        compare(all, settings->size, out);
    free(all);
    return status;
}
