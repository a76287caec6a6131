/* cuDNN's stand-in: its engines. They all compute the same; they differ in what a careless choice
 * would stumble over. The real library's have other numbers, knobs and workspaces. */
#include "cudnn_emulated.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum engine_number {
    ENGINE_PLAIN = 0,
    ENGINE_UNORDERED = 1,    /* adds with atomics: its bits differ from run to run */
    ENGINE_TENSOR_CORES = 2, /* two knobs; rounds fp32 to tf32; an odd workspace */
    ENGINE_UNFIT = 3,        /* offered, but its plan does not build */
    ENGINE_HUNGRY = 4,       /* 4 GiB of workspace */
    ENGINE_FFT = 5,
    ENGINE_HALF_SUMS = 6,    /* adds in less than fp32 */
    ENGINE_NOT_CAPTURED = 7, /* synchronises: cannot be recorded into a graph */
    ENGINE_COMPILED = 60 /* while its plan is built, which takes LOCKSTEP_EMULATED_COMPILE_SECONDS;
                          * the only one with fp32 bias or dw on 16 bit tensors */
};

typedef struct engine {
    int64_t number;
    cudnnBackendNumericalNote_t notes[2];
    int note_count;
} engine;

static const engine engines[] = {
    {ENGINE_PLAIN, {0}, 0},
    {ENGINE_UNORDERED, {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, 1},
    {ENGINE_TENSOR_CORES, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, 1},
    {ENGINE_UNFIT, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, 1},
    {ENGINE_HUNGRY, {0}, 0},
    {ENGINE_FFT, {CUDNN_NUMERICAL_NOTE_FFT}, 1},
    {ENGINE_HALF_SUMS, {CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION}, 1},
    {ENGINE_NOT_CAPTURED, {0}, 0},
    {ENGINE_COMPILED, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, 1},
};

static const engine *find_engine(int64_t number) {
    for (size_t index = 0; index < sizeof engines / sizeof engines[0]; index++)
        if (engines[index].number == number)
            return &engines[index];
    return NULL;
}

static bool is_mixed(const dnn_problem *problem) {
    return problem->parameter_type != problem->shape.type;
}

/* Forward without a bias is in no graph of the program. */
cudnnStatus_t dnn_check_engine(const dnn_problem *problem, int64_t number) {
    if (!find_engine(number))
        return dnn_not_supported("no engine has this number");
    if (is_mixed(problem) && number != ENGINE_COMPILED)
        return dnn_not_supported("a compiled engine takes one type only");
    if (number == ENGINE_COMPILED && emulated_capability() < 90)
        return dnn_not_supported("this engine is for sm_90");
    return CUDNN_STATUS_SUCCESS;
}

/* Only the tensor-core engine has knobs: a tile of 0 to 3, and whether an index is kept. */
cudnnStatus_t dnn_check_setting(const dnn_setting *setting) {
    for (int index = 0; index < setting->knob_count; index++) {
        const dnn_knob *knob = &setting->knobs[index];
        int64_t most = knob->type == CUDNN_KNOB_TYPE_TILE_SIZE  ? 3
                       : knob->type == CUDNN_KNOB_TYPE_IDX_MODE ? 1
                                                                : -1;
        if (setting->engine != ENGINE_TENSOR_CORES || knob->value < 0 || knob->value > most)
            return dnn_not_supported("the engine has no such knob, or no such value of it");
    }
    return CUDNN_STATUS_SUCCESS;
}

static void compile(void) {
    const char *text = getenv("LOCKSTEP_EMULATED_COMPILE_SECONDS");
    double seconds = text ? atof(text) : 0;
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    nanosleep(&time, NULL);
}

cudnnStatus_t dnn_check_plan(const dnn_setting *setting) {
    if (setting->engine == ENGINE_COMPILED)
        compile();
    return setting->engine == ENGINE_UNFIT ? dnn_not_supported("no kernel for this shape")
                                           : CUDNN_STATUS_SUCCESS;
}

int64_t dnn_workspace_bytes(const dnn_problem *problem, const dnn_setting *setting) {
    if (setting->engine == ENGINE_HUNGRY)
        return INT64_C(4) << 30;
    if (setting->engine != ENGINE_TENSOR_CORES)
        return 0;
    return 1001 + 8 * setting->knobs[0].value * problem->shape.out_channels;
}

bool dnn_rounds_to_tf32(const dnn_problem *problem, int64_t number) {
    return problem->shape.type == DTYPE_F32 && number == ENGINE_TENSOR_CORES;
}

bool dnn_runs_in_capture(int64_t number) {
    return number != ENGINE_NOT_CAPTURED;
}

int dnn_numerical_notes(const dnn_problem *problem, int64_t number,
                        cudnnBackendNumericalNote_t out[CUDNN_NUMERICAL_NOTE_TYPE_COUNT]) {
    const engine *self = find_engine(number);
    int count = 0;
    for (; count < self->note_count; count++)
        out[count] = self->notes[count];
    if (dnn_rounds_to_tf32(problem, number))
        out[count++] = CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
    return count;
}

int dnn_behavior_notes(int64_t number,
                       cudnnBackendBehaviorNote_t out[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT]) {
    out[0] = number == ENGINE_COMPILED ? CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION
                                       : CUDNN_BEHAVIOR_NOTE_SUPPORTS_CUDA_GRAPH_NATIVE_API;
    return 1;
}

static dnn_setting tensor_cores(int64_t tile) {
    return (dnn_setting){
        .engine = ENGINE_TENSOR_CORES,
        .knobs = {{CUDNN_KNOB_TYPE_TILE_SIZE, tile}, {CUDNN_KNOB_TYPE_IDX_MODE, tile % 2}},
        .knob_count = 2};
}

/* Mode A's are the best first; B's repeat some; the fallback's always work. */
int dnn_heuristic(const dnn_descriptor *graph, cudnnBackendHeurMode_t mode,
                  dnn_setting out[DNN_RESULTS]) {
    const bool compiles = emulated_capability() >= 90; /* and is preferred there */
    const dnn_setting all[] = {{.engine = ENGINE_COMPILED},
                               tensor_cores(1),
                               {.engine = ENGINE_UNORDERED},
                               {.engine = ENGINE_UNFIT},
                               {.engine = ENGINE_NOT_CAPTURED},
                               {.engine = ENGINE_PLAIN},
                               tensor_cores(3)};
    const dnn_setting *best = compiles ? all : all + 1;
    const dnn_setting others[] = {tensor_cores(1),
                                  tensor_cores(2),
                                  {.engine = ENGINE_FFT},
                                  {.engine = ENGINE_HALF_SUMS},
                                  {.engine = ENGINE_HUNGRY}};
    const dnn_setting fallback[] = {{.engine = ENGINE_UNORDERED}, {.engine = ENGINE_PLAIN}};
    const dnn_setting compiled[] = {{.engine = ENGINE_COMPILED}};
    const dnn_setting *from = mode == CUDNN_HEUR_MODE_A          ? best
                              : mode == CUDNN_HEUR_MODE_FALLBACK ? fallback
                                                                 : others;
    int count = mode == CUDNN_HEUR_MODE_A ? 6 + compiles : mode == CUDNN_HEUR_MODE_FALLBACK ? 2 : 5;
    if (is_mixed(&graph->problem)) {
        from = compiled;
        count = compiles;
    }
    memcpy(out, from, (size_t)count * sizeof *out);
    return count;
}
