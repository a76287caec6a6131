/* The nccl comm: opening and closing it. */
#include "cuda/nccl/comm_nccl.h"

#include "base/thread.h"
#include "comm/comm_implementations.h"

#include <stdlib.h>

static int create_events(nccl_slot *slots, int count, ls_error *error) {
    for (int index = 0; index < count; index++) {
        LS_TRY(
            nccl_cuda_check(cudaEventCreateWithFlags(&slots[index].start, cudaEventDisableTiming),
                            "making an event", error));
        LS_TRY(nccl_cuda_check(cudaEventCreateWithFlags(&slots[index].end, cudaEventDisableTiming),
                               "making an event", error));
    }
    return LS_OK;
}

static void destroy_events(nccl_slot *slots, int count) {
    for (int index = 0; index < count; index++) {
        if (slots[index].start)
            cudaEventDestroy(slots[index].start);
        if (slots[index].end)
            cudaEventDestroy(slots[index].end);
    }
}

static int create_own(nccl_comm *self, ls_error *error) {
    device *device = self->settings.device;
    int least = 0, greatest = 0;
    cuda_enter(device);
    LS_TRY(
        nccl_cuda_check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "priorities", error));
    LS_TRY(nccl_cuda_check(
        cudaStreamCreateWithPriority(&self->stream, cudaStreamNonBlocking, greatest),
        "making a stream", error));
    LS_TRY(create_events(self->slots, NCCL_SLOTS, error));
    LS_TRY(create_events(self->recorded, NCCL_RECORDED_SLOTS, error));
    return device->is->host_allocate(device, sizeof *self->reached, (void **)&self->reached, error);
}

/* The communicator, made on a thread that may run wherever this rank's threads may: those that NCCL
 * starts, which drive the network, inherit that. The caller's is bound to one core, where it waits
 * for the GPU by looking at it all the time. */
typedef struct making {
    nccl_comm *self;
    ncclUniqueId id;
    int status;
    ls_error *error;
} making;

static void *make(void *context) {
    making *what = context;
    nccl_comm *self = what->self;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    cuda_enter(self->settings.device);
    pthread_mutex_lock(&self->api);
    ncclResult_t result =
        ncclCommInitRankConfig(&self->nccl, self->base.size, what->id, self->base.rank, &config);
    what->status = nccl_settle(self, result, what->error);
    pthread_mutex_unlock(&self->api);
    return NULL;
}

static int make_on_all_units(making *what, ls_error *error) {
    const comm_settings *settings = &what->self->settings;
    pthread_t thread;
    LS_TRY(thread_start(&thread, "comm nccl", settings->processing_units,
                        settings->processing_unit_count, make, what, error));
    pthread_join(thread, NULL);
    return what->status;
}

/* Collective. */
static int join(nccl_comm *self, ls_error *error) {
    making what = {.self = self, .error = error};
    nccl_set_now(self, (collective_name){.what = "joining of the ranks"}, false);
    ncclResult_t result = self->base.rank == 0 ? ncclGetUniqueId(&what.id) : ncclSuccess;
    int status = result == ncclSuccess ? LS_OK : nccl_failed(self, result, &self->now, error);
    if (status == LS_OK && self->settings.control)
        status = comm_broadcast_bytes(self->settings.control, &what.id, sizeof what.id, 0, error);
    if (status == LS_OK)
        status = make_on_all_units(&what, error);
    self->joined = status == LS_OK;
    nccl_set_now(self, (collective_name){0}, false);
    return status;
}

/* Collective. NCCL does not let go of a communicator while a graph holds it, or a rank is missing:
 * then it is aborted. */
static void leave(nccl_comm *self) {
    ls_error unused = {0};
    if (!self->nccl)
        return;
    pthread_mutex_lock(&self->api);
    nccl_set_now(self, (collective_name){.what = "parting of the ranks"}, false);
    bool joined = self->joined;
    self->joined = false; /* a failure from here on is the abort's business */
    if (joined && nccl_settle(self, ncclCommFinalize(self->nccl), &unused) == LS_OK)
        ncclCommDestroy(self->nccl);
    else
        ncclCommAbort(self->nccl);
    pthread_mutex_unlock(&self->api);
}

static void nccl_close(comm *base) {
    nccl_comm *self = (nccl_comm *)base;
    cuda_enter(self->settings.device);
    if (self->watched && self->stream)
        cudaStreamSynchronize(self->stream); /* watched: it cannot last for ever */
    nccl_unwatch(self);
    leave(self);
    destroy_events(self->slots, NCCL_SLOTS);
    destroy_events(self->recorded, NCCL_RECORDED_SLOTS);
    if (self->stream)
        cudaStreamDestroy(self->stream);
    if (self->scratch)
        self->settings.device->is->release(self->settings.device, self->scratch);
    if (self->reached)
        self->settings.device->is->host_release(self->settings.device, (void *)self->reached);
    free(self->names);
    free(self);
}

/* Not registered with NCCL (ncclCommRegister): the emulated NCCL has nothing to check it with. */
static int nccl_allocate(comm *base, size_t bytes, const char *what, void **out, ls_error *error) {
    return comm_plain_allocate(((nccl_comm *)base)->settings.device, bytes, what, out, error);
}

static void nccl_release(comm *base, void *memory) {
    comm_plain_release(((nccl_comm *)base)->settings.device, memory);
}

static const comm_interface nccl_interface = {
    .name = "nccl",
    .capturable = true,
    .allreduce = nccl_allreduce,
    .reduce_scatter = nccl_reduce_scatter,
    .allgather = nccl_allgather,
    .broadcast = nccl_broadcast,
    .reduce = nccl_reduce,
    .scatter = nccl_scatter,
    .gather = nccl_gather,
    .sum_tree = nccl_sum_tree,
    .barrier = nccl_barrier,
    .allocate = nccl_allocate,
    .release = nccl_release,
    .progress = nccl_progress,
    .wait = nccl_wait,
    .close = nccl_close,
};

int comm_nccl_open(const comm_settings *settings, comm **out, ls_error *error) {
    nccl_comm *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "no memory for the nccl comm");
    self->base = (comm){.is = &nccl_interface, .rank = settings->rank, .size = settings->size};
    self->settings = *settings;
    pthread_mutex_init(&self->api, NULL);
    pthread_mutex_init(&self->mutex, NULL);
    int status = create_own(self, error);
    if (status == LS_OK)
        status = join(self, error);
    if (status == LS_OK)
        status = nccl_watch(self, error);
    if (status != LS_OK) {
        nccl_close(&self->base);
        return status;
    }
    *out = &self->base;
    return LS_OK;
}
