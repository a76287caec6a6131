#include "launch/launch.h"

#include "launch/arrival.h"
#include "launch/environment.h"
#include "launch/lifeline.h"
#include "launch/sources.h"
#include "launch/topology.h"

#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void start_alone(launch *self) {
    self->size = self->local_size = self->node_count = 1;
    self->launcher = "alone";
    if (gethostname(self->host, sizeof self->host - 1))
        snprintf(self->host, sizeof self->host, "localhost");
}

/* "Open MPI v4.1.4" of a longer text. */
static void read_mpi_version(launch *self) {
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    MPI_Get_library_version(text, &length);
    text[strcspn(text, ",\n")] = '\0';
    snprintf(self->mpi_version, sizeof self->mpi_version, "%.127s", text);
}

/* Every rank finds the same fault here, and no lifeline stands yet: rank 0 says it. */
static int refuse_mpi(const launch *self, ls_error *error) {
    if (self->rank != 0)
        error->text[0] = '\0';
    return error->code;
}

/* Open MPI 5 learns its own name from the PMIx_Init that it calls itself, and calls none where PMIx
 * is up (ompi_rte_init of 5.0): the name stays empty, and MPI_Init fails. PMIx_Init, PMIx_Finalize
 * and then MPI is no way out: one start in three ends with processes that cannot reach each other
 * (5.0.7 with PMIx 5.0.7). Open MPI 4 calls PMIx_Init always, and may be linked with a PMIx of its
 * own that nobody else sees, so that PMIx goes first there. Asked of the library that is loaded:
 * MPI_Get_library_version may be called before MPI_Init (MPI 3.1, 8.1.1). */
static bool mpi_must_start_pmix(void) {
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0, major = 0;
    MPI_Get_library_version(text, &length);
    return sscanf(text, "Open MPI v%d", &major) == 1 && major >= 5;
}

/* While it waits for other ranks, Open MPI (4.1's ompi_mpi_init and ompi_mpi_finalize) looks every
 * 100 us: 128 ranks that share two cores are then busy with looking. A thread's slack of timers is
 * how much later the kernel may wake it; 0 stands for what it was. */
static void look_less_often(const launch *self) {
    enum { EACH_NANOSECONDS = 50 * 1000 };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (self->local_size > cores)
        prctl(PR_SET_TIMERSLACK, (unsigned long)self->local_size * EACH_NANOSECONDS, 0, 0, 0);
}

static void look_as_before(void) {
    prctl(PR_SET_TIMERSLACK, 0UL, 0, 0, 0);
}

static int start_mpi(const launch *self, ls_error *error) {
    int provided = 0;
    look_less_often(self);
    int status = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided);
    look_as_before();
    if (status != MPI_SUCCESS)
        return ls_fail(error, LS_BAD_LAUNCH, "MPI_Init_thread failed");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    return LS_OK;
}

static int compare_mpi(launch *self, ls_error *error) {
    int provided = 0, rank = -1, size = -1;
    MPI_Query_thread(&provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    read_mpi_version(self);
    if (provided < MPI_THREAD_SERIALIZED)
        ls_fail(error, LS_BAD_LAUNCH,
                "%s gives thread level %d, expected MPI_THREAD_SERIALIZED (%d)", self->mpi_version,
                provided, MPI_THREAD_SERIALIZED);
    else if (rank != self->rank || size != self->size)
        ls_fail(error, LS_BAD_LAUNCH,
                "PMIx says rank %d of %d, but %s says rank %d of %d: is this MPI built with the "
                "PMIx that %s offers?",
                self->rank, self->size, self->mpi_version, rank, size, self->launcher);
    return error->code == LS_OK ? LS_OK : refuse_mpi(self, error);
}

static int start_pmix_and_mpi(launch *self, ls_error *error) {
    bool mpi_first = mpi_must_start_pmix();
    lifeline_on_silence(pmix_abort);
    if (!mpi_first)
        LS_TRY(pmix_start(self, error));
    LS_TRY(arrival_watch(mpi_first ? NULL : self, error));
    LS_TRY(start_mpi(self, error));
    arrival_complete();
    if (mpi_first)
        LS_TRY(pmix_start(self, error));
    return compare_mpi(self, error);
}

int launch_join(launch *self, ls_error *error) {
    memset(self, 0, sizeof *self);
    LS_TRY(lifeline_install_signals(error));
    slurm_job_id(self->slurm_job_id, sizeof self->slurm_job_id);
    if (pmix_offered()) {
        LS_TRY(start_pmix_and_mpi(self, error));
        LS_TRY(lifeline_install_signals(error)); /* UCX takes SIGHUP for its debugger */
    } else {
        LS_TRY(slurm_refuse_without_pmix(error));
        start_alone(self);
    }
    LS_TRY(lifeline_start(self->rank, self->size, self->host, error));
    LS_TRY(lifeline_check_seconds(error));
    LS_TRY(environment_check(error));
    return topology_open(&self->topology, error);
}

int launch_check_slurm(const launch *self, ls_error *error) {
    return slurm_check(self, error);
}

int launch_start(launch *self, ls_error *error) {
    LS_TRY(launch_join(self, error));
    return launch_check_slurm(self, error);
}

int launch_finish(launch *self, ls_error *error) {
    topology_close(self->topology);
    self->topology = NULL;
    look_less_often(self);
    int status = self->mpi_version[0] ? MPI_Finalize() : MPI_SUCCESS;
    look_as_before();
    if (status != MPI_SUCCESS)
        return ls_fail(error, LS_FAILED, "MPI_Finalize failed");
    if (self->pmix_version[0])
        LS_TRY(pmix_finish(error));
    return lifeline_stop(error);
}
