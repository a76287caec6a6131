#include "comm_fixture.h"

#include "base/float16.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

comm *all, *control;
device *memory;
device_stream *stream;
ls_error error;

/* Without choosing by time: no rank tells the others here what it chose. */
static int open_device(const char *name, const launch *here, ls_error *problem) {
    device_request request = {.local_rank = here->local_rank,
                              .local_size = here->local_size,
                              .threads = 1,
                              .share_gpu = true,
                              .first_offer = true,
                              .plan_cache = ""};
    LS_TRY(device_open(name, &request, &memory, problem));
    return memory->is->stream_create(memory, &stream, problem);
}

void (*comm_fixture_adjust)(comm_settings *settings);

int comm_fixture_start(const char *kind, launch *here, ls_error *problem) {
    char name[32];
    const char *slash = strchr(kind, '/');
    LS_TRY(launch_start(here, problem));
    if (strcmp(kind, "host") == 0)
        return LS_OK;
    snprintf(name, sizeof name, "%.*s", slash ? (int)(slash - kind) : 3, slash ? kind : "ref");
    LS_TRY(open_device(name, here, problem));
    if (strcmp(kind, "staged") == 0)
        memory->facts.host_addressable = false;
    return LS_OK;
}

int comm_fixture_join(const char *kind, const launch *here, ls_error *problem) {
    const char *deadline = getenv("COMM_TEST_DEADLINE");
    const char *slash = strchr(kind, '/');
    const char *which = slash ? slash + 1 : strcmp(kind, "staged") == 0 ? "mpi" : "auto";
    comm_settings settings = {.rank = here->rank, .size = here->size, .host = here->host};
    if (here->size > 1)
        LS_TRY(comm_open("auto", &settings, &control, problem));
    settings.control = control;
    settings.device = memory;
    settings.deadline_seconds = deadline ? strtod(deadline, NULL) : 0;
    if (comm_fixture_adjust)
        comm_fixture_adjust(&settings);
    return comm_open(which, &settings, &all, problem);
}

int comm_fixture_open(const char *kind, launch *here, ls_error *problem) {
    LS_TRY(comm_fixture_start(kind, here, problem));
    return comm_fixture_join(kind, here, problem);
}

void comm_fixture_close_comms(void) {
    comm_close(all);
    comm_close(control);
    all = control = NULL;
}

void comm_fixture_close(void) {
    comm_fixture_close_comms();
    if (memory)
        memory->is->stream_destroy(memory, stream);
    device_close(memory);
    memory = NULL;
}

static void must(int status) {
    if (status == LS_OK)
        return;
    fprintf(stderr, "the fixture: %s\n", error.text);
    abort();
}

array array_make(dtype type, int64_t count) {
    array self = {.bytes = ((size_t)count + 1) * dtype_bytes(type)};
    if (memory) {
        must(memory->is->host_allocate(memory, self.bytes, &self.host, &error));
        must(memory->is->allocate(memory, self.bytes, "a test", &self.data, &error));
    } else {
        self.host = self.data = calloc(1, self.bytes);
    }
    return self;
}

array array_of_comm(dtype type, int64_t count) {
    array self = {.bytes = ((size_t)count + 1) * dtype_bytes(type), .from = all};
    must(all->is->allocate(all, self.bytes, "a test", &self.data, &error));
    self.host = self.data;
    if (memory)
        must(memory->is->host_allocate(memory, self.bytes, &self.host, &error));
    return self;
}

void array_give(array *self) {
    if (memory)
        must(memory->is->copy(memory, stream, self->data, self->host, self->bytes,
                              COPY_HOST_TO_DEVICE, &error));
}

void array_take(array *self) {
    if (!memory)
        return;
    must(memory->is->copy(memory, stream, self->host, self->data, self->bytes, COPY_DEVICE_TO_HOST,
                          &error));
    must(memory->is->stream_synchronize(memory, stream, &error));
}

void array_free(array *self) {
    if (memory)
        must(memory->is->stream_synchronize(memory, stream, &error));
    if (memory)
        memory->is->host_release(memory, self->host);
    else if (!self->from)
        free(self->host);
    if (self->from)
        self->from->is->release(self->from, self->data);
    else if (memory)
        memory->is->release(memory, self->data);
    *self = (array){0};
}

int value_of(int rank, int64_t index) {
    return (int)((index * 7 + rank * 13) % 101) - 50;
}

double expected_of(int64_t index, reduction how) {
    double result = value_of(0, index);
    for (int rank = 1; rank < all->size; rank++) {
        double value = value_of(rank, index);
        if (how == REDUCTION_SUM)
            result += value;
        else if (how == REDUCTION_MAX ? value > result : value < result)
            result = value;
    }
    return result;
}

void store_value(void *buffer, dtype type, int64_t index, double value) {
    switch (type) {
    case DTYPE_F32:
        ((float *)buffer)[index] = (float)value;
        break;
    case DTYPE_F64:
        ((double *)buffer)[index] = value;
        break;
    case DTYPE_BF16:
        ((uint16_t *)buffer)[index] = bf16_of_float((float)value);
        break;
    case DTYPE_F16:
        ((uint16_t *)buffer)[index] = fp16_of_float((float)value);
        break;
    case DTYPE_U8:
        ((uint8_t *)buffer)[index] = (uint8_t)value;
        break;
    case DTYPE_I32:
        ((int32_t *)buffer)[index] = (int32_t)value;
        break;
    case DTYPE_I64:
        ((int64_t *)buffer)[index] = (int64_t)value;
        break;
    }
}

double load(const void *buffer, dtype type, int64_t index) {
    switch (type) {
    case DTYPE_F32:
        return (double)((const float *)buffer)[index];
    case DTYPE_F64:
        return ((const double *)buffer)[index];
    case DTYPE_BF16:
        return (double)bf16_to_float(((const uint16_t *)buffer)[index]);
    case DTYPE_F16:
        return (double)fp16_to_float(((const uint16_t *)buffer)[index]);
    case DTYPE_U8:
        return ((const uint8_t *)buffer)[index];
    case DTYPE_I32:
        return ((const int32_t *)buffer)[index];
    case DTYPE_I64:
        return (double)((const int64_t *)buffer)[index];
    }
    return 0;
}

array array_filled(dtype type, int64_t count, int rank) {
    array self = array_make(type, count);
    for (int64_t index = 0; index < count; index++)
        store_value(self.host, type, index, value_of(rank, index));
    array_give(&self);
    return self;
}

int64_t wrong_of(const array *buffer, dtype type, int64_t from, int64_t to, reduction how) {
    int64_t wrong = 0;
    for (int64_t index = from; index < to; index++)
        wrong += load(buffer->host, type, index) != expected_of(index, how);
    return wrong;
}
