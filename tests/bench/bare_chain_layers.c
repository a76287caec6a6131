/* What the layers are made of, and where their parameters lie. */
#include "bare_chain_parts.h"

#include <string.h>

/* One direction of a layer: the convolutions have 3 x 3 taps and a border of one. */
static dnnl_primitive_desc_t direction_of(bare_chain *self, int index, onednn_operation operation,
                                          bool relu) {
    dnnl_primitive_desc_t made;
    dnnl_primitive_attr_t attributes = chain_attributes(relu);
    operation.attributes = attributes;
    if (index >= FC1)
        MUST(onednn_describe_linear(self->engine, &operation, &made));
    else
        MUST(onednn_describe_convolution(self->engine, &operation, dnnl_convolution_direct,
                                         (onednn_window){1, 1, ONEDNN_DIRECT}, &made));
    dnnl_primitive_attr_destroy(attributes);
    return made;
}

dnnl_primitive_desc_t chain_forward_of(bare_chain *self, int index, desc weights) {
    const layer *l = &self->layers[index];
    return direction_of(
        self, index,
        (onednn_operation){dnnl_forward_training, l->x, weights, l->bias, l->y, NULL, NULL},
        index <= FC1);
}

dnnl_primitive_desc_t chain_data_of(bare_chain *self, int index, desc weights,
                                    const_dnnl_primitive_desc_t hint) {
    const layer *l = &self->layers[index];
    return direction_of(
        self, index, (onednn_operation){dnnl_backward_data, l->x, weights, NULL, l->y, hint, NULL},
        false);
}

dnnl_primitive_desc_t chain_weights_of(bare_chain *self, int index, desc weights,
                                       const_dnnl_primitive_desc_t hint) {
    const layer *l = &self->layers[index];
    return direction_of(
        self, index,
        (onednn_operation){dnnl_backward_weights, l->x, weights, l->bias, l->y, hint, NULL}, false);
}

void chain_plan_layers(bare_chain *self) {
    static const int out[] = {64, 128, 512, 10}, in[] = {3, 64, 128, 512}, taps[] = {3, 3, 8, 1};
    int n = self->batch;
    self->layers[CONV1].x = chain_image(n, 3, 32, dnnl_nchw);
    self->layers[CONV1].y = chain_image(n, 64, 32, dnnl_nChw16c);
    self->layers[CONV2].x = chain_image(n, 64, 16, dnnl_nChw16c);
    self->layers[CONV2].y = chain_image(n, 128, 16, dnnl_nChw16c);
    self->layers[FC1].x = chain_image(n, 128, 8, dnnl_nhwc);
    self->layers[FC1].y = chain_describe(2, (dnnl_dims_t){n, 512}, dnnl_ab);
    self->layers[FC2].x = chain_image(n, 512, 1, dnnl_nhwc);
    self->layers[FC2].y = chain_describe(2, (dnnl_dims_t){n, CLASSES}, dnnl_ab);
    for (int i = 0; i < LAYERS; i++) {
        layer *l = &self->layers[i];
        dnnl_dims_t dims = {out[i], in[i], taps[i], taps[i]};
        l->any = chain_describe(4, dims, dnnl_format_tag_any);
        l->canonical = chain_describe(4, dims, dnnl_acdb);
        l->bias = chain_describe(1, (dnnl_dims_t){out[i]}, dnnl_a);
        l->weights = l->canonical;
        if (i < FC1) {
            dnnl_primitive_desc_t forward = chain_forward_of(self, i, l->any);
            dnnl_primitive_desc_t gradient = chain_weights_of(self, i, l->any, forward);
            l->weights = chain_query(gradient, dnnl_query_diff_weights_md);
        }
        l->first = self->parameter_count;
        self->parameter_count += (dnnl_memory_desc_get_size(l->weights) + 63) / 64 * 16;
        l->first_bias = self->parameter_count;
        self->parameter_count += (dnnl_memory_desc_get_size(l->bias) + 63) / 64 * 16;
    }
}

static float *flat(const bare_chain *self) {
    float *made = aligned_alloc(64, self->parameter_count * sizeof *made);
    if (!made)
        abort();
    memset(made, 0, self->parameter_count * sizeof *made);
    return made;
}

void chain_place_parameters(bare_chain *self, const float *canonical) {
    self->parameters = flat(self), self->gradients = flat(self);
    self->first_moment = flat(self), self->second_moment = flat(self);
    for (int i = 0; i < LAYERS; i++) {
        layer *l = &self->layers[i];
        size_t count = dnnl_memory_desc_get_size(l->canonical) / sizeof(float);
        size_t outputs = dnnl_memory_desc_get_size(l->bias) / sizeof(float);
        dnnl_memory_t source = chain_memory_at(self, l->canonical, (void *)canonical);
        l->master = chain_memory_at(self, l->weights, self->parameters + l->first);
        l->dmaster = chain_memory_at(self, l->weights, self->gradients + l->first);
        l->bias_memory = chain_memory_at(self, l->bias, self->parameters + l->first_bias);
        l->dbias = chain_memory_at(self, l->bias, self->gradients + l->first_bias);
        chain_reorder(self, source, l->master, NULL);
        dnnl_memory_destroy(source);
        memcpy(self->parameters + l->first_bias, canonical + count, outputs * sizeof(float));
        canonical += count + outputs;
    }
}

dnnl_memory_t chain_weights_in(bare_chain *self, const layer *l, desc wanted) {
    if (dnnl_memory_desc_equal(wanted, l->weights))
        return l->master;
    dnnl_memory_t copy = chain_memory(self, wanted);
    chain_reorder(self, l->master, copy, &self->refresh);
    return copy;
}
