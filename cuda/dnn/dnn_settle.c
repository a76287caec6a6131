#include "cuda/dnn/dnn_settle.h"
#include "cuda/dnn/dnn_choose.h"

#include <stdlib.h>
#include <string.h>

typedef struct waiting_problem {
    const dnn_problem *problem;
    double spread; /* seconds */
} waiting_problem;

typedef struct dnn_waiting {
    int count, capacity;
    waiting_problem *of;
} dnn_waiting;

int dnn_waiting_add(cuda_device *device, const dnn_problem *problem, ls_error *error) {
    dnn_waiting *all = device->choosing.waiting;
    if (!all && !(all = device->choosing.waiting = calloc(1, sizeof *all)))
        return ls_fail(error, LS_FAILED, "out of host memory");
    for (int index = 0; index < all->count; index++)
        if (strcmp(all->of[index].problem->key, problem->key) == 0)
            return LS_OK;
    if (all->count == all->capacity) {
        int capacity = all->capacity ? 2 * all->capacity : 16;
        waiting_problem *grown = realloc(all->of, (size_t)capacity * sizeof *grown);
        if (!grown)
            return ls_fail(error, LS_FAILED, "out of host memory");
        all->of = grown;
        all->capacity = capacity;
    }
    all->of[all->count++] = (waiting_problem){.problem = problem};
    return LS_OK;
}

static void free_all(cuda_device *device) {
    free(device->choosing.waiting->of);
    free(device->choosing.waiting);
    device->choosing.waiting = NULL;
}

void dnn_waiting_remove(cuda_device *device, const dnn_problem *problem) {
    dnn_waiting *all = device->choosing.waiting;
    for (int index = 0; all && index < all->count; index++)
        if (all->of[index].problem == problem) {
            all->count--;
            memmove(&all->of[index], &all->of[index + 1],
                    (size_t)(all->count - index) * sizeof *all->of);
            break;
        }
    if (all && all->count == 0)
        free_all(device);
}

/* Widest first; of equal ones the order of their keys, so that it is the same each time. */
static int by_spread(const void *a, const void *b) {
    const waiting_problem *left = a, *right = b;
    if (left->spread != right->spread)
        return left->spread < right->spread ? 1 : -1;
    return strcmp(left->problem->key, right->problem->key);
}

static int choose_all(cuda_device *device, dnn_waiting *all, bool quick, ls_error *error) {
    for (int index = 0; index < all->count && device->choosing.seconds_left > 0; index++)
        LS_TRY(dnn_choose_by_time(device, all->of[index].problem, quick, &all->of[index].spread,
                                  error));
    return LS_OK;
}

int dnn_settle(cuda_device *device, ls_error *error) {
    dnn_waiting *all = device->choosing.waiting;
    int status = LS_OK;
    device->choosing.collects = false;
    if (!all)
        return LS_OK;
    status = choose_all(device, all, true, error);
    qsort(all->of, (size_t)all->count, sizeof *all->of, by_spread);
    if (status == LS_OK)
        status = choose_all(device, all, false, error);
    free_all(device);
    return status;
}
