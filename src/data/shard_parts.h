/* Inside writing shards: what shard_write.c and shard_stream.c put into a file. Negative on
 * failure. */
#ifndef LOCKSTEP_DATA_SHARD_PARTS_H
#define LOCKSTEP_DATA_SHARD_PARTS_H

#include "data/h5.h"

/* The attributes of a shard, but for its digest. */
int shard_put_header(hid_t file, const shard_header *header);
/* A data set with its blocks' checksums beside it. */
int shard_put_checked(hid_t file, const part_form *form, const void *values);

#endif
