/* U, from canonical weights [out, 3, 3, in]: made in the optimizer's pass. */
#include "device/cpu/winograd.h"

#include "base/float16.h"

enum { TAPS = 9, DEPTH = 16 }; /* rows of a panel at once: they fit a first-level cache */

static int smaller(int a, int b) {
    return a < b ? a : b;
}

size_t cpu_winograd_packed_bytes(const winograd_pass *pass) {
    int depth = pass->from.channels, columns = pass->to.channels;
    int last = columns % WINOGRAD_GROUP;
    size_t floats = winograd_u_block(pass, columns);
    if (last)
        floats += (size_t)winograd_elements(pass) * winograd_u_element(last, depth);
    return floats * sizeof(float);
}

/* Columns first to first + count of U's rows from `row` on. */
typedef struct panel {
    int first, count, row, rows;
    float *to;
    size_t element;
} panel;

static panel panel_at(const winograd_pass *pass, int first, int row, int rows, float *packed) {
    int depth = pass->from.channels, group = first / WINOGRAD_GROUP * WINOGRAD_GROUP;
    int columns = winograd_columns(pass->to.channels, group);
    int count = smaller(pass->kernels->panel, columns - (first - group));
    return (panel){first,
                   count,
                   row,
                   smaller(rows, depth - row),
                   packed + winograd_u_block(pass, group) +
                       (size_t)(first - group) * (size_t)depth + (size_t)row * (size_t)count,
                   winograd_u_element(columns, depth)};
}

/* A weight as the activations' type has it. */
static float as_activation(const winograd_pass *pass, float weight) {
    return pass->kernels->value_bytes == sizeof(float) ? weight
                                                       : bf16_to_float(bf16_of_float(weight));
}

/* Columns are out: filters whose out are neighbours, [tap][in][out]. */
static void gather(const winograd_pass *pass, const panel *p, const float *weights, float *to) {
    size_t in = (size_t)pass->from.channels;
    for (int tap = 0; tap < TAPS; tap++)
        for (int column = 0; column < p->count; column++) {
            const float *from =
                weights + ((size_t)(p->first + column) * TAPS + (size_t)tap) * in + (size_t)p->row;
            for (int row = 0; row < p->rows; row++)
                to[(tap * p->rows + row) * p->count + column] = as_activation(pass, from[row]);
        }
}

void cpu_winograd_pack_forward(const winograd *self, const float *weights, float *packed) {
    const winograd_pass *pass = &self->forward;
    int columns = pass->to.channels, depth = pass->from.channels;
#pragma omp parallel for collapse(2) schedule(static)
    for (int first = 0; first < columns; first += pass->kernels->panel)
        for (int row = 0; row < depth; row += DEPTH) {
            float turned[TAPS * DEPTH * WINOGRAD_GROUP] __attribute__((aligned(64)));
            panel p = panel_at(pass, first, row, DEPTH, packed);
            gather(pass, &p, weights, turned);
            pass->kernels->filter(turned, p.rows * p.count, p.rows * p.count, p.to, p.element);
        }
}

/* Columns are in, whose filters are neighbours already; turned by half a turn. */
void cpu_winograd_pack_backward(const winograd *self, const float *weights, float *packed) {
    const winograd_pass *pass = &self->backward;
    int columns = pass->to.channels, depth = pass->from.channels;
#pragma omp parallel for collapse(2) schedule(static)
    for (int first = 0; first < columns; first += pass->kernels->panel)
        for (int row = 0; row < depth; row++) {
            panel p = panel_at(pass, first, row, 1, packed);
            float turned[TAPS * WINOGRAD_GROUP] __attribute__((aligned(64)));
            const float *from = weights + (size_t)row * TAPS * (size_t)columns + (size_t)first;
            for (int tap = 0; tap < TAPS; tap++)
                for (int column = 0; column < p.count; column++)
                    turned[(TAPS - 1 - tap) * p.count + column] =
                        as_activation(pass, from[(size_t)tap * (size_t)columns + (size_t)column]);
            pass->kernels->filter(turned, p.count, p.count, p.to, p.element);
        }
}
