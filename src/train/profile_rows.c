#include "train/profile_rows.h"
#include "model/layer.h"
#include "model/network.h"
#include "model/work.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which rows there are, and what they cannot be faster than */

typedef struct row_list {
    const layer_rates *rates;
    layer_row *rows;
    size_t count;
} row_list;

static layer_row *add(row_list *self, const graph_layer *layer, layer_phase phase,
                      const work *needed) {
    layer_row *row = &self->rows[self->count++];
    *row = (layer_row){.phase = phase, .flop = NAN, .bytes = NAN, .floor_seconds = NAN};
    if (layer) {
        snprintf(row->layer, sizeof row->layer, "%s", layer->name);
        row->kind = layer->is->kind;
    }
    if (!needed)
        return row;
    row->flop = needed->flop;
    row->bytes = needed->bytes;
    row->floor_seconds = fmax(needed->flop / self->rates->flop_per_second,
                              needed->bytes / self->rates->bytes_per_second);
    return row;
}

static bool wants_data_gradient(const graph *graph, const graph_layer *layer) {
    for (int input = 0; input < layer->input_count; input++)
        if (graph->tensors[layer->inputs[input]].wants_gradient)
            return true;
    return false;
}

static void add_backward(row_list *list, const profile_work *of, int index) {
    const graph_layer *layer = &of->graph->layers[index];
    if (layer->unit >= 0) {
        work needed = layer_work(of->graph, index, PASS_BACKWARD_WEIGHTS, of->count, of->type);
        layer_row *row = add(list, layer, LAYER_BACKWARD_WEIGHTS, &needed);
        row->gradient_first = (int64_t)of->graph->units[layer->unit].first;
        row->gradient_count = (int64_t)of->graph->units[layer->unit].count;
        graph_unit_factors(of->graph, layer->unit, &row->in_features, &row->out_features);
    }
    if (wants_data_gradient(of->graph, layer)) {
        work needed = layer_work(of->graph, index, PASS_BACKWARD_DATA, of->count, of->type);
        add(list, layer, LAYER_BACKWARD_DATA, &needed);
    }
}

size_t profile_rows(const profile_work *of, const layer_rates *rates, layer_row *rows) {
    row_list list = {rates, rows, 0};
    work data = data_work(of->graph, of->loaded, of->type);
    work loss = loss_work(of->graph, of->loaded, of->type);
    work update = optimizer_work(of->graph, of->moments, of->type);
    add(&list, NULL, LAYER_DATA, &data);
    for (int index = 0; index < of->graph->layer_count; index++) {
        work needed = layer_work(of->graph, index, PASS_FORWARD, of->count, of->type);
        add(&list, &of->graph->layers[index], LAYER_FORWARD, &needed);
    }
    add(&list, NULL, LAYER_LOSS, &loss);
    for (int index = of->graph->layer_count - 1; index >= 0; index--)
        add_backward(&list, of, index);
    add(&list, NULL, LAYER_OPTIMIZER, of->moments >= 0 ? &update : NULL);
    add(&list, NULL, LAYER_COMMUNICATION, NULL);
    add(&list, NULL, LAYER_OTHER, NULL);
    return list.count;
}

/* ---- whose time a span is */

/* Ranges by name; in the others, time belongs to what they stand in. */
static const struct {
    const char *name;
    layer_phase phase;
    bool of_layer; /* of the layer that it stands in */
} ranges[] = {
    {"load", LAYER_DATA, false},
    {"stage", LAYER_DATA, false},
    {"data", LAYER_DATA, false},
    {"loss", LAYER_LOSS, false},
    {"optimizer", LAYER_OPTIMIZER, false},
    {"communication", LAYER_COMMUNICATION, false},
    {"again", LAYER_FORWARD, true},
    {"relu", LAYER_BACKWARD_DATA, true},
    {"backward_data", LAYER_BACKWARD_DATA, true},
    {"backward_weights", LAYER_BACKWARD_WEIGHTS, true},
};

typedef struct walk {
    const graph *graph;
    const layer_row *rows;
    size_t row_count;
    bool forward;
    const char *layer; /* of the span at hand; "" in none */
    size_t owner[16];  /* row of the span at each depth */
    double *seconds;   /* [row_count] of the step */
} walk;

/* Time that has no row of its own is other's, the last one. */
static size_t find_row(const walk *self, const char *layer, layer_phase phase) {
    for (size_t row = 0; row < self->row_count; row++)
        if (self->rows[row].phase == phase && strcmp(self->rows[row].layer, layer) == 0)
            return row;
    return self->row_count - 1;
}

static const char *find_layer(const walk *self, const char *name) {
    for (int layer = 0; layer < self->graph->layer_count; layer++)
        if (strncmp(self->graph->layers[layer].name, name, sizeof((span *)0)->name - 1) == 0)
            return self->graph->layers[layer].name;
    return NULL;
}

static size_t owner_of(walk *self, const span *seen) {
    if (seen->depth == 1) {
        self->forward = strcmp(seen->name, "forward") == 0;
        self->layer = "";
    }
    for (size_t index = 0; index < sizeof ranges / sizeof ranges[0]; index++)
        if (strcmp(ranges[index].name, seen->name) == 0)
            return find_row(self, ranges[index].of_layer ? self->layer : "", ranges[index].phase);
    const char *layer = seen->depth == 2 ? find_layer(self, seen->name) : NULL;
    if (layer)
        self->layer = layer;
    if (layer && self->forward)
        return find_row(self, layer, LAYER_FORWARD);
    return seen->depth > 2 ? self->owner[seen->depth - 1] : self->row_count - 1;
}

static void take(walk *self, const span *seen) {
    double seconds = seen->end - seen->begin;
    if (seen->depth >= (int)(sizeof self->owner / sizeof self->owner[0]))
        return; /* its parent's */
    size_t owner = owner_of(self, seen);
    self->owner[seen->depth] = owner;
    self->seconds[owner] += seconds;
    if (seen->depth > 0)
        self->seconds[self->owner[seen->depth - 1]] -= seconds;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count ? (values[(count - 1) / 2] + values[count / 2]) / 2 : NAN;
}

int profile_seconds(const graph *graph, const span *spans, int count, int steps, layer_row *rows,
                    size_t row_count, double *step_seconds, ls_error *error) {
    size_t columns = row_count + 1; /* the last: the whole step */
    double *all = calloc((size_t)steps * columns, sizeof *all);
    double *column = calloc((size_t)steps, sizeof *column);
    walk self = {.graph = graph, .rows = rows, .row_count = row_count, .layer = ""};
    int status = all && column ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    for (int index = 0; status == LS_OK && index < count; index++) {
        self.seconds = all + (size_t)spans[index].step * columns;
        take(&self, &spans[index]);
        if (spans[index].depth == 0)
            self.seconds[row_count] = spans[index].end - spans[index].begin;
    }
    for (size_t row = 0; status == LS_OK && row < columns; row++) {
        for (int step = 0; step < steps; step++)
            column[step] = all[(size_t)step * columns + row];
        /* The ends of a device's events are rounded: what is nothing may come out below 0. */
        *(row < row_count ? &rows[row].seconds : step_seconds) = fmax(0, median(column, steps));
    }
    free(all);
    free(column);
    return status;
}
