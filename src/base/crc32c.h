/* CRC-32C, by ISA-L. */
#ifndef LOCKSTEP_BASE_CRC32C_H
#define LOCKSTEP_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The standard CRC-32C (Castagnoli; RFC 3720): reflected, initial value and final xor 0xFFFFFFFF;
 * of "123456789" it is 0xE3069283. `length` below 2^31. */
uint32_t crc32c(const void *bytes, size_t length);

#endif
