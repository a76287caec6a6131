#include "forecast/measure.h"

#include "base/clock.h"
#include "base/thread.h"
#include "comm/comm.h"
#include "device/ops.h"
#include "launch/lifeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- at which sizes: rank 0's choice */

typedef struct measure_plan {
    double gap_seconds; /* between two of the comm's chances to get on */
    size_t bytes[LINK_KINDS][LINK_MOST_POINTS];
    int counts[LINK_KINDS];
} measure_plan;

/* Ascending, none twice, none nearer than a tenth to another; what does not fit is left out. */
static void add_size(measure_plan *self, link_kind kind, int64_t bytes) {
    size_t *sizes = self->bytes[kind];
    int at = self->counts[kind];
    if (bytes < 64 || at == LINK_MOST_POINTS)
        return;
    for (int index = 0; index < at; index++)
        if (llabs((int64_t)sizes[index] - bytes) * 10 < bytes)
            return;
    self->counts[kind]++;
    for (; at > 0 && (int64_t)sizes[at - 1] > bytes; at--)
        sizes[at] = sizes[at - 1];
    sizes[at] = (size_t)bytes;
}

static void add_run_sizes(measure_plan *self, const step_model *step, int64_t bucket_bytes,
                          int ranks) {
    int64_t whole = 4 * step->parameters, element = (int64_t)dtype_bytes(step->type);
    double backward = 0;
    int rows = 0;
    add_size(self, LINK_SUM_F32, whole);
    add_size(self, LINK_SUM_BF16, whole / 2);
    for (size_t index = 0; index < step->row_count; index++) {
        const step_row *row = &step->rows[index];
        if (row->phase == LAYER_BACKWARD_DATA || row->phase == LAYER_BACKWARD_WEIGHTS) {
            backward += row->seconds[0];
            rows++;
        }
        add_size(self, LINK_GATHER, element * step->batch * ranks * row->in_features);
        add_size(self, LINK_GATHER, element * step->batch * ranks * row->out_features);
    }
    if (rows > 0)
        self->gap_seconds = backward / rows;
    if (bucket_bytes == 0) /* as auto may cut them */
        for (int64_t bytes = whole / 16; bytes < whole; bytes *= 2) {
            add_size(self, LINK_SUM_F32, bytes);
            add_size(self, LINK_SUM_BF16, bytes / 2);
        }
    else if (bucket_bytes < whole) {
        add_size(self, LINK_SUM_F32, bucket_bytes);
        add_size(self, LINK_SUM_BF16, bucket_bytes);
        add_size(self, LINK_SUM_F32, whole % bucket_bytes);
        add_size(self, LINK_SUM_BF16, whole / 2 % bucket_bytes);
    }
}

static void make_plan(measure_plan *self, const measure_settings *settings, int ranks) {
    static const int64_t ladder[] = {4 << 10, 64 << 10, 1 << 20, 4 << 20};
    *self = (measure_plan){.gap_seconds = 1e-3};
    if (settings->step)
        add_run_sizes(self, settings->step, settings->bucket_bytes, ranks);
    for (int kind = 0; kind < LINK_KINDS; kind++) {
        for (size_t index = 0; index < sizeof ladder / sizeof ladder[0]; index++)
            add_size(self, (link_kind)kind, ladder[index]);
        if (!settings->step)
            add_size(self, (link_kind)kind, 16 << 20);
    }
}

/* ---- through what */

typedef struct bench {
    const launch *me;
    const measure_settings *settings;
    launch_binding binding;
    device *device;
    device_stream *stream;
    comm *comm, *control;
    ls_error bind_error;
} bench;

static int check_place(const launch *me, ls_error *error) {
    if (me->size < 2)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--measure-network: expected 2 ranks or more, found 1 (start it by srun or "
                       "mpirun, as train)");
    if (me->node_count > 1 && me->size != me->node_count)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--measure-network: %d ranks on %d nodes time two links as one (one node: "
                       "the link inside it; one rank a node: the link between nodes)",
                       me->size, me->node_count);
    return LS_OK;
}

/* What differs would measure other things on other ranks, or wait for ever. */
static int agree(bench *self, ls_error *error) {
    text_buffer theirs = {0};
    comm *control = self->control;
    text_add(&theirs, "%s", self->settings->options_text);
    LS_TRY(comm_broadcast_text(control, &theirs, 0, error));
    bool same = strcmp(theirs.bytes, self->settings->options_text) == 0;
    text_free(&theirs);
    if (!same)
        return ls_fail(error, LS_BAD_INPUT,
                       "the ranks differ: rank %d (host %s) has other options than rank 0",
                       self->me->rank, self->me->host);
    return control->is->barrier(control, error);
}

static void bind_thread(void *context, int thread) {
    bench *self = context;
    ls_error error = {0};
    if (launch_bind_thread(self->me, &self->binding, thread, &error) != LS_OK) {
#pragma omp critical
        self->bind_error = error;
    }
}

static int open_device(bench *self, launch *me, ls_error *error) {
    device_request request = {.local_rank = me->local_rank,
                              .local_size = me->local_size,
                              .bind_thread = bind_thread,
                              .bind_context = self,
                              .share_gpu = self->settings->device.share_gpu,
                              .plan_cache = ""};
    LS_TRY(launch_bind(
        me, (int)self->settings->device.threads, self->settings->device.oversubscribe,
        device_numa_node(self->settings->device.device, &request), &self->binding, error));
    request.threads = self->binding.threads;
    LS_TRY(thread_check("compute threads", request.threads - 1, error));
    LS_TRY(device_open(self->settings->device.device, &request, &self->device, error));
    if (self->bind_error.code != LS_OK) {
        *error = self->bind_error;
        return error->code;
    }
    return self->device->is->stream_create(self->device, &self->stream, error);
}

enum { DEADLINE_SECONDS = 300 }; /* of a collective, as train's */

static int open_bench(bench *self, launch *me, ls_error *error) {
    comm_settings settings = {.rank = me->rank, .size = me->size, .host = me->host};
    LS_TRY(comm_open("auto", &settings, &self->control, error));
    LS_TRY(agree(self, error));
    LS_TRY(check_place(me, error));
    LS_TRY(open_device(self, me, error));
    settings.device = self->device;
    settings.control = self->control;
    settings.deadline_seconds = DEADLINE_SECONDS;
    settings.processing_units = self->binding.processing_units;
    settings.processing_unit_count = self->binding.threads;
    return comm_open(self->settings->comm, &settings, &self->comm, error);
}

static void close_bench(bench *self) {
    comm_close(self->comm);
    if (self->stream)
        self->device->is->stream_destroy(self->device, self->stream);
    device_close(self->device);
    comm_close(self->control);
}

/* ---- measuring */

static int measure_kind(const link_probe *probe, link_kind kind, const measure_plan *plan,
                        link_table *out, ls_error *error) {
    double seconds[LINK_MOST_POINTS];
    link_call call = link_kind_call(kind);
    dtype type = link_kind_type(kind);
    LS_TRY(link_measure(probe, call, type, plan->bytes[kind], plan->counts[kind], seconds, NULL,
                        error));
    for (int index = 0; index < plan->counts[kind]; index++) {
        link_point *point = &out->points[index];
        *point = (link_point){.bytes = plan->bytes[kind][index], .seconds = seconds[index]};
        LS_TRY(link_measure_following(probe, call, type, point->bytes, point->seconds,
                                      &point->following_seconds, error));
        LS_TRY(link_measure_overlap(probe, call, type, point->bytes, point->seconds,
                                    plan->gap_seconds, &point->overlap, error));
        out->count++;
    }
    return LS_OK;
}

/* A walk through arrays that no cache holds: a step casts what it wrote long before. */
enum { CAST_ELEMENTS = 1 << 24, CAST_PIECES = 16, CAST_TIMES = 3 };

typedef struct cast_arrays {
    float *wide;
    uint16_t *narrow;
} cast_arrays;

static int cast_all(const bench *self, const cast_arrays *arrays, double *seconds,
                    ls_error *error) {
    const ops *ops = self->device->is->ops;
    double began = clock_seconds();
    for (size_t piece = 0; piece < CAST_PIECES; piece++) {
        size_t count = CAST_ELEMENTS / CAST_PIECES, at = piece * count;
        LS_TRY(ops->cast(self->device, self->stream, count, DTYPE_F32, arrays->wide + at,
                         DTYPE_BF16, arrays->narrow + at, error));
    }
    for (size_t piece = 0; piece < CAST_PIECES; piece++) {
        size_t count = CAST_ELEMENTS / CAST_PIECES, at = piece * count;
        LS_TRY(ops->cast(self->device, self->stream, count, DTYPE_BF16, arrays->narrow + at,
                         DTYPE_F32, arrays->wide + at, error));
    }
    LS_TRY(self->device->is->stream_synchronize(self->device, self->stream, error));
    *seconds = clock_seconds() - began;
    return LS_OK;
}

/* The median, on all ranks at once, after a first time that touches the memory. */
static int time_cast(const bench *self, const cast_arrays *arrays, double *seconds,
                     ls_error *error) {
    double times[CAST_TIMES];
    LS_TRY(cast_all(self, arrays, seconds, error));
    for (int time = 0; time < CAST_TIMES; time++) {
        LS_TRY(self->control->is->barrier(self->control, error));
        LS_TRY(cast_all(self, arrays, &times[time], error));
    }
    *seconds = fmax(fmin(times[0], times[1]), fmin(fmax(times[0], times[1]), times[2]));
    return LS_OK;
}

/* To bf16 and back, of as many fp32 bytes; the slowest rank's. */
static int measure_cast(const bench *self, double *seconds_per_byte, ls_error *error) {
    static const char what[] = "the casts' measurement";
    comm *comm = self->comm; /* whose memory a step's gradients are in */
    cast_arrays arrays = {NULL, NULL};
    double seconds = 0;
    int status = comm->is->allocate(comm, CAST_ELEMENTS * sizeof *arrays.wide, what,
                                    (void **)&arrays.wide, error);
    if (status == LS_OK)
        status = comm->is->allocate(comm, CAST_ELEMENTS * sizeof *arrays.narrow, what,
                                    (void **)&arrays.narrow, error);
    if (status == LS_OK)
        status = time_cast(self, &arrays, &seconds, error);
    if (arrays.narrow)
        comm->is->release(comm, arrays.narrow);
    if (arrays.wide)
        comm->is->release(comm, arrays.wide);
    LS_TRY(status);
    LS_TRY(comm_allreduce_double(self->control, &seconds, 1, REDUCTION_MAX, error));
    *seconds_per_byte = seconds / (4.0 * CAST_ELEMENTS);
    return LS_OK;
}

static int list_hosts(const bench *self, text_buffer *out, ls_error *error) {
    size_t each = sizeof self->me->host;
    char *hosts = calloc((size_t)self->me->size, each);
    if (!hosts)
        return ls_fail(error, LS_FAILED, "no memory for %d host names", self->me->size);
    int status = comm_allgather_bytes(self->control, self->me->host, hosts, each, error);
    for (int rank = 0; rank < self->me->size && status == LS_OK; rank++)
        if (rank == 0 || strcmp(hosts + (size_t)rank * each, hosts + (size_t)(rank - 1) * each))
            text_add(out, "%s%s", rank ? " " : "", hosts + (size_t)rank * each);
    free(hosts);
    return status;
}

static int measure_all(const bench *self, measure_result *out, ls_error *error) {
    link_probe probe = {.comm = self->comm,
                        .control = self->control,
                        .device = self->device,
                        .stream = self->stream,
                        .pumped = self->me->node_count > 1}; /* as ddp */
    measure_plan plan;
    make_plan(&plan, self->settings, self->me->size);
    LS_TRY(comm_broadcast_bytes(self->control, &plan, sizeof plan, 0, error));
    for (int kind = 0; kind < LINK_KINDS; kind++) {
        lifeline_at("measuring the network", 0, kind);
        LS_TRY(measure_kind(&probe, (link_kind)kind, &plan, &out->link.kinds[kind], error));
    }
    LS_TRY(measure_cast(self, &out->link.cast_seconds_per_byte, error));
    return list_hosts(self, &out->hosts, error);
}

int network_measure(launch *me, const measure_settings *settings, measure_result *out,
                    ls_error *error) {
    bench self = {.me = me, .settings = settings};
    *out = (measure_result){.link = {.ranks = me->size, .nodes = me->node_count}};
    LS_TRY(open_bench(&self, me, error)); /* a failure ends all ranks through the lifeline */
    LS_TRY(measure_all(&self, out, error));
    format_plain(out->comm, sizeof out->comm, "%s%s%s", self.comm->is->name,
                 self.comm->note[0] ? ": " : "", self.comm->note);
    format_plain(out->device, sizeof out->device, "%s: %s", self.device->is->name,
                 self.device->facts.name);
    close_bench(&self);
    return network_fit(&out->link, error);
}
