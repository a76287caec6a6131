/* What a GPU is, as far as it can be told without a context on it. */
#include "cuda/device/cuda_device.h"

#include <ctype.h>
#include <stdio.h>

/* What the kernels are compiled for (cuda/meson.build), and what bf16, tf32 and cuDNN's graphs
 * for them need. */
enum { OLDEST_CAPABILITY = 80 };

static int check_capability(const cuda_device *self, ls_error *error) {
    if (self->capability >= OLDEST_CAPABILITY)
        return LS_OK;
    return ls_fail(error, LS_BAD_LAUNCH,
                   "--device cuda: %s has compute capability %d.%d, this program's GPU code needs "
                   "%d.%d or later (A100, H100, H200); choose another GPU, or give --device cpu",
                   self->base.facts.name, self->capability / 10, self->capability % 10,
                   OLDEST_CAPABILITY / 10, OLDEST_CAPABILITY % 10);
}

static void uuid_text(const cudaUUID_t *uuid, char *out, size_t capacity) {
    const unsigned char *b = (const unsigned char *)uuid->bytes;
    snprintf(out, capacity,
             "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
}

static int numa_node_of(const char *pci_bus_id) {
    char path[96];
    int node = -1;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/numa_node", pci_bus_id);
    FILE *file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%d", &node) != 1 || node < 0)
            node = -1;
        fclose(file);
    }
    return node;
}

/* "0000:3b:00.0", as sysfs writes it. */
static cudaError_t bus_id_of(int ordinal, char out[32]) {
    cudaError_t status = cudaDeviceGetPCIBusId(out, 32, ordinal);
    for (char *letter = out; status == cudaSuccess && *letter; letter++)
        *letter = (char)tolower((unsigned char)*letter);
    return status;
}

int cuda_numa_node(int ordinal) {
    char bus_id[32];
    return bus_id_of(ordinal, bus_id) == cudaSuccess ? numa_node_of(bus_id) : -1;
}

static void describe_libraries(char *out, size_t capacity) {
    int runtime = 0;
    size_t dnn = cudnnGetVersion(), blas = cublasLtGetVersion();
    cudaRuntimeGetVersion(&runtime);
    snprintf(out, capacity, "CUDA %d.%d, cuDNN %zu.%zu.%zu, cuBLASLt %zu.%zu.%zu", runtime / 1000,
             runtime % 1000 / 10, dnn / 10000, dnn % 10000 / 100, dnn % 100, blas / 10000,
             blas % 10000 / 100, blas % 100);
}

static int describe(cuda_device *self, ls_error *error) {
    device_facts *facts = &self->base.facts;
    struct cudaDeviceProp properties;
    char bus_id[32];
    CUDA_TRY(cudaGetDeviceProperties(&properties, self->ordinal), "asking what the GPU is");
    CUDA_TRY(bus_id_of(self->ordinal, bus_id), "asking where it is");
    self->capability = properties.major * 10 + properties.minor;
    self->multiprocessors = properties.multiProcessorCount;
    snprintf(facts->name, sizeof facts->name, "%.127s", properties.name);
    snprintf(facts->pci_bus_id, sizeof facts->pci_bus_id, "%.15s", bus_id);
    uuid_text(&properties.uuid, facts->uuid, sizeof facts->uuid);
    cuda_driver_text(facts->driver, sizeof facts->driver);
    describe_libraries(facts->library, sizeof facts->library);
    facts->numa_node = numa_node_of(bus_id);
    facts->host_addressable = false;
    facts->asynchronous = true;
    facts->updates_advance = !(self->avoided & CUDA_AVOID_UPDATE_ADVANCE);
    /* 28 bytes an element: 2 us of an H200's memory, as long as a launch takes. */
    facts->least_update = self->avoided & CUDA_AVOID_GROUPED_UPDATES ? 0 : (size_t)1 << 18;
    return LS_OK;
}

int cuda_describe_gpu(cuda_device *self, ls_error *error) {
    LS_TRY(describe(self, error));
    return check_capability(self, error);
}

/* A GPU that was opened has all of them (check_capability). */
int cuda_check_precision(device *base, precision wanted, ls_error *error) {
    (void)base, (void)wanted, (void)error;
    return LS_OK;
}
