#include "bare_chain_parts.h"

dnnl_primitive_desc_t chain_relu_backward(bare_chain *self, desc what) {
    dnnl_primitive_desc_t ahead, back;
    MUST(dnnl_eltwise_forward_primitive_desc_create(&ahead, self->engine, dnnl_forward_training,
                                                    dnnl_eltwise_relu_use_dst_for_bwd, what, what,
                                                    0, 0, NULL));
    MUST(dnnl_eltwise_backward_primitive_desc_create(&back, self->engine,
                                                     dnnl_eltwise_relu_use_dst_for_bwd, what, what,
                                                     what, 0, 0, ahead, NULL));
    return back;
}

static const dnnl_dims_t twos = {2, 2}, zeros = {0, 0};

dnnl_primitive_desc_t chain_pool(bare_chain *self, desc from, desc to) {
    dnnl_primitive_desc_t ahead;
    MUST(dnnl_pooling_forward_primitive_desc_create(&ahead, self->engine, dnnl_forward_training,
                                                    dnnl_pooling_max, from, to, twos, twos, zeros,
                                                    zeros, zeros, NULL));
    return ahead;
}

dnnl_primitive_desc_t chain_pool_backward(bare_chain *self, desc from, desc to,
                                          const_dnnl_primitive_desc_t hint) {
    dnnl_primitive_desc_t back;
    MUST(dnnl_pooling_backward_primitive_desc_create(&back, self->engine, dnnl_pooling_max, from,
                                                     to, twos, twos, zeros, zeros, zeros, hint,
                                                     NULL));
    return back;
}
