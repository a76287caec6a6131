/* Inside packing: what is kept of a finished shard beside it until the data set is whole, so that
 * a pack that was killed goes on where it was. */
#ifndef LOCKSTEP_DATA_PACK_RECORD_H
#define LOCKSTEP_DATA_PACK_RECORD_H

#include "base/text_buffer.h"
#include "data/format.h"

typedef struct pack_record {
    char plan[FORMAT_DIGEST_BYTES];   /* of what the shard is made of and how */
    char sha256[FORMAT_DIGEST_BYTES]; /* the shard's */
    int64_t images, bytes, warned, converted, left_out;
    text_buffer converted_list, left_out_list; /* lines of pack_notes.h; owned */
} pack_record;

/* Writes it whole, or not at all. */
int pack_record_write(const pack_record *self, const char *path, ls_error *error);

/* false where there is none, or none that is whole; *self then holds nothing. */
bool pack_record_read(pack_record *self, const char *path);

void pack_record_release(pack_record *self);

#endif
