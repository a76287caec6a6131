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
/* The same, in one memory of the comm's for all ranks, which hold the whole array together:
 * elements lie there by their place in it. Where there is none, as store_hold_own. Collective. */
int store_hold_common(store *self, store_kind kind, const store_span *spans, int count,
                      ls_error *error);
/* Where the whole array lies that was held so; NULL: it does not. */
const float *store_common(const store *self, store_kind kind);
/* The same, of pieces (the same ones of each kind that is held so), of which those that are `out`
 * lie in a file; no rows. */
int store_hold_paged(store *self, store_kind kind, const store_span *spans, const bool *out,
                     int count, ls_error *error);
/* After all of these: the file, in a folder, and frames through which pieces of at most so many
 * elements are used. Nothing where nothing is out. */
int store_open_file(store *self, const char *folder, int frame_count, size_t frame_elements,
                    ls_error *error);
size_t store_frame_bytes(size_t elements); /* of one */
/* This rank updates these, and holds the optimizer's moments of them and, where it is kept, their
 * average; what is held already stays. */
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

/* ---- what may lie in a file; elsewhere a range is one piece, and these cost nothing */

/* store_copy, of which a part may still be on its way until store_fetched(*ticket). */
int store_fetch(const store *self, device_stream *stream, store_kind kind, store_span span,
                float *out, offload_ticket *ticket, ls_error *error);
int store_fetched(const store *self, offload_ticket ticket, ls_error *error);
/* Behind the last element of the piece that has this one; beyond all where none has. */
size_t store_piece_end(const store *self, size_t element);
/* These kinds of the span will be lent, piece by piece: they are read ahead. */
int store_announce(const store *self, store_kinds reads, store_span span, ls_error *error);
/* As store_lend_update, of any part of a piece that is not out, or of all of one. */
int store_lend(store *self, store_kinds reads, store_kinds writes, store_span span,
               store_slice *out, ls_error *error);

/* Further memory of the mode's own, of the comm's where `of_comm` (then collective), else of the
 * device's. store_give_back releases it, or the store at its end. NULL is fine. */
int store_take(store *self, memory_kind use, bool of_comm, size_t bytes, const char *what,
               void **out, ls_error *error);
void store_give_back(store *self, void *memory);

/* The kind's memory is now `memory`, as large and laid out alike (mode/pair.h, which writes two
 * arrays in turn); returns what it was. The store releases what it has at its end. */
float *store_exchange(store *self, store_kind kind, float *memory);

#endif
