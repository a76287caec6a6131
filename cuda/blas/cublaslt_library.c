/* cuBLASLt's functions under their own names, each of which calls the library's, which is opened
 * with the first call: loaded with the program its tables cost every process 200 MB and 70 ms of
 * CPU time, with or without a GPU. The headers check the signatures; callers know nothing of it.
 * Where the library or one of these functions is missing, all of them fail, and
 * cublasLtGetStatusString says why. */
#include <cublasLt.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)

/* Name, parameters, their names. */
#define FUNCTIONS(F)                                                                               \
    F(Create, (cublasLtHandle_t * out), (out))                                                     \
    F(Destroy, (cublasLtHandle_t handle), (handle))                                                \
    F(Matmul,                                                                                      \
      (cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void *alpha, const void *a,  \
       cublasLtMatrixLayout_t a_is, const void *b, cublasLtMatrixLayout_t b_is, const void *beta,  \
       const void *c, cublasLtMatrixLayout_t c_is, void *d, cublasLtMatrixLayout_t d_is,           \
       const cublasLtMatmulAlgo_t *algorithm, void *workspace, size_t bytes, cudaStream_t stream), \
      (handle, operation, alpha, a, a_is, b, b_is, beta, c, c_is, d, d_is, algorithm, workspace,   \
       bytes, stream))                                                                             \
    F(MatmulAlgoConfigGetAttribute,                                                                \
      (const cublasLtMatmulAlgo_t *algorithm, cublasLtMatmulAlgoConfigAttributes_t which,          \
       void *out, size_t bytes, size_t *written),                                                  \
      (algorithm, which, out, bytes, written))                                                     \
    F(MatmulAlgoGetHeuristic,                                                                      \
      (cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,          \
       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,               \
       cublasLtMatmulPreference_t preference, int wanted, cublasLtMatmulHeuristicResult_t out[],   \
       int *count),                                                                                \
      (handle, operation, a, b, c, d, preference, wanted, out, count))                             \
    F(MatmulDescCreate,                                                                            \
      (cublasLtMatmulDesc_t * out, cublasComputeType_t compute, cudaDataType_t scale),             \
      (out, compute, scale))                                                                       \
    F(MatmulDescDestroy, (cublasLtMatmulDesc_t self), (self))                                      \
    F(MatmulDescSetAttribute,                                                                      \
      (cublasLtMatmulDesc_t self, cublasLtMatmulDescAttributes_t which, const void *value,         \
       size_t bytes),                                                                              \
      (self, which, value, bytes))                                                                 \
    F(MatmulPreferenceCreate, (cublasLtMatmulPreference_t * out), (out))                           \
    F(MatmulPreferenceDestroy, (cublasLtMatmulPreference_t self), (self))                          \
    F(MatmulPreferenceSetAttribute,                                                                \
      (cublasLtMatmulPreference_t self, cublasLtMatmulPreferenceAttributes_t which,                \
       const void *value, size_t bytes),                                                           \
      (self, which, value, bytes))                                                                 \
    F(MatrixLayoutCreate,                                                                          \
      (cublasLtMatrixLayout_t * out, cudaDataType type, uint64_t rows, uint64_t columns,           \
       int64_t leading),                                                                           \
      (out, type, rows, columns, leading))                                                         \
    F(MatrixLayoutDestroy, (cublasLtMatrixLayout_t self), (self))

#define POINTER(name, parameters, arguments) __typeof__(cublasLt##name) *name;
static struct {
    FUNCTIONS(POINTER)
    __typeof__(cublasLtGetStatusName) *GetStatusName;
    __typeof__(cublasLtGetStatusString) *GetStatusString;
    __typeof__(cublasLtGetVersion) *GetVersion;
} real;
static bool usable;
static char why_not[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool take(void *library, const char *name, void *out) {
    void *symbol = dlsym(library, name);
    memcpy(out, &symbol, sizeof symbol);
    if (!symbol)
        snprintf(why_not, sizeof why_not, "%s", dlerror());
    return symbol != NULL;
}

static void load(void) {
    void *library = dlopen("libcublasLt.so." TEXT(CUBLAS_VER_MAJOR), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(why_not, sizeof why_not, "%s", dlerror());
        return;
    }
#define TAKE(name, parameters, arguments) &&take(library, "cublasLt" #name, &real.name)
    usable = take(library, "cublasLtGetStatusName", &real.GetStatusName) &&
             take(library, "cublasLtGetStatusString", &real.GetStatusString) &&
             take(library, "cublasLtGetVersion", &real.GetVersion) FUNCTIONS(TAKE);
}

static bool loaded(void) {
    pthread_once(&once, load);
    return usable;
}

#define DEFINE(name, parameters, arguments)                                                        \
    cublasStatus_t cublasLt##name parameters {                                                     \
        return loaded() ? real.name arguments : CUBLAS_STATUS_NOT_INITIALIZED;                     \
    }
FUNCTIONS(DEFINE)

const char *cublasLtGetStatusName(cublasStatus_t status) {
    return loaded() ? real.GetStatusName(status) : "CUBLAS_STATUS_NOT_INITIALIZED";
}

const char *cublasLtGetStatusString(cublasStatus_t status) {
    return loaded() ? real.GetStatusString(status) : why_not;
}

size_t cublasLtGetVersion(void) {
    return loaded() ? real.GetVersion() : 0;
}
