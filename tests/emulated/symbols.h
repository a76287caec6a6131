// What the symbol table of the library that holds the kernels says: their names, and where their
// __shared__ variables lie.
#ifndef LOCKSTEP_TESTS_EMULATED_SYMBOLS_H
#define LOCKSTEP_TESTS_EMULATED_SYMBOLS_H

#include <cstddef>

namespace emulated {

// The demangled name of the function at `code`; "a kernel" where no table has it.
const char *kernel_name(const void *code);

// Fills every __shared__ variable of the library that holds `code` with garbage: the
// variables of static storage inside functions, which is what the macro makes of them.
void poison_shared(const void *code);

} // namespace emulated

#endif
