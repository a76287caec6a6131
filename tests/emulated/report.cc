// Texts, counts, the seed and the thread's last error.
#include "runtime.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <sched.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
static void print_stack() {
    __sanitizer_print_stack_trace();
}
#else
static void print_stack() {}
#endif

namespace emulated {

device_lock &lock() {
    static auto *only = new device_lock;
    return *only;
}

void device_lock::pause() {
    int held = depth;
    for (int level = 0; level < held; level++)
        unlock();
    sched_yield();
    for (int level = 0; level < held; level++)
        lock();
}

// How often each function of the runtime was called, to the file that LOCKSTEP_EMULATED_CALLS
// names.
static std::map<std::string, long> &calls() {
    static auto *all = new std::map<std::string, long>;
    return *all;
}

static void write_calls(int, void *path) {
    FILE *file = fopen((const char *)path, "w");
    if (!file)
        return;
    for (const auto &[name, count] : calls())
        fprintf(file, "%s %ld\n", name.c_str(), count);
    fclose(file);
}

api_call::api_call(const char *name) : guard(lock()) {
    static char *path = getenv("LOCKSTEP_EMULATED_CALLS");
    if (working())
        emulated_violation("%s was called from device work", name);
    if (!path)
        return;
    if (calls().empty())
        on_exit(write_calls, path);
    calls()[name]++;
}

static thread_local cudaError_t last_error = cudaSuccess;

cudaError_t result(cudaError_t status) {
    if (status != cudaSuccess)
        last_error = status;
    return status;
}

static std::map<std::string, int> &counts() {
    static auto *all = new std::map<std::string, int>;
    return *all;
}

// A run that failed may leave what it has to the operating system.
static void look_for_leaks(int status, void *) {
    if (status != 0)
        return;
    std::string left;
    for (const auto &[what, count] : counts())
        if (count != 0)
            left += (left.empty() ? "" : ", ") + std::to_string(count) + " " + what;
    if (!left.empty())
        emulated_violation("left at exit: %s", left.c_str());
}

} // namespace emulated

using namespace emulated;

extern "C" void emulated_violation(const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fflush(stdout);
    if (working())
        fprintf(stderr, "emulated: violation: %s (while '%s' ran)\n", text, working_label());
    else
        fprintf(stderr, "emulated: violation: %s\n", text);
    print_stack();
    fflush(stderr);
    _exit(EMULATED_VIOLATION_EXIT);
}

extern "C" void emulated_count(const char *what, int difference) {
    locked guard(lock());
    static bool registered;
    if (!registered)
        on_exit(look_for_leaks, nullptr);
    registered = true;
    int &count = counts()[what];
    count += difference;
    if (count < 0)
        emulated_violation("more objects of type %s destroyed than made", what);
}

extern "C" unsigned emulated_random(unsigned below) {
    locked guard(lock());
    static std::mt19937 generator([] {
        const char *seed = getenv("LOCKSTEP_EMULATED_SEED");
        return seed ? (unsigned)strtoul(seed, nullptr, 10) : 1u;
    }());
    return below < 2 ? 0 : (unsigned)(generator() % below);
}

extern "C" cudaError_t cudaGetLastError(void) {
    cudaError_t status = last_error;
    last_error = cudaSuccess;
    return status;
}

extern "C" cudaError_t cudaPeekAtLastError(void) {
    return last_error;
}
