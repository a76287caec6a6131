/* A residual join: y = a + b, with an activation where asked. */
#include "device/kinds/join.h"
#include "model/layer.h"
#include "model/layers.h"

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    if (to->in_layout != to->out_layout)
        return ls_fail(error, LS_FAILED, "model: %s: joins tensors of different layouts",
                       to->layer->name);
    join_shape shape = {.count = graph_tensor_elements(&to->graph->tensors[to->layer->output]) *
                                 (size_t)to->n,
                        .type = precision_type(to->precision),
                        .activation = to->layer->activation};
    return op_prepare(to->device, &op_join, &shape, to->like, out, error);
}

static const layer_interface layer_join = {
    .kind = "join",
    .hands_gradient_on = true,
    .prepare = prepare,
    .work = work_of_elements,
};

static bool same_shape(const graph_tensor *a, const graph_tensor *b) {
    return a->kind == b->kind && a->height == b->height && a->width == b->width &&
           a->tokens == b->tokens && a->channels == b->channels;
}

int graph_join(graph *self, const char *name, int a, int b, activation activation) {
    graph_layer *layer = graph_begin_layer(self, &layer_join, name, (int[]){a, b}, 2, 0);
    if (!layer)
        return 0;
    const graph_tensor *x = &self->tensors[a], *y = &self->tensors[b];
    graph_tensor shape = {.kind = x->kind,
                          .height = x->height,
                          .width = x->width,
                          .tokens = x->tokens,
                          .channels = x->channels};
    if (!same_shape(x, y))
        ls_fail(&self->error, LS_FAILED, "model: %s: %d x %d x %d cannot be added to %d x %d x %d",
                name, x->height * x->tokens, x->width, x->channels, y->height * y->tokens, y->width,
                y->channels);
    layer->activation = activation;
    return graph_end_layer(self, layer, shape);
}
