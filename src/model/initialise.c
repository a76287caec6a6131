#include "base/random.h"
#include "model/network.h"

/* `tensor`: a number of its own in the model, so that no two draw the same. */
static void uniform(float *out, size_t count, uint64_t seed, uint64_t tensor, float bound) {
    uint32_t block[4];
    for (size_t index = 0; index < count; index++) {
        if (index % 4 == 0)
            random_block(seed, RANDOM_INITIALISATION, tensor, index / 4, block);
        out[index] = (2.0f * random_unit(block[index % 4]) - 1.0f) * bound;
    }
}

static void initialise(const graph_parameter *of, uint64_t seed, uint64_t tensor, float *out) {
    switch (of->initialiser.kind) {
    case INITIALISE_CONSTANT:
        for (size_t index = 0; index < of->count; index++)
            out[index] = of->initialiser.value;
        break;
    case INITIALISE_UNIFORM:
        uniform(out, of->count, seed, tensor, of->initialiser.value);
    }
}

/* Trained tensors are numbered by themselves, buffers from the other end: a model whose layers get
 * buffers begins with the same weights. */
static void initialise_array(const graph *graph, uint64_t seed, bool trained, float *array) {
    uint64_t number = 0;
    for (int record = 0; record < graph->record_count; record++) {
        const graph_parameter *of = &graph->parameters[record];
        if (of->trained != trained)
            continue;
        initialise(of, seed, trained ? number : ~number, array + of->first);
        number++;
    }
}

void network_initialise(const graph *graph, uint64_t seed, float *parameters) {
    initialise_array(graph, seed, true, parameters);
}

void network_initialise_buffers(const graph *graph, uint64_t seed, float *buffers) {
    initialise_array(graph, seed, false, buffers);
}
