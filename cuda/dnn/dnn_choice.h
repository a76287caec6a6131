/* The choice of an engine for one graph, and its text in the table of choices. */
#ifndef LOCKSTEP_CUDA_DNN_DNN_CHOICE_H
#define LOCKSTEP_CUDA_DNN_DNN_CHOICE_H

#include "cuda/choices/choice_line.h"
#include "device/device.h"

enum { DNN_MAX_KNOBS = 24 };

typedef struct dnn_knob {
    int64_t type, value;
} dnn_knob;

typedef struct dnn_engine {
    int64_t index; /* cuDNN's global index */
    int knob_count;
    dnn_knob knobs[DNN_MAX_KNOBS]; /* in ascending order of type */
    /* Known of what a heuristic names; not part of the choice. */
    bool tensor_cores;
    bool runtime_compiled;
} dnn_engine;

bool dnn_engine_equal(const dnn_engine *a, const dnn_engine *b);

/* "eng 37 k2=11 k13=1" */
void dnn_engine_describe(const dnn_engine *engine, char *text, size_t bytes);

typedef struct dnn_choice {
    dtype form; /* of the graph: dnn_problem.h */
    dnn_engine engine;
} dnn_choice;

/* "bf16 10 2=4 13=0": the form, the engine's index, its knobs as type=value. */
void dnn_choice_write(const dnn_choice *choice, char text[CHOICE_TEXT_BYTES]);
/* False: not of this form. */
bool dnn_choice_read(const char *text, dnn_choice *out);

#endif
