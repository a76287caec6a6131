/* The framing of TensorFlow's record files (tensorflow/core/lib/io/record_writer.h):
 *
 *     uint64  length of the data        little-endian, as all numbers here
 *     uint32  masked CRC-32C of these 8 bytes
 *     byte    data[length]
 *     uint32  masked CRC-32C of the data */
#ifndef LOCKSTEP_REPORT_TENSORBOARD_EVENTS_RECORD_H
#define LOCKSTEP_REPORT_TENSORBOARD_EVENTS_RECORD_H

#include <stddef.h>
#include <stdint.h>

enum { EVENT_RECORD_HEAD = 12, EVENT_RECORD_TAIL = 4 };

/* The CRC rotated right by 15 bits plus 0xa282ead8 (tensorflow/core/lib/hash/crc32c.h), so that
 * the CRC of data that holds CRCs is still one. */
uint32_t event_record_masked_crc(const void *bytes, size_t length);

/* Frames the data that lies at record[EVENT_RECORD_HEAD]: fills what stands before and after it.
 * Returns the length of the whole record. */
size_t event_record_frame(uint8_t *record, size_t data_length);

/* The length of the data that a record's head says: of what may be no record any number. */
size_t event_record_length(const uint8_t *record);

#endif
