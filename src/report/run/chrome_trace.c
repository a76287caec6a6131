#include "report/run/chrome_trace.h"

#include "base/atomic_file.h"
#include "base/text_buffer.h"
#include "report/facts/files.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows of the format: collectives that overlap have lanes of their own. */
enum { TID_COMPUTE = 0, TID_LOADER = 1, TID_LANES = 2, MOST_LANES = 64 };

/* Whole nanoseconds: rounding both ends alike keeps what was nested nested. */
static void add_microseconds(text_buffer *out, const char *key, int64_t nanoseconds) {
    text_add(out, ",\"%s\":%" PRId64 ".%03" PRId64, key, nanoseconds / 1000, nanoseconds % 1000);
}

static const char *category_of(const span *self) {
    static const char *const phases[] = {"load",    "stage",    "data",
                                         "forward", "backward", "optimizer"};
    if (self->row != ROW_COMPUTE)
        return self->row == ROW_LOADER ? "loader" : "collective";
    if (strcmp(self->name, "communication") == 0)
        return "wait";
    if (self->depth == 0)
        return "step";
    for (size_t index = 0; index < sizeof phases / sizeof phases[0]; index++)
        if (self->depth == 1 && strcmp(self->name, phases[index]) == 0)
            return "phase";
    if (strcmp(self->name, "loss") == 0)
        return "loss";
    if (strcmp(self->name, "optimizer") == 0)
        return "update"; /* of a part, while backward goes on */
    return self->depth == 2 ? "layer" : "pass";
}

static void add_span(text_buffer *out, const span *self, int tid) {
    int64_t begin = llround(self->begin * 1e9), end = llround(self->end * 1e9);
    text_add(out, ",\n{\"ph\":\"X\",\"name\":");
    text_add_json(out, self->name);
    text_add(out, ",\"cat\":\"%s\",\"pid\":%" PRId32 ",\"tid\":%d", category_of(self), self->rank,
             tid);
    add_microseconds(out, "ts", begin);
    add_microseconds(out, "dur", end - begin);
    text_add(out, ",\"args\":{\"step\":%" PRId32, self->step);
    if (self->row == ROW_COMMUNICATION)
        text_add(out, ",\"bytes\":%" PRId64, self->bytes);
    text_add(out, "}}");
}

/* The first lane that is free when the span begins; the last one where none is. */
static int lane_of(const span *self, double ends[MOST_LANES], int *lanes) {
    int lane = 0;
    while (lane < *lanes && llround(ends[lane] * 1e9) > llround(self->begin * 1e9))
        lane++;
    if (lane == *lanes && lane < MOST_LANES)
        (*lanes)++;
    lane = lane < MOST_LANES ? lane : MOST_LANES - 1;
    ends[lane] = self->end;
    return lane;
}

static void add_name(text_buffer *out, const char *what, int pid, int tid, const char *name) {
    text_add(out,
             ",\n{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%d,\"tid\":%d,\"args\":{\"name\":", what,
             pid, tid);
    text_add_json(out, name);
    text_add(out, "}}");
}

static void add_order(text_buffer *out, int pid, int tid, int order) {
    text_add(out,
             ",\n{\"ph\":\"M\",\"name\":\"thread_sort_index\",\"pid\":%d,\"tid\":%d,\"args\":{"
             "\"sort_index\":%d}}",
             pid, tid, order);
}

static void add_row(text_buffer *out, int rank, int tid, int order, const char *name) {
    add_name(out, "thread_name", rank, tid, name);
    add_order(out, rank, tid, order);
}

static void add_rank_names(text_buffer *out, const run_facts *facts, int rank, int lanes,
                           bool loads) {
    char name[400];
    const rank_facts *self = facts->rank_list ? &facts->rank_list[rank] : NULL;
    format_plain(name, sizeof name, "rank %d (%s, %.60s)", rank, self ? self->host : "-",
                 self ? self->device : "-");
    add_name(out, "process_name", rank, 0, name);
    add_row(out, rank, TID_COMPUTE, 0, "compute");
    for (int lane = 0; lane < lanes; lane++) {
        format_plain(name, sizeof name, lane ? "collectives %d" : "collectives", lane + 1);
        add_row(out, rank, TID_LANES + lane, 1 + lane, name);
    }
    if (loads)
        add_row(out, rank, TID_LOADER, 1 + MOST_LANES, "loader thread");
}

static int by_begin(const void *a, const void *b) {
    const span *x = *(const span *const *)a, *y = *(const span *const *)b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* In the order in which they began, whatever order their ends were seen in. */
static int add_collectives(text_buffer *out, const span **spans, size_t count) {
    double ends[MOST_LANES];
    int lanes = 0;
    qsort(spans, count, sizeof *spans, by_begin);
    for (size_t index = 0; index < count; index++)
        add_span(out, spans[index], TID_LANES + lane_of(spans[index], ends, &lanes));
    return lanes;
}

static void add_rank(text_buffer *out, const run_facts *facts, int rank, const span *spans,
                     size_t count, const span **scratch) {
    size_t collectives = 0;
    bool loads = false;
    for (size_t index = 0; index < count; index++) {
        const span *self = &spans[index];
        if (self->rank != rank)
            continue;
        loads |= self->row == ROW_LOADER;
        if (self->row == ROW_COMMUNICATION)
            scratch[collectives++] = self;
        else
            add_span(out, self, self->row == ROW_LOADER ? TID_LOADER : TID_COMPUTE);
    }
    int lanes = add_collectives(out, scratch, collectives);
    add_rank_names(out, facts, rank, lanes, loads);
}

int chrome_trace_write(const char *folder, const run_facts *facts, const span *spans, size_t count,
                       const char *note, ls_error *error) {
    char path[4200];
    text_buffer file = {0};
    const span **scratch = malloc((count + 1) * sizeof *scratch);
    if (!scratch)
        return ls_fail(error, LS_FAILED, "%s: no memory for " TRACE_FILE, folder);
    format_plain(path, sizeof path, "%s/" TRACE_FILE, folder);
    text_add(&file, "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"lockstep\":");
    text_add_json(&file, facts->lockstep_version);
    text_add(&file, ",\"command\":");
    text_add_json(&file, facts->command_line);
    text_add(&file, ",\"note\":");
    text_add_json(&file, note);
    text_add(&file,
             "},\n\"traceEvents\":[\n{\"ph\":\"M\",\"name\":\"process_sort_index\",\"pid\":0,"
             "\"tid\":0,\"args\":{\"sort_index\":0}}");
    for (int rank = 0; rank < facts->ranks; rank++)
        add_rank(&file, facts, rank, spans, count, scratch);
    text_add(&file, "\n]}\n");
    free(scratch);
    int status = text_buffer_check(&file, error);
    if (status == LS_OK)
        status = atomic_file_write(path, file.bytes, file.length, error);
    text_free(&file);
    return status;
}
