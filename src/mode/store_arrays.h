/* What a store is made of (its own files': store_file.c, store.c, store_lend.c). */
#ifndef LOCKSTEP_MODE_STORE_ARRAYS_H
#define LOCKSTEP_MODE_STORE_ARRAYS_H

#include "mode/frames.h"
#include "mode/store_memory.h"

typedef struct held {
    store_span span;
    size_t base;  /* the element that lies where its memory begins */
    size_t place; /* of that, in the array's memory */
    bool out;     /* it lies in the store's file, from byte `place` on */
    bool written; /* out: something was; before that it is zero */
} held;

typedef struct array {
    float *memory;
    bool of_comm;
    bool paged;  /* store_hold_paged: it has no rows */
    bool common; /* store_hold_common: `memory` is all ranks' */
    held *ranges;
    store_span *spans; /* [count] the ranges', for store_spans */
    int count;
    size_t elements; /* of memory, a row */
} array;

/* Memory that a mode took. */
typedef struct taken {
    void *memory;
    memory_kind use;
    bool of_comm;
    size_t bytes;
} taken;

struct store {
    store_settings settings;
    array arrays[STORE_KINDS];
    taken *taken; /* [taken_count] */
    int taken_count;
    store_span *updated;
    int updated_count;
    store_arrival arrive;
    void *arrival_context;
    /* What is out; NULL: nothing is. */
    offload_file *file;
    frames *frames;
    size_t file_bytes; /* given out */
};

/* The held range that has all of [first, first + count); NULL: none. */
held *store_range(const array *self, size_t first, size_t count);
/* What of `span` lies in a held range. */
store_span store_overlap(const held *range, store_span span);

/* ---- of a range that is out; `part` lies in it. Done when they return, but for a read with a
 * ticket, which is wanted behind it. */
int store_file_read(const store *self, const held *range, store_span part, float *memory,
                    offload_ticket *out, ls_error *error);
int store_file_write(store *self, held *range, store_span part, const float *memory,
                     ls_error *error);
int store_file_clear(store *self, held *range, ls_error *error);
int store_file_fingerprint(const store *self, device_stream *stream, const held *range,
                           fingerprint *out, ls_error *error);
/* All of it in a frame, until frames_return. */
frame_page store_file_page(const held *range);
int store_file_lend(const store *self, held *range, bool reads, float **out, ls_error *error);
/* Closes and releases all that is out. */
void store_file_close(store *self);

#endif
