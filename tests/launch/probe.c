/* A program that only launches: it goes through launch_start, launch_bind, comm and the lifeline,
 * and can fail in each way that run.sh looks at.
 *
 *   probe steps N      N steps of an all-reduce, each result checked (0: until it is ended)
 *   probe fail         the last two ranks fail at once with the same text
 *   probe everyone     every rank fails at once with one text
 *   probe abort    in step 3 MPI ends the last rank's run
 *   probe hang         the last rank stays in step 3 for ever, alive
 *   probe signals      lifeline_install_signals only, as `pack` does; waits to be ended
 *
 * PROBE_OVERSUBSCRIBE=1 lets ranks share cores. Every rank says "rank R pid P" on stdout, and
 * "training R" after its first step. */
#include "base/clock.h"
#include "comm/comm.h"
#include "launch/launch.h"
#include "launch/lifeline.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ELEMENTS = 300000 };

static void leave(int code) {
    char *folder = getenv("PROBE_CODES");
    char path[512];
    if (folder) { /* run.sh reads the exit code that this rank meant: mpirun hides it */
        snprintf(path, sizeof path, "%s/%ld", folder, (long)getpid());
        FILE *file = fopen(path, "w");
        if (file) {
            fprintf(file, "%d\n", code);
            fclose(file);
        }
    }
}

static int take_step(comm *self, float *values, long step, ls_error *error) {
    comm_work work = {0};
    for (int index = 0; index < ELEMENTS; index++)
        values[index] = (float)(self->rank + index % 7 + step % 5);
    LS_TRY(
        self->is->allreduce(self, NULL, values, ELEMENTS, DTYPE_F32, REDUCTION_SUM, &work, error));
    LS_TRY(self->is->wait(self, NULL, &work, error));
    for (int index = 0; index < ELEMENTS; index++) {
        float expected =
            (float)(self->size * (self->size - 1) / 2 + self->size * (index % 7 + (int)(step % 5)));
        if (values[index] != expected)
            return ls_fail(error, LS_FAILED, "element %d is %g, expected %g", index,
                           (double)values[index], (double)expected);
    }
    return LS_OK;
}

static int run(const char *mode, long steps, launch *here, comm *all, ls_error *error) {
    float *values = malloc(ELEMENTS * sizeof *values);
    if (!values)
        return ls_fail(error, LS_FAILED, "no memory");
    for (long step = 1; steps == 0 || step <= steps; step++) {
        lifeline_at("training", 1, step);
        if (strcmp(mode, "fail") == 0 && step == 3 && here->rank >= here->size - 2) {
            ls_fail(error, LS_FAILED, "the probe was told to fail");
            lifeline_fail(error, 0);
        }
        if (strcmp(mode, "everyone") == 0 && step == 3) {
            ls_fail(error, LS_BAD_INPUT, "the probe was told to fail");
            lifeline_fail(error, 1);
        }
        if (strcmp(mode, "abort") == 0 && step == 3 && here->rank == here->size - 1)
            MPI_Abort(MPI_COMM_WORLD, 9);
        while (strcmp(mode, "hang") == 0 && step == 3 && here->rank == here->size - 1)
            sleep(1);
        LS_TRY(take_step(all, values, step, error));
        if (step == 1) {
            printf("training %d\n", here->rank);
            fflush(stdout);
        }
    }
    free(values);
    return LS_OK;
}

/* PROBE_GPU_NODES: "1 0": the NUMA nodes of the GPUs of local ranks 0, 1, ... */
static int gpu_node(const launch *here) {
    const char *nodes = getenv("PROBE_GPU_NODES");
    return nodes && here->local_rank < (int)strlen(nodes) / 2 + 1
               ? nodes[2 * here->local_rank] - '0'
               : -1;
}

static int launch_and_run(const char *mode, long steps, ls_error *error) {
    launch here;
    launch_binding binding;
    comm *all = NULL;
    LS_TRY(launch_start(&here, error));
    LS_TRY(launch_bind(&here, 0, getenv("PROBE_OVERSUBSCRIBE") != NULL, gpu_node(&here), &binding,
                       error));
    printf("rank %d pid %ld of %d local %d of %d node %d of %d host %s by %s cores %s threads %d"
           "%s\n",
           here.rank, (long)getpid(), here.size, here.local_rank, here.local_size, here.node,
           here.node_count, here.host, here.launcher, binding.map, binding.threads,
           binding.oversubscribed ? " oversubscribed" : "");
    fflush(stdout);
    comm_settings settings = {.rank = here.rank, .size = here.size, .host = here.host};
    LS_TRY(comm_open("auto", &settings, &all, error));
    LS_TRY(run(mode, steps, &here, all, error));
    comm_close(all);
    return launch_finish(&here, error);
}

int main(int argc, char **argv) {
    ls_error error = {0};
    const char *mode = argc > 1 ? argv[1] : "steps";
    long steps = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    lifeline_on_leave(leave);
    if (strcmp(mode, "signals") == 0) {
        lifeline_install_signals(&error);
        printf("rank 0 pid %ld\n", (long)getpid());
        fflush(stdout);
        while (error.code == LS_OK)
            pause();
    } else {
        launch_and_run(mode, steps, &error);
    }
    if (error.code != LS_OK)
        lifeline_fail(&error, 0);
    return LS_OK;
}
