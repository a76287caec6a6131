/* What lies in a file instead of memory (mode/offload_file.h, frames.h, store_lend.c): the same
 * values as beside it, through few frames and in any order; and each failure of the file in a line.
 * pread and pwrite are this program's own, so that they can fail. */
#include "mode/frames.h"
#include "mode/store_memory.h"

#include "../check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LENGTH = 3000, PIECES = 5, FRAMES = 6, LARGEST = 700 };

static device *ref;
static device_stream *stream;
static ls_error error;
static int fails_with;  /* errno of the next calls; 0: none */
static size_t at_most;  /* bytes that a call moves; 0: all */
static bool file_ended; /* nothing more can be read */

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
    if (fails_with) {
        errno = fails_with;
        return -1;
    }
    if (at_most > 0 && count > at_most)
        count = at_most;
    return syscall(SYS_pwrite64, file, bytes, count, at);
}

ssize_t pread(int file, void *bytes, size_t count, off_t at) {
    if (fails_with) {
        errno = fails_with;
        return -1;
    }
    if (file_ended)
        return 0;
    if (at_most > 0 && count > at_most)
        count = at_most;
    return syscall(SYS_pread64, file, bytes, count, at);
}

/* ---- the file */

static offload_file *open_file(size_t bytes) {
    offload_file *file = NULL;
    error = (ls_error){0};
    CHECK(offload_open("/tmp", bytes, &file, &error) == LS_OK, "%s", error.text);
    return file;
}

/* More requests than the first ring has, each of what the one before wrote. */
static void test_order(void) {
    enum { TURNS = 300, BYTES = 1000 };
    static char out[TURNS][BYTES], in[TURNS][BYTES];
    offload_file *file = open_file(BYTES);
    offload_ticket last = 0;
    at_most = 333;
    for (int turn = 0; turn < TURNS; turn++) {
        memset(out[turn], turn + 1, BYTES);
        CHECK(offload_write(file, 0, BYTES, out[turn], &last, &error) == LS_OK, "%s", error.text);
        CHECK(offload_read(file, 0, BYTES, in[turn], &last, &error) == LS_OK, "%s", error.text);
    }
    CHECK(offload_wait(file, last, &error) == LS_OK, "%s", error.text);
    at_most = 0;
    CHECK(memcmp(in, out, sizeof in) == 0, "other bytes");
    CHECK(offload_totals_of(file).read_bytes == TURNS * BYTES &&
              offload_totals_of(file).written_bytes == TURNS * BYTES,
          "totals");
    offload_close(file);
    check_case("a read sees the write before it, in pieces too");
}

static void fails(const char *name, bool writes, const char *expected) {
    char bytes[64] = "";
    offload_file *file = open_file(sizeof bytes);
    offload_ticket ticket;
    int status = writes ? offload_write(file, 0, sizeof bytes, bytes, &ticket, &error)
                        : offload_read(file, 0, sizeof bytes, bytes, &ticket, &error);
    if (status == LS_OK)
        status = offload_wait(file, ticket, &error);
    CHECK(status == LS_FAILED && strstr(error.text, "--offload-dir /tmp: ") &&
              strstr(error.text, expected),
          "%d %s", status, error.text);
    fails_with = 0;
    file_ended = false;
    error = (ls_error){0};
    CHECK(offload_read(file, 0, sizeof bytes, bytes, &ticket, &error) == LS_FAILED,
          "it went on after a failure");
    offload_close(file);
    check_case(name);
}

static void test_failures(void) {
    offload_file *none = NULL;
    fails_with = ENOSPC;
    fails("a disk that is full", true, "cannot write 64 bytes of state: No space left on device");
    fails_with = EIO;
    fails("a write that fails", true, "cannot write 64 bytes of state: Input/output error");
    fails_with = EIO;
    fails("a read that fails", false, "cannot read 64 bytes of state: Input/output error");
    file_ended = true;
    fails("a file that is cut", false, "ends 64 bytes early");
    error = (ls_error){0};
    CHECK(offload_open("/nowhere", 1, &none, &error) == LS_BAD_INPUT &&
              strstr(error.text, "--offload-dir /nowhere: cannot make a file there: No such file"),
          "%s", error.text);
    error = (ls_error){0};
    CHECK(offload_open("/tmp", (size_t)1 << 50, &none, &error) == LS_FAILED &&
              strstr(error.text, "no room for 1125899906.8 MB of state"),
          "%s", error.text);
    error = (ls_error){0};
    check_case("no folder, no room");
}

/* ---- frames */

/* Pages are announced, lent out of that order, changed and lent again. */
static void test_frames(void) {
    enum { PAGES = 7, COUNT = 3, BYTES = 256 };
    char memory[COUNT * BYTES], *at;
    frames *self = NULL;
    offload_file *file = open_file(PAGES * BYTES);
    CHECK(frames_create(file, memory, COUNT, BYTES, &self, &error) == LS_OK, "%s", error.text);
    for (size_t round = 0; round < 3; round++) {
        for (size_t page = 0; page < PAGES; page++)
            for (int twice = 0; twice < 2; twice++)
                CHECK(frames_expect(self, (frame_page){page * BYTES, 200, 8}, &error) == LS_OK,
                      "%s", error.text);
        for (size_t turn = 0; turn < PAGES; turn++) {
            size_t page = turn * 3 % PAGES;
            frame_page it = {page * BYTES, 200, 8};
            CHECK(frames_lend(self, it, true, &at, &error) == LS_OK, "%s", error.text);
            CHECK(at[0] == (round ? (char)(10 * page + round) : 0) && at[199] == at[0],
                  "page %zu has %d in round %zu", page, at[0], round);
            memset(at, (int)(10 * page + round + 1), 200);
            CHECK(frames_return(self, at, true, &error) == LS_OK, "%s", error.text);
        }
        frames_forget(self);
    }
    for (int index = 0; index <= COUNT; index++) {
        frame_page it = {(size_t)index * BYTES, 200, 8};
        int status = frames_lend(self, it, false, &at, &error);
        CHECK(status == (index < COUNT ? LS_OK : LS_FAILED), "frame %d: %d", index, status);
    }
    CHECK(strstr(error.text, "all 3 frames"), "%s", error.text);
    frames_destroy(self);
    offload_close(file);
    check_case("pages through few frames");
}

/* ---- a store */

static const store_span pieces[PIECES] = {{3, 61}, {64, 700}, {764, 36}, {1500, 700}, {2200, 800}};
static const bool in[PIECES] = {false};
static const bool some[PIECES] = {false, true, true, false, true};

/* Parameters and two moments, `out` of each of them in a file. */
static store *make(const bool *out) {
    static const char *const names[] = {"first", "second", NULL};
    static const store_kind kinds[] = {STORE_PARAMETERS, STORE_MOMENTS, STORE_MOMENTS + 1};
    store_settings settings = {
        .device = ref, .parameter_count = LENGTH, .moments = names, .rows = 4};
    store *made = NULL;
    error = (ls_error){0};
    CHECK(store_create(&settings, &made, &error) == LS_OK, "%s", error.text);
    for (int kind = 0; kind < 3; kind++)
        CHECK(store_hold_paged(made, kinds[kind], pieces, out, PIECES, &error) == LS_OK, "%s",
              error.text);
    CHECK(store_update(made, pieces, PIECES, &error) == LS_OK, "%s", error.text);
    CHECK(store_open_file(made, "/tmp", FRAMES, LARGEST + 100, &error) == LS_OK, "%s", error.text);
    return made;
}

/* What a step, a resume, an evaluation of an average and a checkpoint do with it. */
static void use(store *self, float *values, fingerprint *print) {
    const store_span whole = {0, LENGTH}, middle = {40, 1600};
    float *copy = values + LENGTH;
    for (int i = 0; i < LENGTH; i++)
        values[i] = (float)i;
    store_kind first = STORE_MOMENTS, second = STORE_MOMENTS + 1;
    CHECK(store_write(self, stream, STORE_PARAMETERS, whole, values, &error) == LS_OK, "write");
    CHECK(store_write(self, stream, first, middle, values + 40, &error) == LS_OK, "part");
    for (int step = 0; step < 2; step++)
        for (int index = store_slice_count(self) - 1; index >= 0; index--) {
            store_slice slice;
            CHECK(store_lend_update(self, index, STORE_UPDATED, STORE_UPDATED, &slice, &error) ==
                      LS_OK,
                  "%s", error.text);
            size_t at = slice.span.first - slice.origin;
            CHECK((uintptr_t)slice.parameters % 256 == 0, "not aligned");
            for (size_t i = at; i < at + slice.span.count; i++) {
                slice.moments[0][i] += 1;
                slice.moments[1][i] += slice.parameters[i];
                slice.parameters[i] -= 2;
            }
            CHECK(store_return(self, STORE_UPDATED, &slice, &error) == LS_OK, "%s", error.text);
        }
    CHECK(store_swap(self, stream, STORE_PARAMETERS, second, &error) == LS_OK, "%s", error.text);
    CHECK(store_fingerprint(self, stream, STORE_PARAMETERS, print, &error) == LS_OK, "print");
    memset(values, 0, 4 * LENGTH * sizeof *values);
    CHECK(store_read(self, stream, STORE_PARAMETERS, whole, values, &error) == LS_OK, "read");
    CHECK(store_copy(self, stream, first, whole, copy, &error) == LS_OK, "copy");
    CHECK(store_clear(self, stream, first, &error) == LS_OK, "clear");
    CHECK(store_write(self, stream, first, (store_span){100, 10}, values, &error) == LS_OK,
          "write");
    CHECK(store_read(self, stream, first, whole, copy + LENGTH, &error) == LS_OK, "read");
    offload_ticket ticket;
    CHECK(store_fetch(self, stream, second, whole, copy + 2 * LENGTH, &ticket, &error) == LS_OK &&
              store_fetched(self, ticket, &error) == LS_OK,
          "%s", error.text);
}

static void test_store(void) {
    static float expected[4 * LENGTH], found[4 * LENGTH];
    fingerprint one, other;
    store *here = make(in), *away = make(some);
    CHECK(store_file_bytes(here) == 0, "%zu bytes of nothing", store_file_bytes(here));
    CHECK(store_file_bytes(away) >= 3 * 1536 * sizeof(float) &&
              store_bytes(away, STORE_PARAMETERS) < 800 * sizeof(float) + 1024,
          "%zu bytes away, %zu here", store_file_bytes(away), store_bytes(away, STORE_PARAMETERS));
    CHECK(!store_at(away, STORE_PARAMETERS, 70, 10), "what is out has an address");
    CHECK(store_piece_end(away, 800 - 1) == 800, "a piece ends elsewhere");
    use(here, expected, &one);
    use(away, found, &other);
    CHECK(memcmp(expected, found, sizeof expected) == 0, "other values");
    CHECK(memcmp(&one, &other, sizeof one) == 0, "another print");
    CHECK(store_file_totals(away).written_bytes > 0 && store_file_totals(here).read_bytes == 0,
          "totals");
    store_destroy(here);
    store_destroy(away);
    check_case("a store of which some is out has the values of one of which nothing is");
}

int main(void) {
    device_request request = {.local_size = 1, .threads = 1};
    if (device_open("ref", &request, &ref, &error) != LS_OK ||
        ref->is->stream_create(ref, &stream, &error) != LS_OK)
        return 1;
    test_order();
    test_failures();
    test_frames();
    test_store();
    ref->is->stream_destroy(ref, stream);
    device_close(ref);
    return check_done();
}
