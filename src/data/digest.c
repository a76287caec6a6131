#include "data/digest.h"

#include "base/local_limits.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static size_t block_length(int64_t length, int64_t block) {
    int64_t rest = length - block * FORMAT_BLOCK_BYTES;
    return (size_t)(rest < FORMAT_BLOCK_BYTES ? rest : FORMAT_BLOCK_BYTES);
}

void crc_fill(const void *bytes, int64_t length, uint32_t *out) {
    const uint8_t *at = bytes;
    for (int64_t block = 0; block < crc_blocks(length); block++)
        out[block] = crc32c(at + block * FORMAT_BLOCK_BYTES, block_length(length, block));
}

int64_t crc_first_difference(const void *bytes, int64_t length, const uint32_t *expected) {
    const uint8_t *at = bytes;
    for (int64_t block = 0; block < crc_blocks(length); block++)
        if (crc32c(at + block * FORMAT_BLOCK_BYTES, block_length(length, block)) != expected[block])
            return block;
    return -1;
}

int sha256_start(sha256 *self, ls_error *error) {
    self->context = EVP_MD_CTX_new();
    if (!self->context || EVP_DigestInit_ex(self->context, EVP_sha256(), NULL) != 1) {
        char hint[128];
        EVP_MD_CTX_free(self->context);
        self->context = NULL;
        limits_hint(ENOMEM, hint, sizeof hint); /* it loads its parts only here */
        return ls_fail(error, LS_FAILED, "libcrypto offers no SHA-256%s", hint);
    }
    return LS_OK;
}

/* Past a successful start these cannot fail: libcrypto's own SHA-256 only updates its state. */
void sha256_add(sha256 *self, const void *bytes, size_t length) {
    EVP_DigestUpdate(self->context, bytes, length);
}

void sha256_finish(sha256 *self, char hex[FORMAT_DIGEST_BYTES]) {
    unsigned char digest[32] = {0};
    EVP_DigestFinal_ex(self->context, digest, NULL);
    EVP_MD_CTX_free(self->context);
    self->context = NULL;
    for (int index = 0; index < 32; index++)
        snprintf(hex + 2 * index, 3, "%02x", digest[index]);
}

static int header_text(const shard_header *header, char *out, size_t capacity) {
    if (header->kind == CONTENT_ENCODED)
        return snprintf(out, capacity,
                        "lockstep shard %d\nkind encoded\nsplit %s\nshard %" PRId64
                        "\nimages %" PRId64 "\nbytes %" PRId64 "\nclasses %d\n",
                        FORMAT_VERSION_ENCODED, header->split, header->number, header->images,
                        header->bytes, header->classes->count);
    return snprintf(out, capacity,
                    "lockstep shard %d\nsplit %s\nfirst %" PRId64 "\nimages %" PRId64
                    "\nheight %d\nwidth %d\nchannels %d\nclasses %d\n",
                    FORMAT_VERSION, header->split, header->first, header->images,
                    header->shape.height, header->shape.width, header->shape.channels,
                    header->classes->count);
}

int shard_digest_start(sha256 *self, const shard_header *header, ls_error *error) {
    LS_TRY(sha256_start(self, error));
    char text[512];
    int length = header_text(header, text, sizeof text);
    sha256_add(self, text, (size_t)length);
    for (int index = 0; index < header->classes->count; index++) {
        const char *name = class_name(header->classes, index);
        sha256_add(self, name, strlen(name));
        sha256_add(self, "\n", 1);
    }
    return LS_OK;
}

static uint64_t value_at(const void *values, int64_t index, int bytes) {
    if (bytes == 8)
        return ((const uint64_t *)values)[index];
    return ((const uint32_t *)values)[index];
}

void shard_digest_add(sha256 *self, const part_form *form, const void *values) {
    int64_t count = part_values(form);
    if (form->value_bytes == 1) {
        sha256_add(self, values, (size_t)count);
        return;
    }
    for (int64_t index = 0; index < count;) {
        uint8_t bytes[4096];
        size_t used = 0;
        for (; index < count && used < sizeof bytes; index++) {
            uint64_t value = value_at(values, index, form->value_bytes);
            for (int shift = 0; shift < 8 * form->value_bytes; shift += 8)
                bytes[used++] = (uint8_t)(value >> shift);
        }
        sha256_add(self, bytes, used);
    }
}

int shard_digest(const shard_header *header, const void *const *values,
                 char hex[FORMAT_DIGEST_BYTES], ls_error *error) {
    sha256 digest;
    LS_TRY(shard_digest_start(&digest, header, error));
    for (int part = 0; part < shard_parts(header->kind); part++) {
        part_form form = shard_part(header, part);
        shard_digest_add(&digest, &form, values[part]);
    }
    sha256_finish(&digest, hex);
    return LS_OK;
}
