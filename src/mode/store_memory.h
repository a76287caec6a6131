/* A store's memory (the mode room's own): what a mode holds, and where it lies. */
#ifndef LOCKSTEP_MODE_STORE_MEMORY_H
#define LOCKSTEP_MODE_STORE_MEMORY_H

#include "comm/comm.h"
#include "mode/store.h"

/* Elements: a held range begins at a multiple of it, counted as in the whole array, so that an
 * element lies as aligned as there. */
enum { STORE_GRAIN = 64 };

typedef struct store_settings {
    device *device;
    comm *comm; /* gives memory of what ranks exchange; NULL: the device does */
    size_t parameter_count, buffer_count;
    const char *const *moments; /* names of the arrays the optimizer keeps; NULL at their end */
    bool averages;              /* a moving average of the parameters is kept */
    /* Of gradients and buffers, store_row_stride apart: --strict has one a lane of this rank, else
     * 1. The first is what is held; the others are the lanes' own. */
    int rows;
} store_settings;

/* Called before parameters are read or written by kind and range: what is on its way to them
 * arrives. */
typedef int (*store_arrival)(void *context, ls_error *error);

int store_create(const store_settings *settings, store **out, ls_error *error);
void store_destroy(store *self); /* NULL is fine */

/* This rank holds these ranges (ascending, apart) of parameters, gradients or buffers: memory,
 * zero where it is the comm's. Once a kind. Collective where a comm gives it: all ranks name
 * ranges of as many elements. */
int store_hold(store *self, store_kind kind, const store_span *spans, int count, ls_error *error);
/* The same, of ranges that may be another length on each rank: the memory is the device's. */
int store_hold_own(store *self, store_kind kind, const store_span *spans, int count,
                   ls_error *error);
/* This rank updates these, and holds the optimizer's moments of them; their average too, where that
 * is kept and not held yet. */
int store_update(store *self, const store_span *spans, int count, ls_error *error);
/* From now on; NULL: nothing is on its way. */
void store_expect(store *self, store_arrival arrive, void *context);
/* It arrives now. */
int store_arrive(const store *self, ls_error *error);
/* All of it. */
int store_hold_whole(store *self, store_kind kind, ls_error *error);
int store_update_whole(store *self, ls_error *error);

/* Bytes of `rows` rows of a logical array that is held whole. */
size_t store_whole_bytes(size_t elements, size_t rows);

/* Where [first, first + count) lies, in one piece; NULL: not here, or not in one. */
float *store_at(const store *self, store_kind kind, size_t first, size_t count);
/* Elements from a row of gradients or buffers to the next: whole cache lines. */
size_t store_row_stride(const store *self, store_kind kind);
/* The arrays of an update of what lies in one held range of each. */
store_slice store_slice_of(const store *self, size_t first, size_t count);

/* Further memory of the mode's own, of the comm's where `of_comm` (then collective), else of the
 * device's. store_give_back releases it, or the store at its end. NULL is fine. */
int store_take(store *self, memory_kind use, bool of_comm, size_t bytes, const char *what,
               void **out, ls_error *error);
void store_give_back(store *self, void *memory);

/* The kind's memory is now `memory`, as large and laid out alike (mode/pair.h, which writes two
 * arrays in turn); returns what it was. The store releases what it has at its end. */
float *store_exchange(store *self, store_kind kind, float *memory);

#endif
