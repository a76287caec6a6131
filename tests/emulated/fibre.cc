#include "fibre.h"

#include "emulated.h"

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#else
static void __sanitizer_start_switch_fiber(void **, const void *, size_t) {}
static void __sanitizer_finish_switch_fiber(void *, const void **, size_t *) {}
#endif

// ASan's frames are large, and a kernel's arrays lie here.
static const size_t STACK_BYTES = 256 << 10, GUARD_BYTES = 4096;

#if defined(__x86_64__)
// emulated_switch(void **save, void *to): keeps what a call must keep (System V ABI, section 3.2.1)
// on this stack, whose pointer goes to *save, and goes on from the other.
extern "C" void emulated_switch(void **save, void *to);
asm(R"(
    .text
    .type emulated_switch, @function
emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size emulated_switch, . - emulated_switch
)");
#endif

namespace emulated {

static fibre *entered;

fibre::fibre(void (*body)()) : body(body) {
    void *got = mmap(nullptr, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED || mprotect(got, GUARD_BYTES, PROT_NONE) != 0)
        emulated_violation("no memory for a kernel thread's stack");
    stack = (char *)got + GUARD_BYTES;
#if defined(__x86_64__)
    // As if `first` had been called: its return address, and six registers to pop.
    void **top = (void **)(stack + STACK_BYTES) - 1; // aligned as at a function's entry
    *top = nullptr;
    *--top = (void *)first;
    here = top - 6;
#else
    getcontext(&here);
    here.uc_stack.ss_sp = stack;
    here.uc_stack.ss_size = STACK_BYTES;
    makecontext(&here, first, 0);
#endif
}

void fibre::first() {
    fibre *self = entered;
    __sanitizer_finish_switch_fiber(nullptr, &self->stack_there, &self->bytes_there);
    self->body();
    __builtin_unreachable();
}

void fibre::enter() {
    entered = this;
    __sanitizer_start_switch_fiber(&fake_there, stack, STACK_BYTES);
#if defined(__x86_64__)
    emulated_switch(&there, here);
#else
    swapcontext(&there, &here);
#endif
    __sanitizer_finish_switch_fiber(fake_there, nullptr, nullptr);
}

void fibre::leave() {
    __sanitizer_start_switch_fiber(&own_fake, stack_there, bytes_there);
#if defined(__x86_64__)
    emulated_switch(&here, there);
#else
    swapcontext(&here, &there);
#endif
    __sanitizer_finish_switch_fiber(own_fake, &stack_there, &bytes_there);
}

} // namespace emulated
