// Device memory: pages of one reserved range that the host cannot touch except while device work
// runs, so that a host access faults at the instruction that makes it, in this program, in MPI and
// in libc alike. Addresses are not used twice: what is freed faults too. Under AddressSanitizer the
// rest of an allocation's last page is poisoned; without it, it holds a pattern that is checked.
// New memory is filled with 0xff: every float of it is a NaN.
//
// A window of device work opens what it touches, as it faults: a step has some hundred windows, and
// most touch a few of some hundred allocations. Its end closes them; with
// LOCKSTEP_EMULATED_WINDOWS=N one in N does, drawn from the seed: two traps and two changes of a
// page table for each allocation are most of the time of a small run, and what the host does in
// each step is caught all the same.
//
// Why page protection: ASan's own poisoning would miss what is not instrumented (MPI, memcpy in
// the kernel), and protection keys are not on every CPU.
#include "runtime.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes)   ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

namespace emulated {
namespace {

constexpr size_t RANGE_BYTES = (size_t)1 << 40, PAGE = 4096, LARGE = (size_t)2 << 20;
constexpr unsigned char TAIL = 0xda;

// promised: the call has returned, but the stream has not reached the allocation yet.
enum class state { promised, live };

struct block {
    size_t bytes, number;
    state is;
    bool pooled;
    bool open;        // accessible until the window ends
    const char *base; // where it lies, while it is open
    block *next_open; // in the list of these
};

char *range, *range_next;
std::map<const char *, block> &blocks() {
    static auto *all = new std::map<const char *, block>;
    return *all;
}
std::map<const char *, size_t> &pinned() {
    static auto *all = new std::map<const char *, size_t>;
    return *all;
}
size_t bytes_used, most_used, blocks_made;
// What the pool was given back, in pieces: it keeps them, and joins no two of them.
std::multiset<size_t> kept;
size_t bytes_kept;
int windows_open;
block *first_open;
std::atomic_flag opening = ATOMIC_FLAG_INIT; // the host's other threads can fault too

size_t pages(size_t bytes) {
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

bool in_range(const void *pointer) {
    return range && (const char *)pointer >= range && (const char *)pointer < range + RANGE_BYTES;
}

struct sigaction chained;

void protect(const char *base, const block &which, int protection) {
    if (mprotect((void *)base, pages(which.bytes), protection) != 0)
        emulated_violation("mprotect failed");
}

void open_block(const char *base, block &which) {
    while (opening.test_and_set())
        ;
    if (!which.open) {
        protect(base, which, PROT_READ | PROT_WRITE);
        which.open = true;
        which.base = base;
        which.next_open = first_open;
        first_open = &which;
    }
    opening.clear();
}

std::map<const char *, block>::iterator block_at(const void *pointer) {
    auto next = blocks().upper_bound((const char *)pointer);
    if (next == blocks().begin())
        return blocks().end();
    --next;
    return (const char *)pointer < next->first + pages(next->second.bytes) ? next : blocks().end();
}

// Only what is safe enough in a process that is about to end.
void fault(int signal, siginfo_t *info, void *context) {
    if (in_range(info->si_addr)) {
        auto touched = block_at(info->si_addr);
        if (windows_open && touched != blocks().end() && touched->second.is == state::live &&
            !touched->second.open) {
            open_block(touched->first, touched->second);
            return;
        }
        const char *how = windows_open ? "touched memory that is not allocated, "
                                       : "the host touched device memory, ";
        emulated_violation("%s%s", how, describe(info->si_addr).c_str());
    }
    if (chained.sa_flags & SA_SIGINFO)
        chained.sa_sigaction(signal, info, context);
    else if (chained.sa_handler == SIG_DFL || chained.sa_handler == SIG_IGN)
        sigaction(signal, &chained, nullptr); // and again, to its end
    else
        chained.sa_handler(signal);
}

void reserve() {
    if (range)
        return;
    void *got = mmap(nullptr, RANGE_BYTES + LARGE, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED)
        emulated_violation("no address range for device memory");
    range = range_next = (char *)got + (LARGE - (size_t)got % LARGE) % LARGE;
    struct sigaction action = {};
    action.sa_sigaction = fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &action, &chained);
}

bool inside(const void *pointer, size_t bytes, const char *base, size_t size) {
    size_t offset = (size_t)((const char *)pointer - base);
    return offset <= size && bytes <= size - offset;
}

// The block that an address from an allocation call names; a violation otherwise.
std::map<const char *, block>::iterator named(const void *pointer, const char *call) {
    auto found = blocks().find((const char *)pointer);
    if (found == blocks().end())
        emulated_violation("%s: %s", call, describe(pointer).c_str());
    return found;
}

} // namespace

void check_allocated(const void *memory, const char *call) {
    named(memory, call);
}
size_t memory_used() {
    return bytes_used;
}
size_t memory_most_used() {
    return most_used;
}
size_t memory_kept() {
    return bytes_kept;
}
void trim_memory() {
    kept.clear();
    bytes_kept = 0;
}
void add_pinned(void *memory, size_t bytes) {
    pinned()[(char *)memory] = bytes;
}
bool remove_pinned(void *memory) {
    return pinned().erase((char *)memory) > 0;
}

emulated_progress make_memory(void *context) {
    auto found = named(*(void **)context, "allocation");
    found->second.is = state::live;
    char *base = (char *)found->first;
    size_t bytes = found->second.bytes;
    memory_open window;
    open_block(base, found->second);
    if (bytes >= LARGE)
        madvise(base, bytes / LARGE * LARGE, MADV_HUGEPAGE); // a hint
    memset(base, 0xff, bytes);
    memset(base + bytes, TAIL, pages(bytes) - bytes);
    ASAN_POISON_MEMORY_REGION(base + bytes, pages(bytes) - bytes);
    return EMULATED_DONE;
}

emulated_progress unmake_memory(void *context) {
    auto found = named(*(void **)context, "free");
    char *base = (char *)found->first;
    size_t bytes = found->second.bytes, size = pages(bytes);
    ASAN_UNPOISON_MEMORY_REGION(base + bytes, size - bytes);
    memory_open window;
    open_block(base, found->second);
    for (size_t at = bytes; at < size; at++)
        if ((unsigned char)base[at] != TAIL)
            emulated_violation("written %zu bytes past the end of %s", at - bytes + 1,
                               describe(base).c_str());
    mmap(base, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    bytes_used -= bytes;
    if (found->second.pooled) {
        kept.insert(bytes);
        bytes_kept += bytes;
    }
    block **link = &first_open;
    while (*link != &found->second)
        link = &(*link)->next_open;
    *link = found->second.next_open;
    blocks().erase(found);
    emulated_count("device allocations", -1);
    return EMULATED_DONE;
}

// From the smallest piece of the pool that is large enough.
static bool take_kept(size_t bytes) {
    auto piece = kept.lower_bound(bytes);
    if (piece == kept.end())
        return false;
    size_t rest = *piece - bytes;
    kept.erase(piece);
    if (rest)
        kept.insert(rest);
    bytes_kept -= bytes;
    return true;
}

cudaError_t promise_memory(void **out, size_t bytes, bool pooled) {
    *out = nullptr;
    if (bytes == 0)
        return cudaErrorInvalidValue;
    size_t taken = bytes_used + bytes_kept;
    if (!(pooled && take_kept(bytes)) && (bytes > memory_bytes() || taken > memory_bytes() - bytes))
        return cudaErrorMemoryAllocation;
    reserve();
    if (range_next + pages(bytes) + PAGE + LARGE > range + RANGE_BYTES)
        emulated_violation("the address range for device memory is used up");
    if (bytes >= LARGE) // whole large pages: to fill one costs a fault, not 512
        range_next = range + (size_t)(range_next - range + LARGE - 1) / LARGE * LARGE;
    blocks()[range_next] = {bytes, ++blocks_made, state::promised, pooled, false, nullptr, nullptr};
    *out = range_next;
    range_next += pages(bytes) + PAGE;
    bytes_used += bytes;
    most_used = std::max(most_used, bytes_used);
    emulated_count("device allocations", 1);
    return cudaSuccess;
}

place place_of(const void *pointer) {
    if (in_range(pointer))
        return place::device;
    return emulated_is_pinned(pointer, 1) ? place::pinned : place::pageable;
}

std::string describe(const void *pointer) {
    char text[160];
    auto found = block_at(pointer);
    if (found != blocks().end())
        snprintf(text, sizeof text, "device memory #%zu (%zu bytes%s) at offset %zd",
                 found->second.number, found->second.bytes,
                 found->second.is == state::live ? "" : ", not made yet in stream order",
                 (const char *)pointer - found->first);
    else if (in_range(pointer))
        snprintf(text, sizeof text, "device memory that is freed or was never allocated (%p)",
                 pointer);
    else
        snprintf(text, sizeof text, "%s host memory (%p)",
                 emulated_is_pinned(pointer, 1) ? "pinned" : "pageable", pointer);
    return text;
}

memory_open::memory_open() {
    thread_local bool faults; // a thread of the program's that takes no signals would end by one
    if (!faults) {
        sigset_t wanted;
        sigemptyset(&wanted);
        sigaddset(&wanted, SIGSEGV);
        faults = pthread_sigmask(SIG_UNBLOCK, &wanted, nullptr) == 0;
    }
    windows_open++;
}

// Draws of its own: the order of device work does not depend on it.
static bool window_closes() {
    static const char *text = getenv("LOCKSTEP_EMULATED_WINDOWS"),
                      *seed = getenv("LOCKSTEP_EMULATED_SEED");
    static const unsigned one_in = text ? (unsigned)atoi(text) : 1;
    static uint64_t state = seed ? strtoull(seed, nullptr, 10) : 0;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return one_in < 2 || (state >> 33) % one_in == 0;
}

memory_open::~memory_open() {
    if (--windows_open == 0 && first_open && window_closes())
        for (; first_open; first_open = first_open->next_open) {
            protect(first_open->base, *first_open, PROT_NONE);
            first_open->open = false;
        }
}

void check_range(const void *pointer, size_t bytes, place expected, const char *what) {
    if (!pointer && bytes == 0)
        return;
    static const char *const names[] = {"pageable host memory", "pinned host memory",
                                        "device memory"};
    if (place_of(pointer) != expected)
        emulated_violation("%s: expected %s, found %s", what, names[(int)expected],
                           describe(pointer).c_str());
    if (expected == place::device) {
        auto found = block_at(pointer);
        if (found == blocks().end() || !inside(pointer, bytes, found->first, found->second.bytes) ||
            (working() && found->second.is != state::live))
            emulated_violation("%s: %zu bytes at %s", what, bytes, describe(pointer).c_str());
    } else if (expected == place::pinned && !emulated_is_pinned(pointer, bytes)) {
        emulated_violation("%s: %zu bytes reach past the end of pinned memory", what, bytes);
    }
}

} // namespace emulated

using namespace emulated;

extern "C" bool emulated_is_pinned(const void *pointer, size_t bytes) {
    locked guard(lock());
    auto next = pinned().upper_bound((const char *)pointer);
    if (next == pinned().begin())
        return false;
    --next;
    return (const char *)pointer < next->first + next->second &&
           inside(pointer, bytes, next->first, next->second);
}

extern "C" bool emulated_is_device(const void *pointer, size_t bytes) {
    locked guard(lock());
    auto found = block_at(pointer);
    return found != blocks().end() && inside(pointer, bytes, found->first, found->second.bytes);
}

extern "C" void emulated_check_device(const void *pointer, size_t bytes, const char *what) {
    locked guard(lock());
    check_range(pointer, bytes, place::device, what);
}

extern "C" void emulated_check_reachable(const void *pointer, size_t bytes, const char *what) {
    locked guard(lock());
    if (pointer || bytes)
        check_range(pointer, bytes,
                    place_of(pointer) == place::pinned ? place::pinned : place::device, what);
}
