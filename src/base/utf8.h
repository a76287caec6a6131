/* UTF-8 (RFC 3629), for texts that formats of others want in it. */
#ifndef LOCKSTEP_BASE_UTF8_H
#define LOCKSTEP_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character that the text begins with: 1 to 4; 0 where it is none (a byte of another
 * encoding, a surrogate, an overlong form), and at the end of the text. */
size_t utf8_character(const char *text);

bool utf8_valid(const char *text);

/* The text with "\xE9" for each byte that is no UTF-8: for a line about it. Cut to what fits. */
void utf8_escape(const char *text, char *out, size_t capacity);

#endif
