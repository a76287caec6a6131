/* A network on a device, with parameters, gradients and buffers of its own, and graphs to make it
 * of. */
#ifndef LOCKSTEP_UNIT_MODEL_NETWORK_FIXTURE_H
#define LOCKSTEP_UNIT_MODEL_NETWORK_FIXTURE_H

#include "../../support/packed_memory.h"
#include "model/layers.h"

typedef struct fixture {
    graph graph;
    device *device;
    device_stream *stream;
    network *network;
    packed_memory packed;
    float *parameters, *gradients, *buffers; /* device memory; buffers: NULL without any */
    int ready[64], ready_count;
    network_hooks hooks;
} fixture;

/* Ends the program with the error's text, as a test that cannot go on. */
void fixture_give_up(const ls_error *error);

#define MUST(call)                                                                                 \
    do {                                                                                           \
        if ((call) != LS_OK)                                                                       \
            fixture_give_up(&error);                                                               \
    } while (0)

/* 6x6x3 -> conv -> pool -> conv + residual -> linear: a tensor used twice, a ReLU masked by the
 * pool and ReLUs masked by their own layers. 4 logits. */
void fixture_residual(graph *g);

/* 8x8x3 -> a stem as ResNet's, pooled by windows that overlap -> a block whose norm joins and one
 * that halves the image, so that what it joins has a norm without a ReLU -> the mean -> linear. */
void fixture_normed(graph *g);

/* The network of f->graph, prepared for batches of these sizes, in fp32. */
void fixture_open(fixture *f, const char *device_name, const int *sizes, int size_count);
void fixture_close(fixture *f);

/* `count` floats to the device's memory and from there; complete on return. */
void fixture_put(fixture *f, void *to, const float *from, size_t count);
void fixture_get(fixture *f, float *to, const void *from, size_t count);

/* From -1 to 1, others for another `stream`. */
void fixture_random(float *out, size_t count, uint64_t stream);

/* The input of n samples, through the device's own batch maker. */
void fixture_fill_input(fixture *f, pass *pass, int n);

#endif
