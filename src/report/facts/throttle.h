/* What held a GPU's clocks back, in words. */
#ifndef LOCKSTEP_REPORT_FACTS_THROTTLE_H
#define LOCKSTEP_REPORT_FACTS_THROTTLE_H

#include "base/text_buffer.h"

#include <stdbool.h>
#include <stdint.h>

/* "power cap, thermal (hardware)": NVML's bits in words, in the order of the bits,
 * "none" for 0. Idle GPUs and clocks that were set on purpose are no limit and not named. */
void throttle_text(text_buffer *out, uint64_t reasons);

/* The other way; "" is none too. False where it names anything else. */
bool throttle_parse(const char *text, uint64_t *out);

#endif
