#include "comm/message/ground.h"

#include <pthread.h>

/* Fair enough for two threads: whoever polls gives the core away between two turns. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void mpi_lock(void) {
    pthread_mutex_lock(&lock);
}

void mpi_unlock(void) {
    pthread_mutex_unlock(&lock);
}

int mpi_check(int status, const char *what, ls_error *error) {
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    if (status == MPI_SUCCESS)
        return LS_OK;
    if (MPI_Error_string(status, text, &length) != MPI_SUCCESS)
        return ls_fail(error, LS_FAILED, "%s: MPI error %d", what, status);
    return ls_fail(error, LS_FAILED, "%s: %s", what, text);
}

MPI_Datatype mpi_type(dtype type) {
    switch (type) {
    case DTYPE_F32:
        return MPI_FLOAT;
    case DTYPE_F64:
        return MPI_DOUBLE;
    case DTYPE_BF16:
    case DTYPE_F16:
        return MPI_UINT16_T;
    case DTYPE_U8:
        return MPI_UINT8_T;
    case DTYPE_I32:
        return MPI_INT32_T;
    case DTYPE_I64:
        return MPI_INT64_T;
    }
    return MPI_DATATYPE_NULL;
}
