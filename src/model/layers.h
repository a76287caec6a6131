/* Building a graph: one function a kind of layer, each in its layer_KIND.c. Each returns the new
 * tensor's number. Mistakes are kept in graph.error and reported by graph_finish, so that a model
 * reads as a list of layers. A layer's name has at most 63 letters. */
#ifndef LOCKSTEP_MODEL_LAYERS_H
#define LOCKSTEP_MODEL_LAYERS_H

#include "model/graph.h"

/* Layers between these are a block: what a model repeats. Its parameters are gathered together
 * where a mode shards them, any other layer's by themselves; and it may be computed again in one
 * piece (recompute). Blocks do not nest. */
void graph_begin_block(graph *self);
void graph_end_block(graph *self);

int graph_input(graph *self, int height, int width, int channels);
int graph_conv2d(graph *self, const char *name, int input, int out_channels, int kernel, int stride,
                 int padding, activation activation);
/* The same without a bias or an activation, as a norm behind it wants it, begun as torchvision's
 * models do: normal of variance 2 / (out_channels * kernel^2) (He et al., "Delving Deep into
 * Rectifiers", 2015, by the outputs). */
int graph_conv2d_unbiased(graph *self, const char *name, int input, int out_channels, int kernel,
                          int stride, int padding);
/* Batch normalisation over all of a batch (Ioffe and Szegedy, "Batch Normalization", 2015), then
 * `added` (a tensor; -1: none), then the activation: the end of a residual block in one pass. */
int graph_batchnorm2d(graph *self, const char *name, int input, int added, activation activation);
/* Windows that begin every `stride` pixels of an image with `padding` pixels around it, which none
 * of the winners is. */
int graph_maxpool2d(graph *self, const char *name, int input, int window, int stride, int padding);
/* The mean of all pixels: a vector of the channels. */
int graph_avgpool2d(graph *self, const char *name, int input);
/* Of an image, flattened, or of a vector: a vector. Of tokens: each of them by itself. */
int graph_linear(graph *self, const char *name, int input, int out_features, activation activation);
/* Of tokens that are patches of `side` x `side` pixels, with the weights of a convolution, [out,
 * side, side, channels]. */
int graph_patch_linear(graph *self, const char *name, int input, int out_features, int side);
/* An image cut into patches of `side` x `side` pixels: tokens of [side * side * channels]. */
int graph_patches(graph *self, const char *name, int input, int side);
/* A class token before the others, and positions added to all; the tensors are "cls_token" and
 * "pos_embed" alone, as timm names them. */
int graph_embedding(graph *self, const char *name, int input);
/* Layer normalisation over the channels (Ba et al., "Layer Normalization", 2016) of tokens, each by
 * itself, or of a vector. */
int graph_layernorm(graph *self, const char *name, int input, double epsilon);
/* Self-attention: of [tokens, 3 * heads * d], queries, keys and values, to [tokens, heads * d]. */
int graph_attention(graph *self, const char *name, int input, int heads);
/* The first token, or the mean of all others: a vector. */
int graph_tokenpool(graph *self, const char *name, int input, bool mean);
/* In training, elements (`whole`: samples) left out with the probability `rate`
 * (device/kinds/dropout.h), of tokens or a vector. Rate 0: the input itself, and no layer. */
int graph_dropout(graph *self, const char *name, int input, double rate, bool whole);
/* a + b, then the activation: a residual join. */
int graph_join(graph *self, const char *name, int a, int b, activation activation);
/* `output` is the logits. Checks that every other tensor is used. */
int graph_finish(graph *self, int output, ls_error *error);

#endif
