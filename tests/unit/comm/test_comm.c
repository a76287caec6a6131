/* Collectives with numbers whose result is exactly known. One program for any number of ranks and
 * any memory: `mpirun -n N test_comm [KIND]` (comm_fixture.h says which kinds there are); rank 0
 * prints the TAP, and a failure on any rank is a failure. */
#include "comm/gpu_survey.h"
#include "comm_fixture.h"
#include "launch/lifeline.h"

#include "../check.h"

#include <stdlib.h>
#include <string.h>

static void finish(comm_work *work) {
    CHECK(all->is->wait(all, stream, work, &error) == LS_OK, "wait");
    CHECK(work->handle == NULL, "a waited work is free again");
}

static bool is_mpi(void) {
    return strcmp(all->is->name, "mpi") == 0;
}

/* Sizes around the chunks of ring.c (256 KiB) and staged.c (1 MiB). */
static void test_allreduce(void) {
    static const dtype types[] = {DTYPE_F32, DTYPE_F64,  DTYPE_I32,
                                  DTYPE_I64, DTYPE_BF16, DTYPE_F16};
    static const int64_t counts[] = {0,      1,      2,      3,      1000,    65536,
                                     262143, 262144, 262145, 262147, 1000003, 7 * 262144 + 1};
    enum { TYPES = sizeof types / sizeof types[0], COUNTS = sizeof counts / sizeof counts[0] };
    for (int t = 0; t < TYPES - (is_mpi() ? 1 : 0); t++)
        for (int c = 0; c < COUNTS; c++)
            for (reduction how = REDUCTION_SUM; how <= REDUCTION_MIN; how++) {
                /* The large ones once: the emulated device under a sanitiser is slow. */
                if (c > 5 && (how != REDUCTION_SUM || (memory && t > 0)))
                    continue;
                array buffer = array_filled(types[t], counts[c], all->rank);
                comm_work work = {0};
                CHECK(all->is->allreduce(all, stream, buffer.data, (size_t)counts[c], types[t], how,
                                         &work, &error) == LS_OK,
                      "begin");
                finish(&work);
                array_take(&buffer);
                int64_t wrong = wrong_of(&buffer, types[t], 0, counts[c], how);
                CHECK(wrong == 0, "%s, %lld elements, reduction %d: %lld wrong",
                      dtype_name(types[t]), (long long)counts[c], how, (long long)wrong);
                array_free(&buffer);
            }
    END_CASE("allreduce");
}

static double uneven(int rank, size_t index) {
    return 0.1 * (rank + 1) + 1.0 / (3.0 + rank + 7.0 * (double)index);
}

/* As ring.h says: a block's sum begins behind its owner, and each rank adds to what it is given. */
static double along_ring(size_t index, size_t count) {
    size_t size = (size_t)all->size, owner = 0;
    while (count * (owner + 1) / size <= index)
        owner++;
    double sum = uneven((int)((owner + 1) % size), index);
    for (size_t step = 2; step <= size; step++)
        sum = uneven((int)((owner + step) % size), index) + sum;
    return sum;
}

/* Few values go around otherwise than many (dissemination.h): the bits are the same. */
static void test_few_values(void) {
    enum { MOST = 200 };
    static const size_t counts[] = {1, 2, 3, 5, 17, 63, 64, 65, MOST};
    double values[MOST];
    if (!is_mpi() || memory || all->size < 3)
        return;
    for (size_t at = 0; at < sizeof counts / sizeof counts[0]; at++) {
        size_t count = counts[at], wrong = 0;
        for (size_t index = 0; index < count; index++)
            values[index] = uneven(all->rank, index);
        CHECK(comm_allreduce_double(all, values, count, REDUCTION_SUM, &error) == LS_OK, "sum");
        for (size_t index = 0; index < count; index++) {
            double expected = along_ring(index, count);
            wrong += memcmp(&expected, &values[index], sizeof expected) != 0;
        }
        CHECK(wrong == 0, "%zu of %zu values have other bits", wrong, count);
    }
    END_CASE("few values are summed in the ring's order");
}

static void test_few_bytes(void) {
    static const size_t sizes[] = {0, 1, 7, 511, 512, 513};
    for (size_t at = 0; at < sizeof sizes / sizeof sizes[0]; at++) {
        size_t bytes = sizes[at], wrong = 0;
        unsigned char mine[513], *every = calloc((size_t)all->size, sizeof mine);
        for (size_t index = 0; index < bytes; index++)
            mine[index] = (unsigned char)(31 * all->rank + (int)index);
        CHECK(comm_allgather_bytes(all, mine, every, bytes, &error) == LS_OK, "gather");
        for (size_t index = 0; index < bytes * (size_t)all->size; index++)
            wrong += every[index] != (unsigned char)(31 * (index / bytes) + index % bytes);
        CHECK(wrong == 0, "records of %zu bytes: %zu wrong", bytes, wrong);
        free(every);
    }
    END_CASE("records of every rank");
}

/* Ragged: rank r has r parts of them, so that rank 0 has none; then the other way round; then the
 * same for all. */
enum { SHAPES = 3 };

static int64_t ragged(int64_t *counts, int64_t *first, int64_t part, int shape) {
    int64_t total = 0;
    for (int rank = 0; rank < all->size; rank++) {
        counts[rank] = part * (shape == 0 ? rank : shape == 1 ? all->size - 1 - rank : 1);
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
        for (int shape = 0; shape < SHAPES; shape++) {
            int64_t total = ragged(counts, first, part, shape);
            array buffer = array_filled(DTYPE_F32, total, all->rank);
            comm_work work = {0};
            CHECK(all->is->reduce_scatter(all, stream, buffer.data, counts, DTYPE_F32,
                                          REDUCTION_SUM, &work, &error) == LS_OK,
                  "begin");
            finish(&work);
            array_take(&buffer);
            int64_t mine = first[all->rank];
            CHECK(wrong_of(&buffer, DTYPE_F32, mine, mine + counts[all->rank], REDUCTION_SUM) == 0,
                  "part of %lld, shape %d", (long long)part, shape);
            array_free(&buffer);
        }
    END_CASE("reduce_scatter, ragged");
}

static void test_allgather(void) {
    int64_t counts[64], first[64], wrong = 0;
    for (int64_t part = 0; part < 200000; part = part * 30 + 1)
        for (int shape = 0; shape < SHAPES; shape++) {
            int64_t total = ragged(counts, first, part, shape);
            array buffer = array_make(DTYPE_I32, total);
            int32_t *values = buffer.host;
            comm_work work = {0};
            for (int64_t index = 0; index < counts[all->rank]; index++)
                values[first[all->rank] + index] = value_of(all->rank, first[all->rank] + index);
            array_give(&buffer);
            CHECK(all->is->allgather(all, stream, buffer.data, counts, DTYPE_I32, &work, &error) ==
                      LS_OK,
                  "begin");
            finish(&work);
            array_take(&buffer);
            for (int rank = 0; rank < all->size; rank++)
                for (int64_t index = 0; index < counts[rank]; index++)
                    wrong += values[first[rank] + index] != value_of(rank, first[rank] + index);
            array_free(&buffer);
        }
    CHECK(wrong == 0, "%lld wrong", (long long)wrong);
    END_CASE("allgather, ragged");
}

static void test_broadcast_and_reduce(void) {
    enum { COUNT = 300007 };
    for (int root = 0; root < all->size; root++) {
        comm_work work = {0};
        array buffer = array_filled(DTYPE_F32, COUNT, all->rank);
        CHECK(all->is->broadcast(all, stream, buffer.data, COUNT, DTYPE_F32, root, &work, &error) ==
                  LS_OK,
              "begin");
        finish(&work);
        array_take(&buffer);
        for (int64_t index = 0; index < COUNT; index++)
            if (((float *)buffer.host)[index] != (float)value_of(root, index)) {
                CHECK(0, "broadcast from %d: element %lld", root, (long long)index);
                break;
            }
        array_free(&buffer);
        for (reduction how = REDUCTION_SUM; how <= REDUCTION_MIN; how++) {
            buffer = array_filled(DTYPE_F32, COUNT, all->rank);
            CHECK(all->is->reduce(all, stream, buffer.data, COUNT, DTYPE_F32, how, root, &work,
                                  &error) == LS_OK,
                  "begin");
            finish(&work);
            array_take(&buffer);
            if (all->rank == root)
                CHECK(wrong_of(&buffer, DTYPE_F32, 0, COUNT, how) == 0, "reduce to %d", root);
            array_free(&buffer);
        }
    }
    END_CASE("broadcast and reduce, every root");
}

static void scatter_and_gather(int root, int64_t size, int shape) {
    int64_t counts[64], first[64];
    int64_t total = ragged(counts, first, size, shape), mine = counts[all->rank];
    bool is_root = all->rank == root;
    array whole = array_filled(DTYPE_F32, is_root ? total : 0, 3);
    array back = array_make(DTYPE_F32, is_root ? total : 0);
    array part = array_make(DTYPE_F32, mine);
    comm_work work = {0};
    CHECK(all->is->scatter(all, stream, is_root ? whole.data : NULL, part.data, counts, DTYPE_F32,
                           root, &work, &error) == LS_OK,
          "begin");
    finish(&work);
    array_take(&part);
    for (int64_t index = 0; index < mine; index++)
        if (((float *)part.host)[index] != (float)value_of(3, first[all->rank] + index)) {
            CHECK(0, "scatter from %d: element %lld", root, (long long)index);
            break;
        }
    CHECK(all->is->gather(all, stream, part.data, is_root ? back.data : NULL, counts, DTYPE_F32,
                          root, &work, &error) == LS_OK,
          "begin");
    finish(&work);
    array_take(&back);
    if (is_root)
        CHECK(memcmp(back.host, whole.host, (size_t)total * sizeof(float)) == 0, "gather to %d",
              root);
    array_free(&whole);
    array_free(&back);
    array_free(&part);
}

static void test_scatter_and_gather(void) {
    for (int root = 0; root < all->size; root++)
        for (int shape = 0; shape < SHAPES; shape++) {
            scatter_and_gather(root, 5003, shape);
            scatter_and_gather(root, 200003, shape);
        }
    END_CASE("scatter and gather, ragged, every root");
}

/* Ranks wait in different orders, make progress at different times, and meet in a barrier with
 * work outstanding. */
static void test_many_outstanding(void) {
    enum { WORKS = 12, COUNT = 70001 };
    array buffers[WORKS];
    comm_work works[WORKS] = {{0}};
    for (int index = 0; index < WORKS; index++) {
        buffers[index] = array_filled(DTYPE_F32, COUNT, all->rank);
        int status = index % 3 == 2
                         ? all->is->broadcast(all, stream, buffers[index].data, COUNT, DTYPE_F32,
                                              index % all->size, &works[index], &error)
                         : all->is->allreduce(all, stream, buffers[index].data, COUNT, DTYPE_F32,
                                              REDUCTION_SUM, &works[index], &error);
        CHECK(status == LS_OK, "begin %d", index);
        for (int turn = 0; turn < all->rank * 3; turn++)
            CHECK(all->is->progress(all, &error) == LS_OK, "progress");
    }
    CHECK(all->is->barrier(all, &error) == LS_OK, "barrier");
    for (int index = 0; index < WORKS; index++)
        finish(&works[(index * 5 + all->rank * 7) % WORKS]);
    for (int index = 0; index < WORKS; index++) {
        array_take(&buffers[index]);
        if (index % 3 == 2)
            CHECK(load(buffers[index].host, DTYPE_F32, COUNT - 1) ==
                      value_of(index % all->size, COUNT - 1),
                  "broadcast %d", index);
        else
            CHECK(wrong_of(&buffers[index], DTYPE_F32, 0, COUNT, REDUCTION_SUM) == 0, "sum %d",
                  index);
        array_free(&buffers[index]);
    }
    END_CASE("several outstanding, waited for in any order");
}

/* A result goes from one collective into the next, and the caller's copies stand between. */
static void test_chain(void) {
    enum { COUNT = 300001, TIMES = 4 };
    array first = array_filled(DTYPE_F32, COUNT, all->rank), second = array_make(DTYPE_F32, COUNT);
    double factor = 1;
    for (int time = 0; time < TIMES; time++) {
        comm_work work = {0};
        CHECK(all->is->allreduce(all, stream, first.data, COUNT, DTYPE_F32, REDUCTION_SUM, &work,
                                 &error) == LS_OK,
              "begin");
        finish(&work);
        if (memory)
            memory->is->copy(memory, stream, second.data, first.data, first.bytes, COPY_ON_DEVICE,
                             &error);
        else
            memcpy(second.data, first.data, first.bytes);
        array swapped = first;
        first = second;
        second = swapped;
        factor *= time == 0 ? 1 : all->size;
    }
    array_take(&first);
    int64_t wrong = 0;
    for (int64_t index = 0; index < COUNT; index++)
        wrong += load(first.host, DTYPE_F32, index) != factor * expected_of(index, REDUCTION_SUM);
    CHECK(wrong == 0, "%lld wrong", (long long)wrong);
    array_free(&first);
    array_free(&second);
    END_CASE("one after another, in stream order");
}

/* Sums that do depend on the order: yet the same bits on every rank and every time. */
static void test_same_bits(void) {
    enum { COUNT = 200003, TIMES = 5 };
    float *expected = malloc(COUNT * sizeof *expected);
    for (int time = 0; time < TIMES; time++) {
        array buffer = array_make(DTYPE_F32, COUNT);
        comm_work work = {0};
        for (int index = 0; index < COUNT; index++)
            ((float *)buffer.host)[index] = 1.0F / (float)(1 + index + all->rank * 31);
        array_give(&buffer);
        CHECK(all->is->allreduce(all, stream, buffer.data, COUNT, DTYPE_F32, REDUCTION_SUM, &work,
                                 &error) == LS_OK,
              "begin");
        for (int turn = 0; turn < (time * 5 + all->rank * 3) % 7; turn++)
            all->is->progress(all, &error);
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
    END_CASE("the same bits on every rank, every time");
}

static void test_helpers_and_refusals(void) {
    comm *host = control ? control : all;
    double reals[3] = {all->rank, 1, -all->rank};
    int64_t record[2] = {all->rank, all->rank * 11}, records[128];
    ls_error expected = {0};
    comm_work work = {0};
    uint16_t half = 0;
    if (control || !memory) {
        CHECK(comm_allreduce_double(host, reals, 3, REDUCTION_MAX, &error) == LS_OK, "max");
        CHECK(reals[0] == all->size - 1 && reals[1] == 1 && reals[2] == 0, "max");
        CHECK(comm_allgather_bytes(host, record, records, sizeof record, &error) == LS_OK,
              "records");
        for (int rank = 0; rank < all->size; rank++)
            CHECK(records[2 * rank] == rank && records[2 * rank + 1] == rank * 11, "record %d",
                  rank);
    }
    if (is_mpi()) {
        CHECK(all->is->allreduce(all, stream, &half, 1, DTYPE_F16, REDUCTION_SUM, &work,
                                 &expected) == LS_FAILED &&
                  strstr(expected.text, "fp16"),
              "fp16 is refused by name: %s", expected.text);
        expected = (ls_error){0};
    }
    if (is_mpi() && !memory) {
        CHECK(all->is->broadcast(all, NULL, &half, (size_t)1 << 31, DTYPE_U8, 0, &work,
                                 &expected) == LS_FAILED &&
                  strstr(expected.text, "2147483648"),
              "too many elements are refused: %s", expected.text);
        expected = (ls_error){0};
    }
    if (memory && all->size > 1)
        CHECK(all->is->allreduce(all, NULL, &half, 1, DTYPE_F32, REDUCTION_SUM, &work, &expected) ==
                      LS_FAILED &&
                  strstr(expected.text, "host memory"),
              "host memory is refused: %s", expected.text);
    CHECK(all->is->wait(all, stream, &work, &error) == LS_OK, "no work, no wait");
    END_CASE("helpers and refusals");
}

/* NCCL between no GPUs is refused in every build, and by all ranks with one text. */
static void test_choices(const launch *here) {
    comm_settings settings = {
        .rank = all->rank, .size = all->size, .host = here->host, .control = control};
    comm *other = NULL;
    ls_error expected = {0};
    CHECK(comm_open("nccl", &settings, &other, &expected) != LS_OK &&
              strstr(expected.text, "--comm nccl"),
          "nccl without a GPU: %s", expected.text);
    CHECK(expected.code == LS_BAD_LAUNCH, "code %d", expected.code);
    expected = (ls_error){0};
    CHECK(comm_open("pigeon", &settings, &other, &expected) == LS_BAD_INPUT &&
              strstr(expected.text, "pigeon") && strstr(expected.text, COMM_CHOICES),
          "an unknown name: %s", expected.text);
    expected = (ls_error){0};
    CHECK(comm_open("auto", &settings, &other, &expected) == LS_OK &&
              strcmp(other->is->name, all->size == 1 ? "alone" : "mpi") == 0,
          "auto on host memory: %s", expected.text);
    comm_close(other);
    END_CASE("choices");
}

/* Whatever the ranks call their hosts; a rank without a GPU shares none. */
static void test_shared_gpus(void) {
    static const struct {
        char uuid[48];
        int lowest;
    } ranks[] = {{"", -1},     {"GPU-a", -1}, {"GPU-b", -1}, {"", -1},
                 {"GPU-a", 1}, {"GPU-a", 1},  {"GPU-b", 2},  {"GPU-aa", -1}};
    for (int rank = 0; rank < (int)(sizeof ranks / sizeof ranks[0]); rank++) {
        int found = gpu_survey_sharer(ranks[0].uuid, sizeof ranks[0], rank);
        CHECK(found == ranks[rank].lowest, "rank %d: %d, expected %d", rank, found,
              ranks[rank].lowest);
    }
    END_CASE("who shares a GPU");
}

int main(int argc, char **argv) {
    launch here;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (comm_fixture_open(argc > 1 ? argv[1] : "host", &here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    if (here.rank == 0)
        printf("# comm %s on %d ranks\n", all->is->name, all->size);
    test_allreduce();
    test_few_values();
    if (!memory)
        test_few_bytes();
    test_reduce_scatter();
    test_allgather();
    test_broadcast_and_reduce();
    test_scatter_and_gather();
    test_many_outstanding();
    test_chain();
    test_same_bits();
    test_helpers_and_refusals();
    test_choices(&here);
    test_shared_gpus();
    comm_fixture_close();
    if (launch_finish(&here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    if (here.rank == 0)
        return check_done();
    return check_failures != 0;
}
