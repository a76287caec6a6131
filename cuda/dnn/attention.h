/* Attention on the cuda device: by cuDNN's fused engines (attention_graph.h) where it has them,
 * else by our kernel (cuda/kernels/attention.cu). The op's contract is in device/kinds/attention.h.
 */
#ifndef LOCKSTEP_CUDA_DNN_ATTENTION_H
#define LOCKSTEP_CUDA_DNN_ATTENTION_H

#include "cuda/device/cuda_device.h"

/* In 16 bits, heads of a multiple of 8 are cuDNN's. So is their backward up to
 * ATTENTION_DNN_TOKENS: those engines of it that give the same bits each time hold a 16 bit
 * gradient of each score in their workspace, which there is at most 2 * ATTENTION_DNN_TOKENS bytes
 * a token and head; our kernel holds none, and is the one that goes on from there. */
enum { ATTENTION_DNN_TOKENS = 256 };

extern const op cuda_attention;

#endif
