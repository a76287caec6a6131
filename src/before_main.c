/* Runs before the constructors of all shared libraries: DT_PREINIT_ARRAY of the program (System V
 * ABI, "Initialization and Termination Functions"). */
#include "base/signals.h"
#include "launch/environment.h"

static void before_libraries(int count, char **arguments, char **environment) {
    (void)count;
    (void)arguments;
    signals_remember();
    environment_clean(environment);
}

__attribute__((section(".preinit_array"),
               used)) static void (*const entry)(int, char **, char **) = before_libraries;
