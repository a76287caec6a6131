#include "base/ending.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

static atomic_bool ending;

void ending_begin(void) {
    atomic_store(&ending, true);
}

void ending_hold(void) {
    while (atomic_load_explicit(&ending, memory_order_relaxed))
        pause();
}
