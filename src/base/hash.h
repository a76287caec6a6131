/* FNV-1a, 64 bits (Fowler, Noll, Vo): a fingerprint to compare, not a protection. */
#ifndef LOCKSTEP_BASE_HASH_H
#define LOCKSTEP_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START 0xcbf29ce484222325u

/* Goes on from `hash` (HASH_START at first) over `count` bytes. */
static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count) {
    const unsigned char *byte = bytes;
    for (size_t index = 0; index < count; index++)
        hash = (hash ^ byte[index]) * 0x100000001b3u;
    return hash;
}

#endif
