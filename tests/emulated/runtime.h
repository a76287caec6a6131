/* The parts of the CUDA runtime's stand-in, for one another: memory (memory.cc), the queue of
 * device work (queue.cc), streams and events (streams.cc), capture and graphs (capture.cc), the
 * device and its knobs (gpu.cc), copies (copies.cc), texts and counts (report.cc). One lock guards
 * all of it, device work included. */
#ifndef LOCKSTEP_TESTS_EMULATED_RUNTIME_H
#define LOCKSTEP_TESTS_EMULATED_RUNTIME_H

#include "emulated.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace emulated {

// Recursive; pause() lets all of it go for a moment.
class device_lock {
  public:
    void lock() { mutex.lock(), depth++; }
    void unlock() { depth--, mutex.unlock(); }
    void pause();

  private:
    std::recursive_mutex mutex;
    int depth = 0;
};
device_lock &lock();
using locked = std::lock_guard<device_lock>;

// --- report.cc

// Takes the lock; a violation where device work calls the runtime. Made first in every cuda*.
class api_call {
  public:
    explicit api_call(const char *name);

  private:
    locked guard;
};

// The thread's last error becomes `status` where that is one; returns it.
cudaError_t result(cudaError_t status);

// --- queue.cc

// A piece of work as it was enqueued or recorded; run any number of times.
struct piece {
    std::string label;
    emulated_work work;
    std::vector<char> context;
};

// A context to run a piece with, made at its first call.
class run_state {
  public:
    emulated_progress call(const piece &what);

  private:
    std::unique_ptr<char[]> copy;
};

// A point in a stream: an event's record.
struct mark {
    bool done = false;
    double seconds = 0; // when it was passed
    cudaStream_t stream = nullptr;
};

enum class progress { done, some, again };

// What a stream's queue holds.
class item {
  public:
    virtual ~item() = default;
    virtual const char *label() const = 0;
    // False: waits for `needs()`.
    virtual bool runnable() const { return true; }
    virtual const mark *needs() const { return nullptr; }
    virtual progress run() = 0;
};

// Puts an item at the end of a stream's queue; some device work may run.
void enqueue(cudaStream_t stream, std::unique_ptr<item> what);
void enqueue_record(cudaStream_t stream, std::shared_ptr<mark> where);
void enqueue_wait(cudaStream_t stream, std::shared_ptr<mark> where);
// Runs device work until the mark, the stream, all streams are done.
void run_until(const mark &where);
void run_stream(cudaStream_t stream);
void run_all();
// Perhaps runs something: what a query does.
void run_some();
// True while device work runs (on whichever thread holds the lock).
bool working();
const char *working_label();
class working_on { // the label of what runs now
  public:
    explicit working_on(const char *label);
    ~working_on();

  private:
    const char *before;
};

// --- streams.cc

struct capture;

} // namespace emulated

struct CUstream_st {
    std::deque<std::unique_ptr<emulated::item>> queue;
    bool destroyed = false;
    emulated::capture *recording = nullptr;
    std::vector<int> tail; // while recording: the nodes that the next one follows
    int number = 0;        // the process's first stream is 1
    int priority = 0;      // the lower, the sooner
};

struct CUevent_st {
    unsigned flags = 0;
    std::shared_ptr<emulated::mark> last; // null: never recorded
    uint64_t capture = 0;                 // not 0: last recorded in this capture
    std::vector<int> tail;
};

namespace emulated {

CUstream_st *stream_of(cudaStream_t stream, const char *what); // NULL: the default stream
std::vector<CUstream_st *> &streams();                         // all, the default one first
void forget_if_finished(CUstream_st *stream);

// --- capture.cc

// cudaSuccess, or the error for a call that may not stand in the calling thread's capture, which
// it spoils.
cudaError_t allowed_now(void);
// The same for a call that asks about `stream` (or all, where NULL stands for none).
cudaError_t allowed_on(CUstream_st *stream);
capture *capture_by_id(uint64_t id); // null: ended
uint64_t capture_id(const capture *which);
void spoil(capture *which);
// Records a piece as a node.
cudaError_t record(CUstream_st *stream, piece what);
cudaError_t record_event(CUstream_st *stream, CUevent_st *event);
cudaError_t record_wait(CUstream_st *stream, CUevent_st *event);

// Where a node was recorded: its stream's number and priority.
struct node_place {
    int stream, priority;
};

// --- graph_text.cc

void write_graph(const std::vector<piece> &pieces, const std::vector<std::vector<int>> &after,
                 const std::vector<node_place> &places);

// --- memory.cc

enum class place { pageable, pinned, device };
place place_of(const void *pointer);
std::string describe(const void *pointer); // "device memory #3 (4096 bytes) at offset 16"
// A window in which device memory is accessible.
class memory_open {
  public:
    memory_open();
    ~memory_open();
};
// At most `bytes` bytes are touched: by the work that runs, else by work to come.
void check_range(const void *pointer, size_t bytes, place expected, const char *what);
// An address whose memory is made and unmade later, in stream order: device work whose context is
// the address.
cudaError_t promise_memory(void **out, size_t bytes, bool pooled);
emulated_progress make_memory(void *context);
emulated_progress unmake_memory(void *context);
void check_allocated(const void *memory, const char *call); // a violation where it is not
size_t memory_used();
size_t memory_most_used(); // at once, so far
// What freed memory the pool keeps, in pieces that serve no larger allocation; trim: gives it back.
size_t memory_kept();
void trim_memory();
void add_pinned(void *memory, size_t bytes);
bool remove_pinned(void *memory); // false: it was none

// --- gpu.cc

size_t memory_bytes();    // of the GPU
cudaError_t use_device(); // cudaSuccess where there is a usable GPU; makes its context
int current_device();

} // namespace emulated

#endif
