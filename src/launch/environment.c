#include "launch/environment.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first entry that fits a name decides; a name that ends in '*' is a prefix. What stands in no
 * entry changes nothing that we know of: names of devices that a launcher grants
 * (CUDA_VISIBLE_DEVICES), what is only printed, and versions that images of containers set. */
enum { NOTHING = -1 };

static const struct {
    const char *name;
    int kind;
} table[] = {
    /* OpenMP (libgomp, libomp): threads and cores are ours (--threads, launch_bind). */
    {"OMP_PROC_BIND", ENVIRONMENT_TAKEN_OUT},
    {"OMP_PLACES", ENVIRONMENT_TAKEN_OUT},
    {"GOMP_CPU_AFFINITY", ENVIRONMENT_TAKEN_OUT},
    {"KMP_AFFINITY", ENVIRONMENT_TAKEN_OUT},
    {"KMP_HW_SUBSET", ENVIRONMENT_TAKEN_OUT},
    {"KMP_PLACE_THREADS", ENVIRONMENT_TAKEN_OUT},
    {"OMP_NUM_THREADS", ENVIRONMENT_TAKEN_OUT},
    {"OMP_THREAD_LIMIT", ENVIRONMENT_TAKEN_OUT},
    {"KMP_DEVICE_THREAD_LIMIT", ENVIRONMENT_TAKEN_OUT},
    {"OMP_DYNAMIC", ENVIRONMENT_TAKEN_OUT},
    {"OMP_NESTED", ENVIRONMENT_TAKEN_OUT},
    {"OMP_MAX_ACTIVE_LEVELS", ENVIRONMENT_TAKEN_OUT},
    {"OMP_DISPLAY_*", NOTHING},
    {"OMP_*", ENVIRONMENT_TIMES}, /* OMP_WAIT_POLICY, OMP_STACKSIZE */
    {"GOMP_*", ENVIRONMENT_TIMES},
    {"KMP_*", ENVIRONMENT_TIMES},
    /* hwloc: another machine than this one. */
    {"HWLOC_XMLFILE", ENVIRONMENT_TAKEN_OUT},
    {"HWLOC_SYNTHETIC", ENVIRONMENT_TAKEN_OUT},
    {"HWLOC_FSROOT", ENVIRONMENT_TAKEN_OUT},
    {"HWLOC_CPUID_PATH", ENVIRONMENT_TAKEN_OUT},
    {"HWLOC_DUMPED_HWDATA_DIR", ENVIRONMENT_TAKEN_OUT},
    {"HWLOC_THISSYSTEM", ENVIRONMENT_TAKEN_OUT},
    {"HWLOC_THISSYSTEM_ALLOWED_RESOURCES", ENVIRONMENT_TAKEN_OUT},
    {"HWLOC_COMPONENTS", ENVIRONMENT_TIMES}, /* sites keep a plugin out that hangs */
    /* oneDNN: --precision says what fp32 is. */
    {"DNNL_DEFAULT_FPMATH_MODE", ENVIRONMENT_TAKEN_OUT},
    {"ONEDNN_DEFAULT_FPMATH_MODE", ENVIRONMENT_TAKEN_OUT},
    {"DNNL_MAX_CPU_ISA", ENVIRONMENT_ARITHMETIC},
    {"ONEDNN_MAX_CPU_ISA", ENVIRONMENT_ARITHMETIC},
    {"DNNL_CPU_ISA_HINTS", ENVIRONMENT_ARITHMETIC},
    {"ONEDNN_CPU_ISA_HINTS", ENVIRONMENT_ARITHMETIC},
    {"DNNL_*", ENVIRONMENT_TIMES}, /* DNNL_VERBOSE, DNNL_JIT_PROFILE */
    {"ONEDNN_*", ENVIRONMENT_TIMES},
    /* CUDA, cuBLAS, cuDNN */
    {"NVIDIA_TF32_OVERRIDE", ENVIRONMENT_TAKEN_OUT},
    {"CUBLAS_LOG*", NOTHING},
    {"CUBLASLT_LOG*", NOTHING},
    {"CUDNN_LOG*", NOTHING},
    {"CUDNN_VERSION", NOTHING},
    {"CUBLAS_*", ENVIRONMENT_ARITHMETIC},
    {"CUBLASLT_*", ENVIRONMENT_ARITHMETIC},
    {"CUDNN_*", ENVIRONMENT_ARITHMETIC},
    {"LOCKSTEP_CUDA_AVOID", ENVIRONMENT_ARITHMETIC},
    {"CUDA_LAUNCH_BLOCKING", ENVIRONMENT_TIMES},
    {"CUDA_DEVICE_MAX_CONNECTIONS", ENVIRONMENT_TIMES},
    {"CUDA_MODULE_LOADING", ENVIRONMENT_TIMES},
    {"CUDA_AUTO_BOOST", ENVIRONMENT_TIMES},
    {"CUDA_SCALE_LAUNCH_QUEUES", ENVIRONMENT_TIMES},
    {"CUDA_FORCE_PTX_JIT", ENVIRONMENT_ARITHMETIC},
    {"CUDA_DISABLE_PTX_JIT", ENVIRONMENT_ARITHMETIC},
    /* glibc and its loader: which libm, which malloc. A rank alone may have a tracer loaded. */
    {"GLIBC_TUNABLES", ENVIRONMENT_ARITHMETIC},
    {"LD_PRELOAD", ENVIRONMENT_TIMES},
    {"LD_AUDIT", ENVIRONMENT_TIMES},
    {"MALLOC_*", ENVIRONMENT_TIMES},
    /* Open MPI: what mpirun itself sets (orte_, ess_, pmix, rmaps_) is none of this. */
    {"OMPI_MCA_btl*", ENVIRONMENT_COMMUNICATION},
    {"OMPI_MCA_pml*", ENVIRONMENT_COMMUNICATION},
    {"OMPI_MCA_mtl*", ENVIRONMENT_COMMUNICATION},
    {"OMPI_MCA_coll*", ENVIRONMENT_COMMUNICATION},
    {"OMPI_MCA_bml*", ENVIRONMENT_COMMUNICATION},
    {"OMPI_MCA_op*", ENVIRONMENT_COMMUNICATION},
    {"OMPI_MCA_smsc*", ENVIRONMENT_COMMUNICATION},
    {"OMPI_MCA_rcache*", ENVIRONMENT_COMMUNICATION},
    {"OMPI_MCA_mpool*", ENVIRONMENT_COMMUNICATION},
    {"OMPI_MCA_mpi_leave_pinned*", ENVIRONMENT_COMMUNICATION},
    {"OMPI_MCA_mpi_yield_when_idle", ENVIRONMENT_COMMUNICATION},
    /* Below it, and NCCL */
    {"UCX_LOG*", NOTHING},
    {"UCX_*", ENVIRONMENT_COMMUNICATION},
    {"FI_LOG*", NOTHING},
    {"FI_*", ENVIRONMENT_COMMUNICATION},
    {"PSM2_*", ENVIRONMENT_COMMUNICATION},
    {"PSM3_*", ENVIRONMENT_COMMUNICATION},
    {"MLX4_*", ENVIRONMENT_COMMUNICATION},
    {"MLX5_*", ENVIRONMENT_COMMUNICATION},
    {"IBV_*", ENVIRONMENT_COMMUNICATION},
    {"HCOLL_*", ENVIRONMENT_COMMUNICATION},
    {"SHARP_*", ENVIRONMENT_COMMUNICATION},
    {"NCCL_VERSION", NOTHING},
    {"NCCL_DEBUG*", NOTHING},
    {"NCCL_*", ENVIRONMENT_COMMUNICATION},
    {"LOCKSTEP_SHARED_MEMORY", ENVIRONMENT_COMMUNICATION},
};
enum { ENTRIES = sizeof table / sizeof table[0], MOST = 256 };

/* An address sanitizer is not set up yet where environment_clean runs. */
#define BEFORE_MAIN __attribute__((no_sanitize("address", "undefined")))

BEFORE_MAIN static bool fits(const char *entry, const char *text) {
    for (; *entry && *entry != '*'; entry++, text++)
        if (*entry != *text)
            return false;
    return *entry == '*' || *text == '=';
}

BEFORE_MAIN static int kind_of(const char *text) {
    for (int index = 0; index < ENTRIES; index++)
        if (fits(table[index].name, text))
            return table[index].kind;
    return NOTHING;
}

/* As they were before any library set one of its own (Open MPI does). The strings stay where the
 * kernel put them. */
static struct {
    const char *text;
    int kind;
} noted[MOST];
static int noted_count;

BEFORE_MAIN void environment_clean(char **environment) {
    char **kept = environment;
    for (char **each = environment; *each; each++) {
        int kind = kind_of(*each);
        bool room = noted_count < MOST;
        if (kind != NOTHING && room) {
            noted[noted_count].text = *each;
            noted[noted_count++].kind = kind;
        }
        if (kind != ENVIRONMENT_TAKEN_OUT || !room)
            *kept++ = *each;
    }
    *kept = NULL;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A value has no ';' of its own. */
static void add(text_buffer *out, const char *entry) {
    size_t before = out->length;
    text_add_bytes(out, entry, strlen(entry));
    for (size_t index = before; index < out->length; index++)
        if (out->bytes[index] == ';' || (unsigned char)out->bytes[index] < ' ')
            out->bytes[index] = ',';
}

void environment_add(text_buffer *out, unsigned kinds) {
    const char *found[MOST];
    int count = 0;
    for (int index = 0; index < noted_count; index++)
        if (kinds & 1u << noted[index].kind)
            found[count++] = noted[index].text;
    qsort(found, (size_t)count, sizeof *found, by_text);
    for (int index = 0; index < count; index++) {
        text_add(out, "%s", index ? "; " : "");
        add(out, found[index]);
    }
}

void environment_describe(unsigned kinds, char *out, size_t capacity) {
    text_buffer all = {0};
    environment_add(&all, kinds);
    snprintf(out, capacity, "%.*s", (int)capacity - 1, all.bytes ? all.bytes : "");
    text_free(&all);
}

int environment_check(ls_error *error) {
    const char *text = getenv("LOCKSTEP_SHARED_MEMORY");
    if (!text || !*text || strcmp(text, "0") == 0 || strcmp(text, "1") == 0)
        return LS_OK;
    return ls_fail(
        error, LS_BAD_INPUT,
        "LOCKSTEP_SHARED_MEMORY: expected 0 (sums by messages alone) or 1, found '%.80s'", text);
}
