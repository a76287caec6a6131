/* Named values: what a checkpoint says beside its arrays. A value is a list of int64, a list of
 * double, or a text; whoever saves puts what it needs, and takes it by name and kind when it is
 * read back, so a new one is a line on either side. */
#ifndef LOCKSTEP_CHECKPOINT_RECORD_H
#define LOCKSTEP_CHECKPOINT_RECORD_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RECORD_NAME_BYTES = 64 };

typedef enum { RECORD_INTEGERS, RECORD_REALS, RECORD_TEXT } record_kind;

typedef struct record_value {
    char name[RECORD_NAME_BYTES];
    record_kind kind;
    int64_t count; /* elements; bytes of a text, without its terminator */
    union {
        int64_t *integers;
        double *reals;
        char *text;
        void *memory;
    } of; /* owned; never NULL */
} record_value;

typedef struct record {
    record_value *values; /* [count] */
    int count, capacity;
    bool failed; /* no memory: record_check */
} record;

/* Copies. A value of that name is replaced. */
void record_put_integers(record *self, const char *name, const int64_t *values, int64_t count);
void record_put_reals(record *self, const char *name, const double *values, int64_t count);
void record_put_text(record *self, const char *name, const char *text); /* NULL is "" */
void record_put_integer(record *self, const char *name, int64_t value);
void record_put_real(record *self, const char *name, double value);

/* LS_FAILED where a value found no memory. */
int record_check(const record *self, ls_error *error);
void record_free(record *self); /* zero bytes are fine */

/* NULL: none of that name. */
const record_value *record_find(const record *self, const char *name);

/* Of that kind, else LS_BAD_INPUT: "WHERE: NAME: expected ..., found ...". What is given out is the
 * record's. */
int record_get_integers(const record *self, const char *where, const char *name,
                        const int64_t **out, int64_t *count, ls_error *error);
int record_get_reals(const record *self, const char *where, const char *name, const double **out,
                     int64_t *count, ls_error *error);
int record_get_text(const record *self, const char *where, const char *name, const char **out,
                    ls_error *error);
/* One value; an integer within limits. */
int record_get_integer(const record *self, const char *where, const char *name, int64_t minimum,
                       int64_t maximum, int64_t *out, ls_error *error);
int record_get_real(const record *self, const char *where, const char *name, double *out,
                    ls_error *error);

#endif
