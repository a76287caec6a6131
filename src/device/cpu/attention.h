/* Attention of one sample and head, in fp32 whatever the tensors' type. Queries are taken in blocks
 * and keys in blocks; a block's scores [queries][keys] stay in a core's cache. Forward keeps for
 * each query a running maximum and sum over the blocks of keys (Milakov and Gimelshein, "Online
 * normalizer calculation for softmax", 2018; Dao et al., "FlashAttention", 2022), and scales what
 * it has by the change of the maximum; backward computes a block's weights again from the saved
 * logarithms.
 *
 * The products are tiles of product_tile.h, on copies of the head's queries, keys and values whose
 * rows are whole tiles: a token's lie a whole row of x apart, and in bf16. */
#ifndef LOCKSTEP_DEVICE_CPU_ATTENTION_H
#define LOCKSTEP_DEVICE_CPU_ATTENTION_H

#include "device/cpu/forms.h"
#include "device/kinds/attention.h"

typedef struct attention_job {
    attention_shape shape;
    const void *x;
    void *y; /* forward writes it, backward reads it */
    const void *dy;
    void *dx;
    float *saved; /* [n, heads, tokens]; forward writes it, backward reads it */
} attention_job;

/* Of one thread's. */
size_t cpu_attention_workspace_bytes(const attention_shape *shape);

void cpu_attention_forward(const attention_job *self, size_t sample, size_t head, float *workspace);
void cpu_attention_backward(const attention_job *self, size_t sample, size_t head,
                            float *workspace);

#endif
