#include "bare_chain_parts.h"

static dnnl_primitive_desc_t create(bare_chain *self, const void *operation,
                                    const_dnnl_primitive_desc_t hint) {
    dnnl_primitive_desc_t made;
    MUST(dnnl_primitive_desc_create(&made, operation, NULL, self->engine, hint));
    return made;
}

dnnl_primitive_desc_t chain_relu_backward(bare_chain *self, desc what) {
    dnnl_eltwise_desc_t ahead, back;
    MUST(dnnl_eltwise_forward_desc_init(&ahead, dnnl_forward_training,
                                        dnnl_eltwise_relu_use_dst_for_bwd, what, 0, 0));
    MUST(dnnl_eltwise_backward_desc_init(&back, dnnl_eltwise_relu_use_dst_for_bwd, what, what, 0,
                                         0));
    return create(self, &back, create(self, &ahead, NULL));
}

static const dnnl_dims_t twos = {2, 2}, zeros = {0, 0};

dnnl_primitive_desc_t chain_pool(bare_chain *self, desc from, desc to) {
    dnnl_pooling_desc_t ahead;
    MUST(dnnl_pooling_forward_desc_init(&ahead, dnnl_forward_training, dnnl_pooling_max, from, to,
                                        twos, twos, zeros, zeros));
    return create(self, &ahead, NULL);
}

dnnl_primitive_desc_t chain_pool_backward(bare_chain *self, desc from, desc to,
                                          const_dnnl_primitive_desc_t hint) {
    dnnl_pooling_desc_t back;
    MUST(dnnl_pooling_backward_desc_init(&back, dnnl_pooling_max, from, to, twos, twos, zeros,
                                         zeros));
    return create(self, &back, hint);
}
