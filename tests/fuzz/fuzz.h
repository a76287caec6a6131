/* A reader that is given bytes of any kind. A target (fuzz_READER.c) has the two functions below;
 * it is linked with libFuzzer (fuzz.sh), or with try.c, which tries seeds, what was found before,
 * and some changes of both. */
#ifndef LOCKSTEP_TESTS_FUZZ_H
#define LOCKSTEP_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libFuzzer's: reads these bytes as a file. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Writes a file that is sound to `path`, the number-th of them, from 0; false: there are no more.
 */
bool fuzz_seed(int number, const char *path);

/* A seed that is a text: the number-th of texts[count], as a file. */
bool fuzz_text(const char *const *texts, int count, int number, const char *path);

/* What the reader said of the last bytes. */
extern bool fuzz_accepted;

/* A folder of this process's own, on a file system in memory where there is one; it goes with the
 * process. */
const char *fuzz_folder(void);

/* Writes bytes as FOLDER/NAME, in place of what was there. Its path stays until the next call. */
const char *fuzz_file(const char *name, const void *bytes, size_t size);

#endif
