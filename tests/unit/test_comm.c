/* Collectives with numbers whose result is exactly known: small integers, whose fp32 sums are
 * exact in any order. One program for any number of ranks: `mpirun -n N test_comm`; rank 0 prints
 * the TAP, and a failure on any rank is a failure. */
#include "comm/comm.h"
#include "launch/launch.h"
#include "launch/lifeline.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

static comm *all;
static ls_error error;

static int value_of(int rank, int64_t index) {
    return (int)((index * 7 + rank * 13) % 101) - 50;
}

static double expected_of(int64_t index, reduction how) {
    double result = value_of(0, index);
    for (int rank = 1; rank < all->size; rank++) {
        double value = value_of(rank, index);
        if (how == REDUCTION_SUM)
            result += value;
        else if (how == REDUCTION_MAX ? value > result : value < result)
            result = value;
    }
    return result;
}

static void store(void *buffer, dtype type, int64_t index, double value) {
    if (type == DTYPE_F32)
        ((float *)buffer)[index] = (float)value;
    else if (type == DTYPE_F64)
        ((double *)buffer)[index] = value;
    else if (type == DTYPE_I32)
        ((int32_t *)buffer)[index] = (int32_t)value;
    else
        ((int64_t *)buffer)[index] = (int64_t)value;
}

static double load(const void *buffer, dtype type, int64_t index) {
    if (type == DTYPE_F32)
        return (double)((const float *)buffer)[index];
    if (type == DTYPE_F64)
        return ((const double *)buffer)[index];
    if (type == DTYPE_I32)
        return ((const int32_t *)buffer)[index];
    return (double)((const int64_t *)buffer)[index];
}

static void *filled(dtype type, int64_t count, int rank) {
    void *buffer = calloc((size_t)count + 1, dtype_bytes(type));
    for (int64_t index = 0; index < count; index++)
        store(buffer, type, index, value_of(rank, index));
    return buffer;
}

static int64_t wrong_of(const void *buffer, dtype type, int64_t from, int64_t to, reduction how) {
    int64_t wrong = 0;
    for (int64_t index = from; index < to; index++)
        wrong += load(buffer, type, index) != expected_of(index, how);
    return wrong;
}

/* A case counts as failed where it failed on any rank. */
static void end_case(const char *name) {
    int64_t failed = check_case_failures + (error.code != LS_OK);
    if (error.code != LS_OK)
        printf("# rank %d: %s\n", all->rank, error.text);
    error = (ls_error){0};
    comm_allreduce_int64(all, &failed, 1, REDUCTION_SUM, &error);
    CHECK(failed == check_case_failures, "it failed on another rank");
    if (all->rank == 0)
        check_case(name);
    else
        check_failures += failed > 0, check_case_failures = 0;
    fflush(stdout);
}

static void finish(comm_work *work) {
    CHECK(all->is->wait(all, NULL, work, &error) == LS_OK, "wait");
    CHECK(work->handle == NULL, "a waited work is free again");
}

static void test_allreduce(void) {
    static const dtype types[] = {DTYPE_F32, DTYPE_F64, DTYPE_I32, DTYPE_I64};
    static const int64_t counts[] = {0, 1, 2, 3, 1000, 65536, 262147, 1000003};
    for (int t = 0; t < 4; t++)
        for (int c = 0; c < 8; c++)
            for (reduction how = REDUCTION_SUM; how <= REDUCTION_MIN; how++) {
                void *buffer = filled(types[t], counts[c], all->rank);
                comm_work work = {0};
                CHECK(all->is->allreduce(all, NULL, buffer, (size_t)counts[c], types[t], how, &work,
                                         &error) == LS_OK,
                      "begin");
                finish(&work);
                int64_t wrong = wrong_of(buffer, types[t], 0, counts[c], how);
                CHECK(wrong == 0, "%s, %lld elements, reduction %d: %lld wrong",
                      dtype_name(types[t]), (long long)counts[c], how, (long long)wrong);
                free(buffer);
            }
    end_case("allreduce");
}

/* Ragged: rank r has r parts of them, so that rank 0 has none; then the other way round. */
static int64_t ragged(int64_t *counts, int64_t *first, int64_t part, int turned) {
    int64_t total = 0;
    for (int rank = 0; rank < all->size; rank++) {
        counts[rank] = part * (turned ? all->size - 1 - rank : rank);
        if (all->size == 1)
            counts[rank] = part;
        first[rank] = total;
        total += counts[rank];
    }
    return total;
}

static void test_reduce_scatter(void) {
    int64_t counts[64], first[64];
    for (int64_t part = 0; part < 200000; part = part * 30 + 1)
        for (int turned = 0; turned < 2; turned++) {
            int64_t total = ragged(counts, first, part, turned);
            void *buffer = filled(DTYPE_F32, total, all->rank);
            comm_work work = {0};
            CHECK(all->is->reduce_scatter(all, NULL, buffer, counts, DTYPE_F32, REDUCTION_SUM,
                                          &work, &error) == LS_OK,
                  "begin");
            finish(&work);
            int64_t mine = first[all->rank];
            CHECK(wrong_of(buffer, DTYPE_F32, mine, mine + counts[all->rank], REDUCTION_SUM) == 0,
                  "part of %lld", (long long)part);
            free(buffer);
        }
    end_case("reduce_scatter, ragged");
}

static void test_allgather(void) {
    int64_t counts[64], first[64], wrong = 0;
    for (int64_t part = 0; part < 200000; part = part * 30 + 1)
        for (int turned = 0; turned < 2; turned++) {
            int64_t total = ragged(counts, first, part, turned);
            int32_t *buffer = calloc((size_t)total + 1, sizeof *buffer);
            comm_work work = {0};
            for (int64_t index = 0; index < counts[all->rank]; index++)
                buffer[first[all->rank] + index] = value_of(all->rank, first[all->rank] + index);
            CHECK(all->is->allgather(all, NULL, buffer, counts, DTYPE_I32, &work, &error) == LS_OK,
                  "begin");
            finish(&work);
            for (int rank = 0; rank < all->size; rank++)
                for (int64_t index = 0; index < counts[rank]; index++)
                    wrong += buffer[first[rank] + index] != value_of(rank, first[rank] + index);
            free(buffer);
        }
    CHECK(wrong == 0, "%lld wrong", (long long)wrong);
    end_case("allgather, ragged");
}

static void test_broadcast_and_reduce(void) {
    enum { COUNT = 300007 };
    for (int root = 0; root < all->size; root++) {
        comm_work work = {0};
        float *buffer = filled(DTYPE_F32, COUNT, all->rank);
        CHECK(all->is->broadcast(all, NULL, buffer, COUNT, DTYPE_F32, root, &work, &error) == LS_OK,
              "begin");
        finish(&work);
        for (int64_t index = 0; index < COUNT; index++)
            if (buffer[index] != (float)value_of(root, index)) {
                CHECK(0, "broadcast from %d: element %lld", root, (long long)index);
                break;
            }
        free(buffer);
        for (reduction how = REDUCTION_SUM; how <= REDUCTION_MIN; how++) {
            buffer = filled(DTYPE_F32, COUNT, all->rank);
            CHECK(all->is->reduce(all, NULL, buffer, COUNT, DTYPE_F32, how, root, &work, &error) ==
                      LS_OK,
                  "begin");
            finish(&work);
            if (all->rank == root)
                CHECK(wrong_of(buffer, DTYPE_F32, 0, COUNT, how) == 0, "reduce to %d", root);
            free(buffer);
        }
    }
    end_case("broadcast and reduce, every root");
}

static void test_scatter_and_gather(void) {
    int64_t counts[64], first[64];
    for (int root = 0; root < all->size; root++)
        for (int turned = 0; turned < 2; turned++) {
            int64_t total = ragged(counts, first, 5003, turned), mine = counts[all->rank];
            float *whole = all->rank == root ? filled(DTYPE_F32, total, 3) : NULL;
            float *back = calloc((size_t)total + 1, sizeof *back);
            float *part = calloc((size_t)mine + 1, sizeof *part);
            comm_work work = {0};
            CHECK(all->is->scatter(all, NULL, whole, part, counts, DTYPE_F32, root, &work,
                                   &error) == LS_OK,
                  "begin");
            finish(&work);
            for (int64_t index = 0; index < mine; index++)
                if (part[index] != (float)value_of(3, first[all->rank] + index)) {
                    CHECK(0, "scatter from %d: element %lld", root, (long long)index);
                    break;
                }
            CHECK(all->is->gather(all, NULL, part, all->rank == root ? back : NULL, counts,
                                  DTYPE_F32, root, &work, &error) == LS_OK,
                  "begin");
            finish(&work);
            if (all->rank == root)
                CHECK(memcmp(back, whole, (size_t)total * sizeof *back) == 0, "gather to %d", root);
            free(whole);
            free(back);
            free(part);
        }
    end_case("scatter and gather, ragged, every root");
}

/* Ranks wait in different orders, make progress at different times, and meet in a barrier with
 * work outstanding. */
static void test_many_outstanding(void) {
    enum { WORKS = 12, COUNT = 70001 };
    float *buffers[WORKS];
    comm_work works[WORKS] = {{0}};
    for (int index = 0; index < WORKS; index++) {
        buffers[index] = filled(DTYPE_F32, COUNT, all->rank);
        int status = index % 3 == 2
                         ? all->is->broadcast(all, NULL, buffers[index], COUNT, DTYPE_F32,
                                              index % all->size, &works[index], &error)
                         : all->is->allreduce(all, NULL, buffers[index], COUNT, DTYPE_F32,
                                              REDUCTION_SUM, &works[index], &error);
        CHECK(status == LS_OK, "begin %d", index);
        for (int turn = 0; turn < all->rank * 3; turn++)
            CHECK(all->is->progress(all, &error) == LS_OK, "progress");
    }
    CHECK(all->is->barrier(all, &error) == LS_OK, "barrier");
    for (int index = 0; index < WORKS; index++)
        finish(&works[(index * 5 + all->rank * 7) % WORKS]);
    for (int index = 0; index < WORKS; index++) {
        if (index % 3 == 2)
            CHECK(buffers[index][COUNT - 1] == (float)value_of(index % all->size, COUNT - 1),
                  "broadcast %d", index);
        else
            CHECK(wrong_of(buffers[index], DTYPE_F32, 0, COUNT, REDUCTION_SUM) == 0, "sum %d",
                  index);
        free(buffers[index]);
    }
    end_case("several outstanding, waited for in any order");
}

/* Sums that do depend on the order: yet the same bits on every rank and every time. */
static void test_same_bits(void) {
    enum { COUNT = 200003, TIMES = 5 };
    float *first = malloc(COUNT * sizeof *first), *again = malloc(COUNT * sizeof *again);
    for (int time = 0; time < TIMES; time++) {
        float *buffer = time == 0 ? first : again;
        comm_work work = {0};
        for (int index = 0; index < COUNT; index++)
            buffer[index] = 1.0F / (float)(1 + index + all->rank * 31);
        CHECK(all->is->allreduce(all, NULL, buffer, COUNT, DTYPE_F32, REDUCTION_SUM, &work,
                                 &error) == LS_OK,
              "begin");
        for (int turn = 0; turn < (time * 5 + all->rank * 3) % 7; turn++)
            all->is->progress(all, &error);
        finish(&work);
        CHECK(time == 0 || memcmp(first, again, COUNT * sizeof *first) == 0, "time %d", time);
    }
    memcpy(again, first, COUNT * sizeof *first);
    comm_broadcast_bytes(all, again, COUNT * sizeof *again, 0, &error);
    CHECK(memcmp(first, again, COUNT * sizeof *first) == 0, "other bits than rank 0 has");
    free(first);
    free(again);
    end_case("the same bits on every rank, every time");
}

static void test_helpers_and_refusals(void) {
    double reals[3] = {all->rank, 1, -all->rank};
    int64_t record[2] = {all->rank, all->rank * 11}, records[128];
    ls_error expected = {0};
    comm_work work = {0};
    uint16_t half = 0;
    CHECK(comm_allreduce_double(all, reals, 3, REDUCTION_MAX, &error) == LS_OK, "max");
    CHECK(reals[0] == all->size - 1 && reals[1] == 1 && reals[2] == 0, "max");
    CHECK(comm_allgather_bytes(all, record, records, sizeof record, &error) == LS_OK, "records");
    for (int rank = 0; rank < all->size; rank++)
        CHECK(records[2 * rank] == rank && records[2 * rank + 1] == rank * 11, "record %d", rank);
    if (all->size > 1) {
        CHECK(all->is->allreduce(all, NULL, &half, 1, DTYPE_BF16, REDUCTION_SUM, &work,
                                 &expected) == LS_FAILED &&
                  strstr(expected.text, "bf16"),
              "bf16 is refused by name: %s", expected.text);
        expected = (ls_error){0};
        CHECK(all->is->broadcast(all, NULL, &half, (size_t)1 << 31, DTYPE_U8, 0, &work,
                                 &expected) == LS_FAILED &&
                  strstr(expected.text, "2147483648"),
              "too many elements are refused: %s", expected.text);
    }
    CHECK(all->is->wait(all, NULL, &work, &error) == LS_OK, "no work, no wait");
    end_case("helpers and refusals");
}

/* NCCL between no GPUs is refused in every build, and by all ranks with one text. */
static void test_choices(const char *host) {
    comm_settings settings = {.rank = all->rank, .size = all->size, .host = host, .control = all};
    comm *other = NULL;
    ls_error expected = {0};
    CHECK(comm_open("nccl", &settings, &other, &expected) == LS_BAD_LAUNCH &&
              strstr(expected.text, "--comm nccl"),
          "nccl without a GPU: %s", expected.text);
    expected = (ls_error){0};
    CHECK(comm_open("pigeon", &settings, &other, &expected) == LS_BAD_INPUT &&
              strstr(expected.text, "pigeon") && strstr(expected.text, COMM_CHOICES),
          "an unknown name: %s", expected.text);
    expected = (ls_error){0};
    CHECK(comm_open("auto", &settings, &other, &expected) == LS_OK &&
              strcmp(other->is->name, all->is->name) == 0,
          "auto on host memory: %s", expected.text);
    comm_close(other);
    end_case("choices");
}

int main(void) {
    launch here;
    int status = launch_start(&here, &error);
    if (status == LS_OK)
        status = comm_open(
            "auto", &(comm_settings){.rank = here.rank, .size = here.size, .host = here.host}, &all,
            &error);
    if (status != LS_OK)
        lifeline_fail(&error, 0);
    test_allreduce();
    test_reduce_scatter();
    test_allgather();
    test_broadcast_and_reduce();
    test_scatter_and_gather();
    test_many_outstanding();
    test_same_bits();
    test_helpers_and_refusals();
    test_choices(here.host);
    comm_close(all);
    if (launch_finish(&here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    if (here.rank == 0)
        return check_done();
    return check_failures != 0;
}
