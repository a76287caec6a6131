// Runs a kernel's threads, a block at a time, on fibres. A thread that meets no barrier runs from
// its first instruction to its last without a switch; one that does stays on its fibre until the
// others have come, and another fibre goes on with the threads that have not begun.
#include "emulated_launch.h"
#include "fibre.h"
#include "runtime.h"
#include "symbols.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace emulated {

where here;

namespace {

constexpr unsigned WARP = 32;

struct kernel_thread {
    emulated::fibre fibre;
    where at = {};
    unsigned linear = 0;
    explicit kernel_thread(void (*body)()) : fibre(body) {}
};

// A rendezvous that threads of the block wait at: the block's barrier, or a warp's exchange.
struct meeting {
    std::vector<kernel_thread *> waiting;
    const char *file = nullptr;
    int line = 0;
};

struct warp {
    meeting exchange;
    unsigned mask = 0, arrived = 0, round = 0;
    alignas(16) char values[2][WARP][16]; // by the round's parity: slow readers of the last one
};

// 0 .. count-1 in an order drawn anew: start + k * step, with step prime to count.
class shuffled {
  public:
    void draw(uint64_t count_) {
        count = count_;
        at = count > 1 ? draw_below(count) : 0;
        step = 1;
        if (count > 2)
            do
                step = 1 + draw_below(count - 1);
            while (std::gcd(step, count) != 1);
    }
    uint64_t next() {
        uint64_t out = at;
        at += step;
        if (at >= count)
            at -= count;
        return out;
    }

  private:
    uint64_t count = 0, at = 0, step = 1;
    static uint64_t draw_below(uint64_t below) {
        return emulated_random((unsigned)std::min<uint64_t>(below, 1u << 30));
    }
};

// The launch that runs; one at a time.
struct grid {
    const kernel_launch *launch;
    void *arguments;
    uint64_t blocks_left;
    unsigned threads, begun, ended; // of the block
    shuffled block_order, thread_order;
    std::vector<warp> warps;
    meeting barrier;
    int votes, votes_result; // of block_count
    std::vector<kernel_thread *> ready;
} run;

std::vector<kernel_thread *> &idle = *new std::vector<kernel_thread *>;
kernel_thread *current;

[[noreturn]] void wrong(const char *what, const meeting &at) {
    emulated_violation("kernel %s: %s (%s:%d): %zu of %u threads wait there, %u have ended",
                       kernel_name(run.launch->code), what, at.file, at.line, at.waiting.size(),
                       run.threads, run.ended);
}

uint3 coordinates(uint64_t linear, const dim3 &size) {
    uint64_t rest = linear / size.x;
    return {(unsigned)(linear % size.x), (unsigned)(rest % size.y), (unsigned)(rest / size.y)};
}

void begin_block() {
    run.blocks_left--;
    run.begun = run.ended = 0;
    run.thread_order.draw(run.threads);
    here.block = coordinates(run.block_order.next(), run.launch->blocks);
    for (warp &each : run.warps)
        each.mask = each.arrived = 0;
    poison_shared(run.launch->code);
}

// The next thread to begin, of this block or, when all of it have ended, of the next.
bool take_thread() {
    if (run.begun == run.threads) {
        if (run.ended < run.threads || run.blocks_left == 0)
            return false;
        begin_block();
    }
    current->linear = (unsigned)run.thread_order.next();
    here.thread = run.launch->threads.y == 1 && run.launch->threads.z == 1
                      ? uint3{current->linear, 0, 0}
                      : coordinates(current->linear, run.launch->threads);
    run.begun++;
    return true;
}

void thread_ended() {
    run.ended++;
    if (!run.barrier.waiting.empty())
        wrong("a thread left the kernel while others wait at a barrier", run.barrier);
    warp &own = run.warps[current->linear / WARP];
    if (own.arrived && (own.mask >> current->linear % WARP & 1))
        wrong("a thread left the kernel while others of its warp wait for it", own.exchange);
}

void fibre_body() {
    for (;;) {
        while (take_thread()) {
            run.launch->thread(run.arguments);
            thread_ended();
        }
        idle.push_back(current);
        current->fibre.leave();
    }
}

void enter(kernel_thread *which) {
    current = which;
    which->fibre.enter();
}

void go_on(kernel_thread *which) {
    here = which->at;
    enter(which);
}

void wait_at(meeting &place) {
    current->at = here;
    place.waiting.push_back(current);
    current->fibre.leave();
}

// The others go on in an order drawn anew; the caller, who came last, goes on at once, or among
// them.
void release(meeting &place) {
    auto &ready = run.ready;
    ready.insert(ready.end(), place.waiting.begin(), place.waiting.end());
    place.waiting.clear();
    for (size_t left = ready.size(); left > 1; left--)
        std::swap(ready[left - 1], ready[emulated_random((unsigned)left)]);
}

[[noreturn]] void stuck() {
    for (const warp &each : run.warps)
        if (!each.exchange.waiting.empty())
            wrong("lanes of a warp's mask never come", each.exchange);
    wrong("threads never come to a barrier", run.barrier);
}

} // namespace

void block_barrier(const char *file, int line) {
    meeting &barrier = run.barrier;
    if (run.ended)
        barrier.file = file, barrier.line = line,
        wrong("a barrier after a thread left the kernel", barrier);
    if (!barrier.waiting.empty() && barrier.line != line)
        wrong("threads wait at different barriers", barrier);
    barrier.file = file;
    barrier.line = line;
    if (barrier.waiting.size() + 1 < run.threads) {
        wait_at(barrier);
    } else {
        run.votes_result = run.votes;
        run.votes = 0;
        release(barrier);
    }
}

int block_count(bool predicate, const char *file, int line) {
    run.votes += predicate;
    block_barrier(file, line);
    return run.votes_result;
}

unsigned warp_lane() {
    return current->linear % WARP;
}

void warp_exchange(unsigned mask, const void *value, unsigned bytes, void *all, const char *file,
                   int line) {
    warp &own = run.warps[current->linear / WARP];
    meeting &place = own.exchange;
    unsigned lane = warp_lane(), first = current->linear - lane;
    unsigned there = run.threads - first < WARP ? (1u << (run.threads - first)) - 1 : ~0u;
    if (place.waiting.empty())
        place.file = file, place.line = line, own.mask = mask & there, own.arrived = 0;
    if (!(mask >> lane & 1))
        wrong("a lane is not in its own mask", place);
    if (mask != ~0u && (mask & ~there))
        wrong("the mask names lanes that do not exist", place);
    if (own.mask != (mask & there) || place.line != line)
        wrong("lanes of a warp wait with different masks, or in different places", place);
    unsigned round = own.round & 1;
    memcpy(own.values[round][lane], value, bytes);
    own.arrived |= 1u << lane;
    if (own.arrived == own.mask) {
        own.round++;
        own.arrived = 0;
        release(place);
    } else {
        wait_at(place);
    }
    warp &after = run.warps[current->linear / WARP];
    for (unsigned other = 0; other < WARP; other++)
        if (mask & there & 1u << other)
            memcpy((char *)all + other * bytes, after.values[round][other], bytes);
}

cudaError_t check_launch(const kernel_launch &launch, cudaStream_t stream) {
    emulated_check_stream(stream, kernel_name(launch.code));
    const dim3 &blocks = launch.blocks, &threads = launch.threads;
    cudaError_t status = use_device();
    if (status != cudaSuccess)
        return result(status);
    if (emulated_capability() < 80)
        return result(cudaErrorNoKernelImageForDevice);
    if (blocks.x < 1 || blocks.y < 1 || blocks.z < 1 || blocks.x > 0x7fffffffu ||
        blocks.y > 65535 || blocks.z > 65535 || threads.x < 1 || threads.y < 1 || threads.z < 1 ||
        threads.x > 1024 || threads.y > 1024 || threads.z > 64 ||
        threads.x * threads.y * threads.z > 1024)
        return result(cudaErrorInvalidConfiguration);
    return cudaSuccess;
}

void run_kernel(const kernel_launch &launch, void *arguments) {
    run.launch = &launch;
    run.arguments = arguments;
    run.threads = launch.threads.x * launch.threads.y * launch.threads.z;
    run.blocks_left = (uint64_t)launch.blocks.x * launch.blocks.y * launch.blocks.z;
    run.block_order.draw(run.blocks_left);
    run.warps.resize((run.threads + WARP - 1) / WARP);
    here.threads = launch.threads;
    here.blocks = launch.blocks;
    begin_block();
    for (;;) {
        if (!run.ready.empty()) {
            kernel_thread *next = run.ready.back();
            run.ready.pop_back();
            go_on(next);
        } else if (run.begun < run.threads || (run.ended == run.threads && run.blocks_left)) {
            if (idle.empty())
                idle.push_back(new kernel_thread(fibre_body));
            kernel_thread *next = idle.back();
            idle.pop_back();
            enter(next);
        } else if (run.ended == run.threads) {
            return;
        } else {
            stuck();
        }
    }
}

} // namespace emulated
