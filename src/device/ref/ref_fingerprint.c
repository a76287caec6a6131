/* The fingerprint of an array, element by element, as base/fingerprint.h defines it. */
#include "device/ref/ref.h"

int ref_fingerprint(device *self, device_stream *stream, const float *values, size_t first,
                    size_t count, fingerprint *out, ls_error *error) {
    (void)self, (void)stream, (void)error;
    for (size_t i = first; i < first + count; i++) {
        float value = values[i - first];
        fingerprint_block block = fingerprint_block_at(i / FINGERPRINT_BUCKETS);
        unsigned j = (unsigned)(i % FINGERPRINT_BUCKETS);
        uint64_t sign = fingerprint_sign(&block, j);
        out->hash += fingerprint_term(i, fingerprint_bits(value));
        out->sketch[(j + block.rotation) % FINGERPRINT_BUCKETS] +=
            (fingerprint_fixed(value) ^ sign) - sign;
    }
    return LS_OK;
}
