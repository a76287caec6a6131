/* Collectives on memory that the comm gave: `mpirun -n N test_comm_memory [KIND]`, as test_comm.c.
 * On host memory also as if the ranks were on several nodes (each is told another node's name), and
 * where a rank cannot share. */
#include "comm_fixture.h"
#include "launch/lifeline.h"

#include "../check.h"

#include <stdlib.h>
#include <string.h>

enum { SPACE = 300000, MOST_RANKS = 64 };

static const char *layout; /* for the cases' names */

static void finish(comm_work *work) {
    CHECK(all->is->wait(all, stream, work, &error) == LS_OK, "wait");
}

static void begin_allreduce(void *buffer, int64_t count, dtype type, reduction how,
                            comm_work *work) {
    CHECK(all->is->allreduce(all, stream, buffer, (size_t)count, type, how, work, &error) == LS_OK,
          "begin");
}

static char *at(const array *buffer, dtype type, int64_t index) {
    return (char *)buffer->data + (size_t)index * dtype_bytes(type);
}

static void end_case(const char *name) {
    char text[160];
    snprintf(text, sizeof text, "%s: %s", layout, name);
    END_CASE(text);
}

static void test_zeros(void) {
    for (int time = 0; time < 3; time++) {
        array buffer = array_of_comm(DTYPE_U8, SPACE), other = array_of_comm(DTYPE_U8, 1);
        int64_t wrong = 0;
        CHECK((uintptr_t)buffer.data % 256 == 0, "alignment");
        array_take(&buffer);
        for (int64_t index = 0; index < SPACE; index++)
            wrong += ((uint8_t *)buffer.host)[index] != 0;
        CHECK(wrong == 0, "time %d: %lld bytes are not 0", time, (long long)wrong);
        memset(buffer.host, 0xa5, SPACE);
        array_give(&buffer);
        array_free(time % 2 ? &buffer : &other); /* in any order */
        array_free(time % 2 ? &other : &buffer);
    }
    end_case("zeros, also after release");
}

/* Two arrays written in turn: what the others read is what was offered, while this rank already
 * writes the other array. */
static void test_offer(void) {
    enum { COUNT = 5000, TURNS = 6 };
    array arrays[2] = {array_of_comm(DTYPE_I32, COUNT), array_of_comm(DTYPE_I32, COUNT)};
    int64_t wrong = 0;
    bool reached = all->is->peer && all->is->peer(all, arrays[0].data, all->rank);
    for (int turn = 0; reached && turn < TURNS; turn++) {
        comm_work work = {0};
        int32_t *mine = arrays[turn % 2].data;
        for (int i = 0; i < COUNT; i++)
            mine[i] = turn * 1000000 + all->rank * 10000 + i;
        CHECK(all->is->offer(all, stream, mine, COUNT * sizeof *mine, &work, &error) == LS_OK,
              "offer");
        finish(&work);
        for (int rank = 0; rank < all->size; rank++) {
            const int32_t *theirs = all->is->peer(all, mine, rank);
            for (int i = 0; theirs && i < COUNT; i++)
                wrong += theirs[i] != turn * 1000000 + rank * 10000 + i;
            wrong += !theirs;
        }
    }
    CHECK(wrong == 0, "%lld elements are not what was offered", (long long)wrong);
    if (all->size > 1 && strcmp(layout, "one node") == 0 && all->is->offer)
        CHECK(reached, "the ranks of one node do not reach each other");
    array_free(&arrays[0]), array_free(&arrays[1]);
    end_case("what is offered is read where it lies");
}

/* Around the range nothing changes. */
static void check_range(array *buffer, dtype type, int64_t from, int64_t count, reduction how,
                        int64_t space) {
    int64_t wrong = 0, touched = 0;
    array_take(buffer);
    for (int64_t index = 0; index < space; index++) {
        double found = load(buffer->host, type, index);
        if (index >= from && index < from + count)
            wrong += found != expected_of(index, how);
        else
            touched += found != value_of(all->rank, index);
    }
    CHECK(wrong == 0 && touched == 0,
          "%s, %lld from %lld, reduction %d: %lld wrong, %lld touched outside", dtype_name(type),
          (long long)count, (long long)from, how, (long long)wrong, (long long)touched);
}

static void test_allreduce(void) {
    static const dtype types[] = {DTYPE_F32, DTYPE_F64, DTYPE_I32, DTYPE_I64, DTYPE_BF16};
    static const int64_t counts[] = {0, 1, 2, 3, 5, 63, 64, 65, 1000, 4096 + 3},
                         offsets[] = {0, 1, 15, 16, 1003};
    enum { TYPES = 5, COUNTS = 10, OFFSETS = 5, SMALL = 6000 };
    for (int t = 0; t < TYPES; t++) {
        array buffer = array_of_comm(types[t], SMALL);
        for (int c = 0; c < COUNTS * OFFSETS; c++) {
            reduction how = (reduction)(c % 3);
            int64_t count = counts[c / OFFSETS], from = offsets[c % OFFSETS];
            comm_work work = {0};
            for (int64_t index = 0; index < SMALL; index++)
                store_value(buffer.host, types[t], index, value_of(all->rank, index));
            array_give(&buffer);
            begin_allreduce(at(&buffer, types[t], from), count, types[t], how, &work);
            finish(&work);
            check_range(&buffer, types[t], from, count, how, SMALL);
        }
        array_free(&buffer);
    }
    end_case("allreduce of ranges");
}

static array filled(void) {
    array buffer = array_of_comm(DTYPE_F32, SPACE);
    for (int64_t index = 0; index < SPACE; index++)
        store_value(buffer.host, DTYPE_F32, index, value_of(all->rank, index));
    array_give(&buffer);
    return buffer;
}

static void test_large(void) {
    array buffer = filled();
    comm_work work = {0};
    begin_allreduce(at(&buffer, DTYPE_F32, 7), SPACE - 7, DTYPE_F32, REDUCTION_SUM, &work);
    finish(&work);
    check_range(&buffer, DTYPE_F32, 7, SPACE - 7, REDUCTION_SUM, SPACE);
    array_free(&buffer);
    end_case("allreduce of all");
}

/* Rank r has r parts of `part`. */
static void ragged(int64_t *counts, int64_t *first, int64_t part) {
    first[0] = 0;
    for (int rank = 0; rank < all->size; rank++) {
        counts[rank] = part * (all->size == 1 ? 1 : rank);
        first[rank + 1] = first[rank] + counts[rank];
    }
}

static void test_parts(void) {
    int64_t counts[MOST_RANKS], first[MOST_RANKS + 1];
    for (int64_t part = 1; part < 20000; part = part * 47 + 5) {
        array buffer = filled();
        comm_work work = {0};
        int me = all->rank;
        ragged(counts, first, part);
        CHECK(all->is->reduce_scatter(all, stream, buffer.data, counts, DTYPE_F32, REDUCTION_SUM,
                                      &work, &error) == LS_OK,
              "begin");
        finish(&work);
        array_take(&buffer);
        CHECK(wrong_of(&buffer, DTYPE_F32, first[me], first[me + 1], REDUCTION_SUM) == 0,
              "reduce_scatter, part of %lld", (long long)part);
        CHECK(all->is->allgather(all, stream, buffer.data, counts, DTYPE_F32, &work, &error) ==
                  LS_OK,
              "begin");
        finish(&work);
        array_take(&buffer);
        CHECK(wrong_of(&buffer, DTYPE_F32, 0, first[all->size], REDUCTION_SUM) == 0,
              "allgather, part of %lld", (long long)part);
        array_free(&buffer);
    }
    end_case("reduce_scatter, then allgather, ragged");
}

static void test_reduce(void) {
    for (int root = 0; root < all->size; root++) {
        array buffer = filled();
        comm_work work = {0};
        CHECK(all->is->reduce(all, stream, buffer.data, 70001, DTYPE_F32, REDUCTION_SUM, root,
                              &work, &error) == LS_OK,
              "begin");
        finish(&work);
        array_take(&buffer);
        if (all->rank == root)
            CHECK(wrong_of(&buffer, DTYPE_F32, 0, 70001, REDUCTION_SUM) == 0, "to %d", root);
        array_free(&buffer);
    }
    end_case("reduce, every root");
}

/* More calls than comm holds, 16 at a time, waited for in any order; some on memory of the host or
 * the device, and broadcasts, between them. */
static void test_many(void) {
    enum { CALLS = 75, AT_ONCE = 16, COUNT = SPACE / CALLS };
    array shared = filled(), own = array_filled(DTYPE_F32, SPACE, all->rank);
    comm_work works[AT_ONCE] = {{0}};
    for (int call = 0; call < CALLS + AT_ONCE; call++) {
        /* 16 and 5 have no common factor: every work's turn comes, late. */
        comm_work *work = &works[call % AT_ONCE];
        const array *buffer = call % 4 == 3 ? &own : &shared;
        finish(work);
        if (call >= CALLS)
            continue;
        begin_allreduce(at(buffer, DTYPE_F32, call * COUNT), COUNT, DTYPE_F32, REDUCTION_SUM, work);
        for (int turn = 0; turn < (call * 5 + all->rank * 3) % 7; turn++)
            CHECK(all->is->progress(all, &error) == LS_OK, "progress");
        if (call % 5 == all->rank % 5)
            finish(&works[(call * 5 + all->rank) % AT_ONCE]); /* not the oldest */
        if (call == 40)
            CHECK(all->is->barrier(all, &error) == LS_OK, "barrier");
    }
    array_take(&shared);
    array_take(&own);
    for (int call = 0; call < CALLS; call++)
        CHECK(wrong_of(call % 4 == 3 ? &own : &shared, DTYPE_F32, call * COUNT, (call + 1) * COUNT,
                       REDUCTION_SUM) == 0,
              "call %d", call);
    array_free(&shared);
    array_free(&own);
    end_case("many outstanding, waited for in any order");
}

/* Sums that depend on the order. */
static void test_same_bits(void) {
    enum { COUNT = 100003, TIMES = 4 };
    float *expected = calloc(COUNT, sizeof *expected);
    for (int time = 0; time < TIMES; time++) {
        array buffer = array_of_comm(DTYPE_F32, COUNT);
        comm_work work = {0};
        for (int index = 0; index < COUNT; index++)
            ((float *)buffer.host)[index] = 1.0F / (float)(1 + index + all->rank * 31);
        array_give(&buffer);
        for (int turn = 0; turn < (time * 5 + all->rank * 3) % 7; turn++)
            all->is->progress(all, &error);
        begin_allreduce(buffer.data, COUNT, DTYPE_F32, REDUCTION_SUM, &work);
        finish(&work);
        array_take(&buffer);
        if (time == 0)
            memcpy(expected, buffer.host, COUNT * sizeof *expected);
        if (time == 0 && control)
            comm_broadcast_bytes(control, expected, COUNT * sizeof *expected, 0, &error);
        CHECK(memcmp(expected, buffer.host, COUNT * sizeof *expected) == 0,
              "time %d: other bits than rank 0 had", time);
        array_free(&buffer);
    }
    free(expected);
    end_case("the same bits on every rank, every time");
}

static void test_all(const char *name) {
    layout = name;
    test_zeros();
    test_allreduce();
    test_large();
    test_parts();
    test_reduce();
    test_many();
    test_same_bits();
    test_offer();
}

/* ---- ranks that are told where they are */

static void open_with(const launch *here, int node, double deadline, comm **old) {
    static char host[300]; /* the comm keeps the pointer */
    comm *other = NULL;
    snprintf(host, sizeof host, "%s-%d", here->host, node);
    comm_settings settings = {.rank = here->rank,
                              .size = here->size,
                              .host = host,
                              .control = control,
                              .deadline_seconds = deadline};
    if (comm_open("mpi", &settings, &other, &error) != LS_OK)
        lifeline_fail(&error, 0);
    *old = all;
    all = other;
}

static void open_at(const launch *here, int node, comm **old) {
    open_with(here, node, 0, old);
}

static void close_again(comm *old) {
    comm_close(all);
    all = old;
}

static void expect_note(const char *expected) {
    array buffer = array_of_comm(DTYPE_F32, 1);
    CHECK(expected[0] ? strstr(all->note, expected) != NULL : !all->note[0],
          "the note: expected '%s', found '%s'", expected, all->note);
    array_free(&buffer);
    end_case("what the header will say");
}

static void test_nodes(const launch *here) {
    int half = (here->size + 1) / 2;
    struct {
        const char *name;
        int node;
        const char *note;
    } cases[] = {
        {"one node", 0, here->size == 1 ? "" : "shared memory inside a node"},
        {"a node a rank", here->rank, ""},
        {"two nodes, one after the other", here->rank / half,
         here->size < 3        ? ""
         : here->size % 2 == 0 ? "shared memory inside a node"
                               : "unlike numbers"},
        {"two nodes, in turn", here->rank % 2,
         here->size < 3        ? ""
         : here->size % 2 == 0 ? "shared memory inside a node"
                               : "unlike numbers"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        comm *old;
        open_at(here, cases[index].node, &old);
        layout = cases[index].name;
        expect_note(cases[index].note);
        test_all(cases[index].name);
        close_again(old);
    }
}

/* One rank cannot: then none does, all know why, and it works all the same. */
static void test_refusal(const launch *here) {
    comm *old;
    layout = "a rank that cannot share";
    open_at(here, 0, &old);
    if (here->rank == here->size - 1)
        setenv("LOCKSTEP_SHARED_MEMORY", "0", 1);
    char expected[96];
    snprintf(expected, sizeof expected, "no shared memory inside a node: rank %d: LOCKSTEP_SHARED",
             here->size - 1);
    expect_note(here->size == 1 ? "" : expected);
    test_large();
    unsetenv("LOCKSTEP_SHARED_MEMORY");
    array buffer = array_of_comm(DTYPE_F32, 1); /* and the next time it can */
    array_free(&buffer);
    expect_note(here->size == 1 ? "" : "shared memory inside a node");
    close_again(old);
}

static void test_unlike_places(const launch *here) {
    comm *old;
    comm_work work = {0};
    ls_error expected = {0};
    layout = "unlike places";
    open_at(here, 0, &old);
    array buffer = array_of_comm(DTYPE_F32, 100);
    int status = all->is->allreduce(all, NULL, at(&buffer, DTYPE_F32, all->rank), 10, DTYPE_F32,
                                    REDUCTION_SUM, &work, &expected);
    if (status == LS_OK)
        status = all->is->wait(all, NULL, &work, &expected);
    CHECK(here->size == 1 ? status == LS_OK
                          : status == LS_FAILED && strstr(expected.text, "buffers differ"),
          "found '%s'", expected.text);
    END_CASE("unlike places are refused");
    comm_close(all); /* with the array */
    all = old;
}

/* Rank 0 alone calls: it must not wait for ever. */
static void test_absence(const launch *here) {
    comm *old;
    comm_work work = {0};
    ls_error expected = {0};
    int status = LS_FAILED;
    open_with(here, 0, 0.3, &old);
    array buffer = array_of_comm(DTYPE_F32, 100);
    if (all->rank == 0) {
        begin_allreduce(buffer.data, 100, DTYPE_F32, REDUCTION_SUM, &work);
        status = all->is->wait(all, NULL, &work, &expected);
        CHECK(strstr(expected.text, "allreduce has not ended for 0.3 s"), "found '%s'",
              expected.text);
    }
    CHECK(status == LS_FAILED, "the wait ended as if all had come");
    END_CASE("a rank that does not come is not waited for longer than the deadline");
    comm_close(all); /* with the array */
    all = old;
}

int main(int argc, char **argv) {
    launch here;
    const char *kind = argc > 1 ? argv[1] : "host";
    if (comm_fixture_open(kind, &here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    test_all(kind);
    if (strcmp(kind, "host") == 0 && here.size > 1) {
        test_nodes(&here);
        test_refusal(&here);
        test_unlike_places(&here);
        test_absence(&here);
    }
    comm_fixture_close();
    if (launch_finish(&here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    if (here.rank == 0)
        return check_done();
    return check_failures != 0;
}
