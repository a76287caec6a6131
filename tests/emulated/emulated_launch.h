// What cuda/kernels/launch.cuh includes where LOCKSTEP_EMULATED is defined: a host compiler's way
// to compile and launch an unmodified .cu. A launch copies its arguments and puts the kernel into
// the stream; kernels.cc runs its threads, block after block, blocks and threads in an order drawn
// from the seed, each thread until it ends or meets a barrier. A pointer among the arguments must
// be device or pinned memory that lives when the kernel runs.
//
// __shared__ is static storage of this library, filled with garbage before each block; so a .cu
// has no other variables of static storage that are not const.
#ifndef LOCKSTEP_TESTS_EMULATED_LAUNCH_H
#define LOCKSTEP_TESTS_EMULATED_LAUNCH_H

#include <cuda_runtime.h>

#include "emulated.h"
#include "emulated_device.h"

#include <cstring>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

namespace emulated {

struct kernel_launch {
    dim3 blocks, threads;
    void (*thread)(void *arguments); // one thread of it
    const void *code;                // the kernel's address
};

// For texts: the demangled name.
const char *kernel_name(const void *code);

// Checks the shape; cudaSuccess or what the real runtime says.
cudaError_t check_launch(const kernel_launch &launch, cudaStream_t stream);
// Every block of the launch, now.
void run_kernel(const kernel_launch &launch, void *arguments);

template <class T> void check_argument(const kernel_launch &launch, const T &value) {
    if constexpr (std::is_pointer_v<T>)
        if (value)
            emulated_check_reachable((const void *)value, 1, kernel_name(launch.code));
}

template <class... Parameters> struct recorded_launch {
    kernel_launch launch;
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> arguments;

    static void thread(void *self) {
        auto *recorded = (recorded_launch *)self;
        std::apply(recorded->kernel, recorded->arguments);
    }

    void check() const {
        std::apply([&](const auto &...value) { (check_argument(launch, value), ...); }, arguments);
    }

    static emulated_progress run(void *self) {
        auto *recorded = (recorded_launch *)self;
        recorded->check();
        run_kernel(recorded->launch, self);
        return EMULATED_DONE;
    }
};

template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 blocks, dim3 threads, cudaStream_t stream,
                   Arguments &&...arguments) {
    using recorded = recorded_launch<Parameters...>;
    static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                  "a kernel's parameters are copied as bytes");
    static_assert((sizeof(Parameters) + ... + 0) <= 4096, "a kernel's parameters: 4 KiB at most");
    // Bytes between the members too, so that nothing uninitialised is copied.
    alignas(recorded) char bytes[sizeof(recorded)];
    memset(bytes, 0, sizeof bytes);
    auto *made = new (bytes) recorded{
        {blocks, threads, recorded::thread, (const void *)kernel},
        kernel,
        std::tuple<Parameters...>(static_cast<Parameters>(std::forward<Arguments>(arguments))...)};
    cudaError_t status = check_launch(made->launch, stream);
    if (status == cudaSuccess) {
        made->check();
        emulated_enqueue(stream, recorded::run, bytes, sizeof bytes,
                         kernel_name(made->launch.code));
    }
    return cudaPeekAtLastError();
}

} // namespace emulated

#define LS_LAUNCH(kernel, blocks, threads, stream, ...)                                            \
    emulated::launch(kernel, dim3(blocks), dim3(threads), (stream), __VA_ARGS__)

#endif
