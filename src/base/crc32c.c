#include "base/crc32c.h"

#include <isa-l/crc.h>

/* ISA-L takes the running value and leaves both inversions of the standard to its caller. */
uint32_t crc32c(const void *bytes, size_t length) {
    return ~crc32_iscsi((unsigned char *)(uintptr_t)bytes, (int)length, 0xFFFFFFFFu);
}
