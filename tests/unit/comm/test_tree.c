/* The sum in a fixed tree: `mpirun -n N test_tree [KIND]`, as test_comm.c. 8 leaves (12 at 3 ranks)
 * whose sum depends on the order are spread over the ranks: the bits must be those that a plain
 * recursion over all leaves gives, wherever the ranks are (on host memory also as if they were on
 * several nodes), in the comm's memory and in any other. */
#include "comm/tree.h"
#include "comm_fixture.h"
#include "launch/lifeline.h"

#include "../check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LENGTH = 70001, LEAVES = 8 };

static int leaf_count(void) {
    return all->size == 3 ? 12 : LEAVES;
}

/* Magnitudes from 2^-12 to 2^12, both signs: every grouping rounds otherwise. */
static float leaf_value(int leaf, int64_t index) {
    uint32_t bits = (uint32_t)index * 2654435761u + (uint32_t)leaf * 40503u;
    bits ^= bits >> 15;
    bits *= 2246822519u;
    bits ^= bits >> 13;
    float value = ldexpf(1 + (float)(bits >> 9) / 8388608.0f, (int)(bits & 31) % 24 - 12);
    return bits & 32 ? -value : value;
}

/* The definition, as tree.h says it. */
static float by_definition(int first, int count, int64_t index) {
    int half = 1;
    if (count == 1)
        return leaf_value(first, index);
    while (2 * half < count)
        half *= 2;
    volatile float left = by_definition(first, half, index);
    volatile float right = by_definition(first + half, count - half, index);
    return left + right;
}

static int64_t wrong_bits(const float *found, int64_t length) {
    int64_t wrong = 0;
    for (int64_t index = 0; index < length; index++) {
        float expected = by_definition(0, leaf_count(), index);
        wrong += memcmp(&expected, &found[index], sizeof expected) != 0;
    }
    return wrong;
}

/* Rows `stride` apart, from element `offset` on. */
static void sum_once(int64_t length, int64_t offset, bool of_comm) {
    int rows = leaf_count() / all->size;
    int64_t stride = (length + offset + 63) / 64 * 64, count = rows * stride;
    array buffer = of_comm ? array_of_comm(DTYPE_F32, count) : array_make(DTYPE_F32, count);
    float *host = buffer.host;
    comm_work work = {0};
    for (int row = 0; row < rows; row++)
        for (int64_t index = 0; index < length; index++)
            host[row * stride + offset + index] = leaf_value(all->rank * rows + row, index);
    array_give(&buffer);
    CHECK(all->is->sum_tree(all, stream, (float *)buffer.data + offset, (size_t)length, rows,
                            (size_t)stride, DTYPE_F32, &work, &error) == LS_OK,
          "begin");
    CHECK(all->is->wait(all, stream, &work, &error) == LS_OK, "wait");
    array_take(&buffer);
    int64_t wrong = wrong_bits(host + offset, length);
    CHECK(wrong == 0, "%lld of %lld elements are not the tree's sum (offset %lld, %s memory)",
          (long long)wrong, (long long)length, (long long)offset, of_comm ? "the comm's" : "other");
    array_free(&buffer);
}

static void test_lengths(const char *layout) {
    static const int64_t lengths[] = {0, 1, 2, 3, 17, 4096, 4097, MOST_LENGTH};
    char name[160];
    for (size_t index = 0; index < sizeof lengths / sizeof lengths[0]; index++)
        for (int64_t offset = 0; offset < 8; offset += 5)
            for (int of_comm = 0; of_comm < 2; of_comm++)
                sum_once(lengths[index], offset, of_comm);
    snprintf(name, sizeof name, "%s: the tree's bits", layout);
    END_CASE(name);
}

/* Several at once, other collectives between them. */
static void test_many(const char *layout) {
    enum { WORKS = 12, LENGTH = 5001 };
    int rows = leaf_count() / all->size;
    array trees = array_of_comm(DTYPE_F32, (int64_t)WORKS * rows * LENGTH);
    array sums = array_filled(DTYPE_F32, (int64_t)WORKS * LENGTH, all->rank);
    comm_work works[WORKS] = {{0}}, others[WORKS] = {{0}};
    char name[160];
    for (int row = 0; row < rows; row++)
        for (int64_t index = 0; index < WORKS * LENGTH; index++)
            ((float *)trees.host)[row * WORKS * LENGTH + index] =
                leaf_value(all->rank * rows + row, index);
    array_give(&trees);
    for (int index = 0; index < WORKS; index++) {
        CHECK(all->is->sum_tree(all, stream, (float *)trees.data + index * LENGTH, LENGTH, rows,
                                WORKS * LENGTH, DTYPE_F32, &works[index], &error) == LS_OK,
              "begin");
        CHECK(all->is->allreduce(all, stream, (float *)sums.data + index * LENGTH, LENGTH,
                                 DTYPE_F32, REDUCTION_SUM, &others[index], &error) == LS_OK,
              "begin");
        for (int turn = 0; turn < (index + all->rank * 3) % 5; turn++)
            CHECK(all->is->progress(all, &error) == LS_OK, "progress");
    }
    for (int index = 0; index < WORKS; index++) {
        CHECK(all->is->wait(all, stream, &works[(index * 5 + all->rank) % WORKS], &error) == LS_OK,
              "wait");
        CHECK(all->is->wait(all, stream, &others[(index * 7 + all->rank) % WORKS], &error) == LS_OK,
              "wait");
    }
    array_take(&trees);
    array_take(&sums);
    CHECK(wrong_bits(trees.host, WORKS * LENGTH) == 0, "the trees' sums");
    CHECK(wrong_of(&sums, DTYPE_F32, 0, WORKS * LENGTH, REDUCTION_SUM) == 0, "the others'");
    array_free(&trees);
    array_free(&sums);
    snprintf(name, sizeof name, "%s: several outstanding among others", layout);
    END_CASE(name);
}

/* That the numbers can tell: added one after another they have other bits. */
static void test_order_matters(void) {
    int64_t other = 0;
    for (int64_t index = 0; index < 1000; index++) {
        volatile float sum = leaf_value(0, index);
        for (int leaf = 1; leaf < leaf_count(); leaf++)
            sum += leaf_value(leaf, index);
        other += sum != by_definition(0, leaf_count(), index);
    }
    CHECK(other > 200, "only %lld of 1000 sums depend on the order", (long long)other);
    END_CASE("the leaves' sum depends on the order");
}

static void test_double(void) {
    comm *host = control ? control : all;
    double values[2] = {1e16, all->rank}, sum = 0;
    for (int rank = 0; rank < all->size; rank++)
        sum += rank;
    if (!control && memory) /* no comm on host memory here */
        return;
    values[0] = all->rank == 0 ? 1e16 : all->rank == 1 ? 1 : all->rank == 2 ? -1e16 : 1;
    CHECK(comm_sum_tree_double(host, values, 2, &error) == LS_OK, "sum");
    /* (1e16 + 1) + (-1e16 + 1): the spacing at 1e16 is 2, the tie goes to even. */
    double expected = all->size == 1 || all->size == 2 ? 1e16 : all->size == 3 ? 0 : 1;
    volatile double right = -1e16 + 1;
    if (all->size == 4)
        expected = 1e16 + right;
    CHECK(values[0] == expected && values[1] == sum, "found %g and %g", values[0], values[1]);
    END_CASE("doubles on host memory");
}

static void test_node_layouts(const launch *here) {
    struct {
        const char *name;
        int node;
    } cases[] = {{"a node a rank", here->rank},
                 {"two nodes, one after the other", here->rank / ((here->size + 1) / 2)},
                 {"two nodes, in turn", here->rank % 2}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        static char host[300]; /* the comm keeps the pointer */
        comm *other = NULL, *old = all;
        snprintf(host, sizeof host, "%s-%d", here->host, cases[index].node);
        comm_settings settings = {
            .rank = here->rank, .size = here->size, .host = host, .control = control};
        if (comm_open("mpi", &settings, &other, &error) != LS_OK)
            lifeline_fail(&error, 0);
        all = other;
        test_lengths(cases[index].name);
        test_many(cases[index].name);
        comm_close(all);
        all = old;
    }
}

int main(int argc, char **argv) {
    launch here;
    const char *kind = argc > 1 ? argv[1] : "host";
    if (comm_fixture_open(kind, &here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    test_order_matters();
    test_lengths(kind);
    test_many(kind);
    test_double();
    if (strcmp(kind, "host") == 0 && here.size > 1)
        test_node_layouts(&here);
    comm_fixture_close();
    if (launch_finish(&here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    if (here.rank == 0)
        return check_done();
    return check_failures != 0;
}
