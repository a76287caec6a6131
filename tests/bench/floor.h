/* What op_floor.c and its cases share: a device, what its memory and its matrix products were
 * measured to do in this process, the time of an op, and the table.
 *
 * The floor of an op is the larger of two times: the bytes that it cannot avoid to read and write
 * (each tensor once) over the measured copy bandwidth (bytes read plus bytes written), and its
 * multiplications and additions over the measured rate of a large matrix product in the same
 * precision. Tensors that fit into a cache can be faster than the first. */
#ifndef LOCKSTEP_TESTS_FLOOR_H
#define LOCKSTEP_TESTS_FLOOR_H

#include "base/precision.h"
#include "device/ops.h"

#include <stdio.h>

typedef struct floor_bench {
    device *device;
    const ops *ops;
    device_stream *stream;
    bool small;          /* sizes for trying it, where no number matters */
    void *random[3];     /* device memory, a block of uniform values in [-1, 1) for each dtype */
    double copy_rate;    /* bytes a second, read plus written */
    double product_rate; /* of the current precision, FLOP a second */
    precision precision;
    FILE *csv;
} floor_bench;

/* Ends the program with the error's text unless status is LS_OK. */
void floor_must(int status, const ls_error *error);

/* LOCKSTEP_TEST_PLANS: where the device's choices of algorithms are kept between programs. */
void floor_open(floor_bench *self, const char *device_name, int threads, bool small);
void floor_close(floor_bench *self);

/* Device memory, filled with random values (but int32 and bytes: zeros). */
void *floor_array(floor_bench *self, size_t count, dtype type);
void *floor_bytes(floor_bench *self, size_t bytes);
void floor_release(floor_bench *self, void *memory); /* NULL is fine */

/* Puts one call of an op into the stream. */
typedef int (*floor_call)(void *context, ls_error *error);

/* Seconds of one call: the median of rounds of many, replayed from a graph where the device has
 * them, so that launching is not in it. */
double floor_seconds(floor_bench *self, floor_call call, void *context);

/* A row of the table: `bytes` and `flop` of one call. `ours`: a kernel of ours, whose share of the
 * copy bandwidth has a bar (FLOOR_BAR from FLOOR_BAR_BYTES on). */
void floor_row(floor_bench *self, const char *op, const char *shape, double bytes, double flop,
               bool ours, double seconds);
#define FLOOR_BAR       0.8
#define FLOOR_BAR_BYTES (64.0 * 1048576)

/* The cases, by file. */
void floor_layers(floor_bench *self, int batch); /* floor_layers.c: the CNN's */
void floor_tokens(floor_bench *self);            /* floor_tokens.c: a vision transformer's */
void floor_streams(floor_bench *self);           /* floor_streams.c: what only moves memory */
double floor_product_rate(floor_bench *self);    /* floor_layers.c */

#endif
