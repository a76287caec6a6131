// Stacks that can be left in the middle of a function and entered again. Known to ASan.
#ifndef LOCKSTEP_TESTS_EMULATED_FIBRE_H
#define LOCKSTEP_TESTS_EMULATED_FIBRE_H

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulated {

class fibre {
  public:
    // Starts to run body() at the first enter(); body never returns.
    explicit fibre(void (*body)());
    fibre(const fibre &) = delete;

    // Goes on where the fibre left, on the calling thread, until it leaves.
    void enter();
    // Called by the fibre's own code: back to where enter() was called.
    void leave();

  private:
    char *stack;
    void (*body)();
#if defined(__x86_64__)
    void *here = nullptr, *there = nullptr; // stack pointers: the fibre's, the enterer's
#else
    ucontext_t here, there;
#endif
    void *own_fake = nullptr, *fake_there = nullptr; // ASan's
    const void *stack_there = nullptr;
    size_t bytes_there = 0;

    static void first();
};

} // namespace emulated

#endif
