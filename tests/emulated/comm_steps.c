/* Steps of a training run with nothing but its collectives, for the tests of what breaks:
 *
 *   comm_steps KIND eager|graph|graphs|hang STEPS
 *
 * KIND as comm_fixture.h has it. Each step sums an array over the ranks in two pieces and adds it
 * to a total; at the end the total is checked. graph: one recorded step is replayed. graphs:
 * the same, and behind it MORE others were recorded, in pieces of another size. hang: the last rank
 * stays in step 3 for ever, alive. COMM_TEST_DEADLINE: seconds. */
#include "../unit/comm/comm_fixture.h"
#include "launch/lifeline.h"

#include "../unit/check.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 100000, SPLIT = 60000, OTHER_SPLIT = 1000, MORE = 200, IDLE = 0, BUSY = 1 };

typedef struct place {
    uint32_t word;
} place;

static place *progress; /* pinned */
static array values;    /* value_of(rank, i) before a step; its sum over the ranks after it */
static array fresh;

static bool is_busy(const volatile void *at) {
    return ((const volatile place *)at)->word == BUSY;
}

static void describe(const volatile void *at, char *out, size_t capacity) {
    snprintf(out, capacity, "%s", is_busy(at) ? "in a step" : "between steps");
}

/* As in a training run: the thread that calls is bound to one of the units that the rank has. */
static void bind_caller(comm_settings *settings) {
    static int units[CPU_SETSIZE];
    cpu_set_t mask, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof mask, &mask) != 0)
        return;
    for (int unit = 0; unit < CPU_SETSIZE; unit++)
        if (CPU_ISSET((size_t)unit, &mask))
            units[settings->processing_unit_count++] = unit;
    settings->processing_units = units;
    CPU_SET((size_t)units[getpid() % settings->processing_unit_count], &one);
    sched_setaffinity(0, sizeof one, &one);
}

static void adjust(comm_settings *settings) {
    bind_caller(settings);
    settings->progress = progress;
    settings->progress_bytes = sizeof *progress;
    settings->progress_busy = is_busy;
    settings->progress_describe = describe;
}

static int open_progress(ls_error *problem) {
    comm_fixture_adjust = adjust;
    return memory->is->host_allocate(memory, sizeof *progress, (void **)&progress, problem);
}

/* What may be recorded. */
static int put_step(size_t split, ls_error *problem) {
    comm_work first = {0}, second = {0};
    float *data = values.data;
    LS_TRY(memory->is->write_word(memory, stream, &progress->word, BUSY, problem));
    LS_TRY(memory->is->copy(memory, stream, values.data, fresh.data, values.bytes, COPY_ON_DEVICE,
                            problem));
    LS_TRY(all->is->allreduce(all, stream, data + split, COUNT - split, DTYPE_F32, REDUCTION_SUM,
                              &first, problem));
    LS_TRY(
        all->is->allreduce(all, stream, data, split, DTYPE_F32, REDUCTION_SUM, &second, problem));
    LS_TRY(all->is->wait(all, stream, &first, problem));
    LS_TRY(all->is->wait(all, stream, &second, problem));
    return memory->is->write_word(memory, stream, &progress->word, IDLE, problem);
}

static int record(size_t split, device_graph **out, ls_error *problem) {
    LS_TRY(memory->is->graph_begin(memory, stream, problem));
    LS_TRY(put_step(split, problem));
    return memory->is->graph_end(memory, stream, out, problem);
}

static int take_steps(const char *mode, long steps, ls_error *problem) {
    enum { LOOK_EACH = 100 }; /* else the host runs ahead of the device */
    device_graph *graph = NULL, *others[MORE] = {NULL};
    if (strncmp(mode, "graph", strlen("graph")) == 0)
        LS_TRY(record(SPLIT, &graph, problem));
    for (int more = 0; strcmp(mode, "graphs") == 0 && more < MORE; more++)
        LS_TRY(record(OTHER_SPLIT, &others[more], problem));
    for (long step = 1; step <= steps; step++) {
        lifeline_at("training", 1, step);
        while (strcmp(mode, "hang") == 0 && step == 3 && all->rank == all->size - 1)
            sleep(1);
        LS_TRY(graph ? memory->is->graph_launch(memory, graph, stream, problem)
                     : put_step(SPLIT, problem));
        if (step % LOOK_EACH != 0 && step != steps)
            continue;
        array_take(&values);
        if (wrong_of(&values, DTYPE_F32, 0, COUNT, REDUCTION_SUM) != 0)
            return ls_fail(problem, LS_FAILED, "step %ld: wrong sums", step);
    }
    for (int more = 0; more < MORE; more++)
        if (others[more])
            memory->is->graph_destroy(memory, others[more]);
    if (graph)
        memory->is->graph_destroy(memory, graph);
    return LS_OK;
}

static int run(char **argv, launch *here, ls_error *problem) {
    LS_TRY(comm_fixture_start(argv[1], here, problem));
    LS_TRY(open_progress(problem));
    LS_TRY(comm_fixture_join(argv[1], here, problem));
    fresh = array_filled(DTYPE_F32, COUNT, all->rank);
    values = array_make(DTYPE_F32, COUNT);
    LS_TRY(put_step(SPLIT, problem)); /* as warm-up does: before anything is recorded */
    LS_TRY(take_steps(argv[2], strtol(argv[3], NULL, 10), problem));
    LS_TRY(all->is->barrier(all, problem));
    array_free(&fresh);
    array_free(&values);
    comm_fixture_close_comms();
    memory->is->host_release(memory, progress);
    comm_fixture_close();
    return launch_finish(here, problem);
}

/* mpirun hides the exit codes: COMM_TEST_CODES is a folder for them. */
static void leave(int code) {
    const char *folder = getenv("COMM_TEST_CODES");
    char path[512];
    snprintf(path, sizeof path, "%s/%ld", folder ? folder : ".", (long)getpid());
    FILE *file = folder ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%d\n", code);
        fclose(file);
    }
    _exit(code);
}

int main(int argc, char **argv) {
    launch here;
    if (argc != 4) {
        fprintf(stderr, "usage: comm_steps KIND eager|graph|graphs|hang STEPS\n");
        return LS_BAD_INPUT;
    }
    lifeline_on_leave(leave);
    if (run(argv, &here, &error) != LS_OK)
        lifeline_fail(&error, error.code == LS_BAD_LAUNCH);
    return LS_OK;
}
