// The queue of device work: what waits in the streams, and in which order it runs. Any order that
// keeps each stream's own and every wait for an event may come; the seed draws one.
// LOCKSTEP_EMULATED_ORDER: "eager" runs all that can run at once, "late" only what somebody waits
// for, "random" (the default) anything in between, drawn anew each time.
#include "runtime.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace emulated {

static const char *label_now;
bool working() {
    return label_now;
}
const char *working_label() {
    return label_now ? label_now : "nothing";
}
working_on::working_on(const char *label) : before(label_now) {
    label_now = label;
}
working_on::~working_on() {
    label_now = before;
}

emulated_progress run_state::call(const piece &what) {
    if (!copy) {
        copy.reset(new char[what.context.size() + 1]);
        if (!what.context.empty())
            memcpy(copy.get(), what.context.data(), what.context.size());
    }
    working_on now(what.label.c_str());
    if (getenv("LOCKSTEP_EMULATED_TRACE"))
        fprintf(stderr, "emulated: %s\n", what.label.c_str());
    return what.work(copy.get());
}

namespace {

enum class order { eager, random, late };

order chosen_order() {
    static const char *text = getenv("LOCKSTEP_EMULATED_ORDER");
    if (text && strcmp(text, "eager") == 0)
        return order::eager;
    if (text && strcmp(text, "late") == 0)
        return order::late;
    return order::random;
}

class piece_item : public item {
  public:
    explicit piece_item(piece what) : what(std::move(what)) {}
    const char *label() const override { return what.label.c_str(); }
    progress run() override {
        return state.call(what) == EMULATED_DONE ? progress::done : progress::again;
    }

  private:
    piece what;
    run_state state;
};

class record_item : public item {
  public:
    explicit record_item(std::shared_ptr<mark> where) : where(std::move(where)) {}
    const char *label() const override { return "the record of an event"; }
    progress run() override {
        timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        where->seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
        where->done = true;
        return progress::done;
    }

  private:
    std::shared_ptr<mark> where;
};

class wait_item : public item {
  public:
    explicit wait_item(std::shared_ptr<mark> where) : where(std::move(where)) {}
    const char *label() const override { return "the wait for an event"; }
    bool runnable() const override { return where->done; }
    const mark *needs() const override { return where.get(); }
    progress run() override { return progress::done; }

  private:
    std::shared_ptr<mark> where;
};

bool can_run(const CUstream_st *stream) {
    return !stream->queue.empty() && stream->queue.front()->runnable();
}

progress run_head(CUstream_st *stream) {
    item &head = *stream->queue.front();
    progress how = head.run();
    if (how == progress::done) {
        stream->queue.pop_front();
        forget_if_finished(stream);
    }
    return how;
}

// Runs the head of a stream drawn among those that can run. progress::done: there is none.
progress run_any() {
    std::vector<CUstream_st *> able;
    for (CUstream_st *stream : streams())
        if (can_run(stream))
            able.push_back(stream);
    if (able.empty())
        return progress::done;
    return run_head(able[emulated_random((unsigned)able.size())]) == progress::again
               ? progress::again
               : progress::some;
}

// The stream whose head must run next for `stream` to move on: itself, or one it waits for.
CUstream_st *first_needed(CUstream_st *stream) {
    size_t steps = 0;
    while (!can_run(stream)) {
        const mark *needs = stream->queue.empty() ? nullptr : stream->queue.front()->needs();
        if (!needs || ++steps > streams().size())
            emulated_violation("a stream waits for what never comes");
        stream = needs->stream;
    }
    return stream;
}

// Runs until done(): only what `stream` (NULL: all) needs, or now and then something else too.
template <class Done> void run_while(CUstream_st *stream, Done done) {
    if (done())
        return;
    memory_open window;
    bool minimal = stream && (chosen_order() == order::late ||
                              (chosen_order() == order::random && emulated_random(2)));
    while (!done()) {
        progress how = minimal ? run_head(first_needed(stream)) : run_any();
        if (how == progress::again) {
            lock().pause(); // other ranks and threads must move
            // What is waited for outside may need another stream's work first.
            run_any();
        }
        if (!minimal && how == progress::done && !done())
            emulated_violation("streams wait for one another");
    }
}

} // namespace

void run_some() {
    unsigned pieces;
    switch (chosen_order()) {
    case order::eager:
        pieces = 1u << 30;
        break;
    case order::late:
        pieces = 1;
        break;
    default:
        pieces = 1 + emulated_random(6);
    }
    bool any = false;
    for (CUstream_st *stream : streams())
        any |= can_run(stream);
    if (!any)
        return;
    memory_open window;
    while (pieces-- > 0 && run_any() == progress::some)
        ;
}

void enqueue(cudaStream_t stream, std::unique_ptr<item> what) {
    stream_of(stream, "enqueue")->queue.push_back(std::move(what));
    if (chosen_order() == order::eager || (chosen_order() == order::random && !emulated_random(4)))
        run_some();
}

void enqueue_record(cudaStream_t stream, std::shared_ptr<mark> where) {
    where->stream = stream_of(stream, "cudaEventRecord");
    enqueue(stream, std::make_unique<record_item>(std::move(where)));
}

void enqueue_wait(cudaStream_t stream, std::shared_ptr<mark> where) {
    enqueue(stream, std::make_unique<wait_item>(std::move(where)));
}

void run_until(const mark &where) {
    run_while(where.stream, [&] { return where.done; });
}

void run_stream(cudaStream_t stream) {
    // What other threads enqueue meanwhile is not waited for.
    auto end = std::make_shared<mark>();
    CUstream_st *which = stream_of(stream, "a stream");
    if (which->queue.empty())
        return;
    end->stream = which;
    which->queue.push_back(std::make_unique<record_item>(end));
    run_until(*end);
}

void run_all() {
    auto idle = [] {
        for (CUstream_st *stream : streams())
            if (!stream->queue.empty())
                return false;
        return true;
    };
    run_while(nullptr, idle);
}

} // namespace emulated

using namespace emulated;

extern "C" cudaError_t emulated_enqueue(cudaStream_t stream, emulated_work work,
                                        const void *context, size_t bytes, const char *label) {
    locked guard(lock());
    if (working())
        emulated_violation("'%s' was enqueued from device work", label);
    const char *data = (const char *)context;
    piece what{label, work, std::vector<char>(data, data + bytes)};
    CUstream_st *where = stream_of(stream, label);
    if (where->recording)
        return result(record(where, std::move(what)));
    enqueue(where, std::make_unique<piece_item>(std::move(what)));
    return cudaSuccess;
}
