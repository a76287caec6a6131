/* SHA-256 as x-amz-content-sha256 wants it (the room's own). */
#ifndef LOCKSTEP_S3_HASH_H
#define LOCKSTEP_S3_HASH_H

#include <openssl/sha.h>
#include <stdio.h>

enum { S3_HASH_BYTES = 2 * SHA256_DIGEST_LENGTH + 1 };

static inline void s3_hash(const void *bytes, size_t count, char out[S3_HASH_BYTES]) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(bytes ? bytes : "", count, digest);
    for (int byte = 0; byte < SHA256_DIGEST_LENGTH; byte++)
        snprintf(out + 2 * byte, 3, "%02x", digest[byte]);
}

#endif
