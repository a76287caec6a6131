#include "base/random.h"
#include "model/network.h"

#include <math.h>

static void uniform(float *out, size_t count, uint64_t seed, uint64_t tensor, float bound) {
    uint32_t block[4];
    for (size_t index = 0; index < count; index++) {
        if (index % 4 == 0)
            random_block(seed, RANDOM_INITIALISATION, tensor, index / 4, block);
        out[index] = (2.0f * random_unit(block[index % 4]) - 1.0f) * bound;
    }
}

void network_initialise(const graph *graph, uint64_t seed, float *parameters) {
    for (int unit = 0; unit < graph->unit_count; unit++) {
        const graph_layer *layer = &graph->layers[graph->unit_layers[unit]];
        float bound = 1.0f / sqrtf((float)layer->fan_in);
        float *weights = parameters + layer->first_weight;
        uniform(weights, layer->weight_count, seed, 2 * (uint64_t)unit, bound);
        uniform(weights + layer->weight_count, layer->bias_count, seed, 2 * (uint64_t)unit + 1,
                bound);
    }
}
