/* The CNN's training step as a bare chain of oneDNN primitives and one Adam pass: what the library
 * gives to someone who writes this one network by hand. Written apart from src/, with none of its
 * rules: weights, gradients and moments stay in whatever blocks oneDNN likes, nothing is
 * canonical, the images are already fp32 in planes. */
#ifndef LOCKSTEP_TESTS_BARE_CHAIN_H
#define LOCKSTEP_TESTS_BARE_CHAIN_H

#include <stdint.h>

typedef struct bare_chain bare_chain;

/* parameters: canonical, as network_initialise gives them. Ends the program on any failure. */
bare_chain *bare_chain_open(int batch, const float *parameters);
void bare_chain_close(bare_chain *self);

/* images: [batch, 3, 32, 32]. Returns the batch's mean loss. */
double bare_chain_step(bare_chain *self, const float *images, const int32_t *labels);

/* Seconds a call of oneDNN's own sgemm at size x size x size takes. */
double sgemm_seconds(int size);

#endif
