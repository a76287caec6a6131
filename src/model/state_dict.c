#include "model/state_dict.h"
#include "model/layer.h"

#include <stdio.h>
#include <string.h>

static const char count_name[] = ".num_batches_tracked";

/* [out, positions, in] here, [out, in, positions] there. */
typedef struct arrangement {
    size_t out, positions, in;
} arrangement;

static arrangement arrangement_of(const graph *graph, int record) {
    const graph_parameter *of = &graph->parameters[record];
    const graph_layer *layer = &graph->layers[of->layer];
    const graph_tensor *x = &graph->tensors[layer->inputs[0]];
    arrangement out = {(size_t)of->dims[0], 1, 1};
    if (of->dim_count == 4)
        out.positions = (size_t)of->dims[1] * (size_t)of->dims[2];
    else if (of->dim_count == 2 && x->kind == TENSOR_IMAGE &&
             (size_t)of->dims[1] == graph_tensor_elements(x))
        out.positions = (size_t)x->height * (size_t)x->width;
    out.in = of->count / out.out / out.positions;
    return out;
}

int state_dict_shape(const graph *graph, int record, int64_t dims[4]) {
    const graph_parameter *of = &graph->parameters[record];
    static const int there[4] = {0, 3, 1, 2};
    for (int dim = 0; dim < of->dim_count; dim++)
        dims[dim] = of->dims[of->dim_count == 4 ? there[dim] : dim];
    return of->dim_count;
}

/* [count, rows, columns] -> [count, columns, rows] */
static void transpose(size_t count, size_t rows, size_t columns, const float *from, float *to) {
    for (size_t index = 0; index < count; index++, from += rows * columns, to += rows * columns)
        for (size_t row = 0; row < rows; row++)
            for (size_t column = 0; column < columns; column++)
                to[column * rows + row] = from[row * columns + column];
}

void state_dict_export(const graph *graph, int record, const float *from, float *to) {
    arrangement a = arrangement_of(graph, record);
    transpose(a.out, a.positions, a.in, from, to);
}

void state_dict_import(const graph *graph, int record, const float *from, float *to) {
    arrangement a = arrangement_of(graph, record);
    transpose(a.out, a.in, a.positions, from, to);
}

bool state_dict_count_follows(const graph *graph, int record, char name[STATE_DICT_NAME_BYTES]) {
    const graph_layer *layer = &graph->layers[graph->parameters[record].layer];
    if (!layer->is->counts_batches || record != layer->first_record + layer->record_count - 1)
        return false;
    snprintf(name, STATE_DICT_NAME_BYTES, "%s%s", layer->name, count_name);
    return true;
}

bool state_dict_is_count(const char *name) {
    size_t length = strlen(name), wanted = sizeof count_name - 1;
    return length > wanted && strcmp(name + length - wanted, count_name) == 0;
}
