#include "report/tensorboard/events_record.h"

#include "base/crc32c.h"

uint32_t event_record_masked_crc(const void *bytes, size_t length) {
    uint32_t crc = crc32c(bytes, length);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static void put_little_endian(uint8_t *out, uint64_t value, int bytes) {
    for (int index = 0; index < bytes; index++)
        out[index] = (uint8_t)(value >> (8 * index));
}

size_t event_record_frame(uint8_t *record, size_t data_length) {
    uint8_t *data = record + EVENT_RECORD_HEAD;
    put_little_endian(record, data_length, 8);
    put_little_endian(record + 8, event_record_masked_crc(record, 8), 4);
    put_little_endian(data + data_length, event_record_masked_crc(data, data_length), 4);
    return EVENT_RECORD_HEAD + data_length + EVENT_RECORD_TAIL;
}

size_t event_record_length(const uint8_t *record) {
    uint64_t length = 0;
    for (int index = 0; index < 8; index++)
        length |= (uint64_t)record[index] << (8 * index);
    return length;
}
