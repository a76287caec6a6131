/* A text file that grows by whole rows, at a cost that does not grow with it, and that a reader
 * finds whole at every moment, also after a crash.
 *
 * A row is one write(2) that ends with its line break and lies within one block of
 * ROW_FILE_BLOCK bytes: a page of the cache and a block of the disk. What a write within a page has
 * put there becomes visible at once, by the file's length; one that crosses to the next page does
 * so in two steps, and a kill can fall between them. So a row after which the next one would not
 * fit into the block is made longer, up to the block's end, by zeros after the decimal point of the
 * number that is its last cell ("0.5" as "0.500000"). Should a row be longer than expected and
 * cross all the same, the file is written anew, atomically, for once.
 *
 * After a crash of the process nothing is missing; after one of the machine, at most the rows of
 * the last ROW_FILE_SYNC_SECONDS are. */
#ifndef LOCKSTEP_BASE_ROW_FILE_H
#define LOCKSTEP_BASE_ROW_FILE_H

#include "base/error.h"

#include <stddef.h>

enum { ROW_FILE_BLOCK = 4096 };
#define ROW_FILE_SYNC_SECONDS 1.0

typedef struct row_file row_file;

/* Replaces what lies there by the row `titles` (with its line break). */
int row_file_create(const char *path, const char *titles, size_t length, row_file **out,
                    ls_error *error);

/* `row` ends with a line break, its last cell is a number without an exponent. LS_FAILED where the
 * file was moved away meanwhile, too. */
int row_file_add(row_file *self, const char *row, size_t length, ls_error *error);

/* Everything is on the disk afterwards. */
int row_file_sync(row_file *self, ls_error *error);

void row_file_close(row_file *self); /* NULL is fine */

#endif
