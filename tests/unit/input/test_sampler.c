/* Properties of the order of an epoch, and of its split over ranks. */
#include "../check.h"
#include "base/share.h"
#include "input/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int is_permutation(int64_t n, uint64_t seed, int epoch) {
    sampler order;
    unsigned char *seen = calloc((size_t)n, 1);
    sampler_start(&order, n, seed, epoch, 1);
    int complete = 1;
    for (int64_t position = 0; complete && position < n; position++) {
        int64_t index = sampler_index(&order, position);
        complete = index >= 0 && index < n && !seen[index]++;
    }
    free(seen);
    return complete;
}

static void test_permutation(void) {
    static const uint64_t seeds[] = {0, 1, 42, 0xFFFFFFFFFFFFFFFFu};
    for (int64_t n = 1; n <= 300; n++)
        for (int seed = 0; seed < 4; seed++)
            for (int epoch = 1; epoch <= 3; epoch++)
                CHECK(is_permutation(n, seeds[seed], epoch), "n %lld seed %d epoch %d",
                      (long long)n, seed, epoch);
    static const int64_t large[] = {4095, 4096, 4097, 50000, 65536, 65537, 1281167};
    for (int index = 0; index < 7; index++)
        CHECK(is_permutation(large[index], 7, index), "n %lld", (long long)large[index]);
    check_case("a permutation for every n, seed and epoch tried");
}

/* What cannot be counted: 2^40 images. Positions in a window stay in range and are distinct. */
static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void test_huge(void) {
    enum { WINDOW = 100000 };
    static int64_t found[WINDOW];
    static const int64_t sizes[] = {(int64_t)1 << 40, ((int64_t)1 << 40) - 1,
                                    ((int64_t)1 << 38) + 1};
    for (int size = 0; size < 3; size++) {
        sampler order;
        sampler_start(&order, sizes[size], 3, 1, 1);
        for (int64_t position = 0; position < WINDOW; position++)
            found[position] = sampler_index(&order, sizes[size] - WINDOW + position);
        qsort(found, WINDOW, sizeof *found, by_value);
        CHECK(found[0] >= 0 && found[WINDOW - 1] < sizes[size]);
        for (int64_t position = 1; position < WINDOW; position++)
            CHECK(found[position] != found[position - 1]);
        CHECK(found[WINDOW / 2] > sizes[size] / 5 * 2 && found[WINDOW / 2] < sizes[size] / 5 * 3);
    }
    check_case("2^40 images: in range, distinct, spread");
}

static void test_identity(void) {
    sampler order;
    sampler_start(&order, 1000, 5, 3, 0);
    for (int64_t position = 0; position < 1000; position++)
        CHECK(sampler_index(&order, position) == position);
    check_case("not shuffled: the identity");
}

/* The union of all ranks' shares of all global batches is every index once. */
static int union_is_exact(int64_t n, int64_t batch, int ranks) {
    sampler order;
    unsigned char *seen = calloc((size_t)n, 1);
    int64_t total = 0;
    int exact = 1;
    sampler_start(&order, n, 11, 2, 1);
    for (int64_t first = 0; first < n; first += batch) {
        int64_t global = n - first < batch ? n - first : batch, next = 0;
        for (int rank = 0; rank < ranks; rank++) {
            share mine = share_of(global, rank, ranks);
            exact = exact && mine.first == next && mine.count >= global / ranks &&
                    mine.count <= (global + ranks - 1) / ranks;
            next = mine.first + mine.count;
            for (int64_t index = 0; index < mine.count; index++, total++)
                exact = exact && !seen[sampler_index(&order, first + mine.first + index)]++;
        }
        exact = exact && next == global;
    }
    free(seen);
    return exact && total == n;
}

static void test_union(void) {
    static const int64_t sizes[] = {1, 2, 7, 63, 64, 65, 1000, 4099};
    static const int64_t batches[] = {1, 3, 8, 64, 128, 257, 5000};
    static const int ranks[] = {1, 2, 3, 4, 5, 8, 13};
    for (int n = 0; n < 8; n++)
        for (int batch = 0; batch < 7; batch++)
            for (int count = 0; count < 7; count++)
                CHECK(union_is_exact(sizes[n], batches[batch], ranks[count]),
                      "n %lld batch %lld ranks %d", (long long)sizes[n], (long long)batches[batch],
                      ranks[count]);
    check_case("the union over the ranks is exact, the ragged last batch included");
}

static void test_epochs_differ(void) {
    for (int64_t n = 50; n <= 50000; n *= 10) {
        sampler first, other;
        int64_t same_epoch = 0, same_seed = 0;
        sampler_start(&first, n, 1, 1, 1);
        sampler_start(&other, n, 1, 2, 1);
        for (int64_t position = 0; position < n; position++)
            same_epoch += sampler_index(&first, position) == sampler_index(&other, position);
        sampler_start(&other, n, 2, 1, 1);
        for (int64_t position = 0; position < n; position++)
            same_seed += sampler_index(&first, position) == sampler_index(&other, position);
        /* Two random permutations share one place on average, whatever n. */
        CHECK(same_epoch < 10 && same_seed < 10, "n %lld: %lld, %lld", (long long)n,
              (long long)same_epoch, (long long)same_seed);
        sampler_start(&other, n, 1, 1, 1);
        CHECK(sampler_index(&first, n / 2) == sampler_index(&other, n / 2));
    }
    check_case("epochs and seeds give other orders, the same ones the same");
}

/* Chi-square of where position `position` lands over many epochs: with n - 1 degrees of freedom
 * its mean is n - 1 and its deviation sqrt(2 (n - 1)); five deviations are never chance. */
static double excess(int64_t n, int64_t position, int by_seed) {
    enum { DRAWS = 20000 };
    double expected = (double)DRAWS / (double)n, sum = 0;
    int *count = calloc((size_t)n, sizeof *count);
    for (int draw = 0; draw < DRAWS; draw++) {
        sampler order;
        sampler_start(&order, n, by_seed ? (uint64_t)draw : 9, by_seed ? 1 : draw + 1, 1);
        count[sampler_index(&order, position)]++;
    }
    for (int64_t index = 0; index < n; index++)
        sum += (count[index] - expected) * (count[index] - expected) / expected;
    free(count);
    return (sum - (double)(n - 1)) / sqrt(2.0 * (double)(n - 1));
}

static void test_uniform(void) {
    static const int64_t sizes[] = {2, 3, 5, 10, 16, 17, 100, 1000};
    for (int n = 0; n < 8; n++)
        for (int by_seed = 0; by_seed < 2; by_seed++) {
            double first = excess(sizes[n], 0, by_seed);
            double last = excess(sizes[n], sizes[n] - 1, by_seed);
            CHECK(fabs(first) < 5 && fabs(last) < 5, "n %lld by %s: %.1f, %.1f",
                  (long long)sizes[n], by_seed ? "seed" : "epoch", first, last);
        }
    check_case("the first and the last position land everywhere alike (chi-square)");
}

/* Neighbours in the epoch are not neighbours in the data: their mean distance is n / 3. */
static void test_neighbours(void) {
    for (int64_t n = 100; n <= 100000; n *= 10) {
        sampler order;
        double sum = 0;
        sampler_start(&order, n, 4, 1, 1);
        for (int64_t position = 1; position < n; position++)
            sum += fabs(
                (double)(sampler_index(&order, position) - sampler_index(&order, position - 1)));
        double mean = sum / (double)(n - 1) / (double)n;
        CHECK(fabs(mean - 1.0 / 3) < 1.2 / sqrt((double)n), "n %lld: %.4f", (long long)n, mean);
    }
    check_case("neighbours in the epoch are far apart in the data");
}

/* A permutation, whose windows hold whole blocks, and whose order changes inside and between. */
static void test_blocks(void) {
    static const struct {
        int64_t n, block, window;
    } cases[] = {{1000, 64, 4}, {1024, 64, 4}, {1, 64, 3},  {63, 64, 1},
                 {65, 64, 1},   {700, 7, 100}, {701, 7, 5}, {5000, 1, 9}};
    static uint8_t seen[5000];
    for (size_t which = 0; which < sizeof cases / sizeof cases[0]; which++)
        for (int epoch = 1; epoch <= 5; epoch++) {
            int64_t n = cases[which].n, block = cases[which].block, window = -1, at = 0, fixed = 0;
            sampler_blocks blocks = {block, cases[which].window};
            sampler order;
            sampler_start_blocks(&order, n, 17, epoch, blocks);
            memset(seen, 0, sizeof seen);
            for (int64_t position = 0; position < n; position++) {
                int64_t index = sampler_index(&order, position);
                int64_t here = sampler_window(&order, position), found = -1, each;
                CHECK(index >= 0 && index < n && !seen[index]++, "%lld", (long long)index);
                CHECK(here == window || here == window + 1, "window %lld", (long long)here);
                at = here == window ? at : 0;
                window = here;
                for (int64_t k = 0; (each = sampler_window_block(&order, window, k)) >= 0; k++)
                    found = each == index / block ? k : found;
                CHECK(found >= 0, "%lld is not of window %lld", (long long)index,
                      (long long)window);
                fixed += found == at++ / block;
            }
            if (n >= 1000)
                CHECK(fixed < n / 2, "%lld of %lld lie in the order of blocks", (long long)fixed,
                      (long long)n);
        }
    sampler one, other;
    sampler_blocks blocks = {64, 4};
    int64_t same = 0;
    sampler_start_blocks(&one, 5000, 17, 1, blocks);
    sampler_start_blocks(&other, 5000, 17, 2, blocks);
    for (int64_t position = 0; position < 5000; position++)
        same += sampler_index(&one, position) == sampler_index(&other, position);
    CHECK(same < 50, "%lld", (long long)same);
    check_case("a block shuffle is a permutation, and its windows are of whole blocks");
}

int main(void) {
    test_permutation();
    test_huge();
    test_identity();
    test_union();
    test_epochs_differ();
    test_uniform();
    test_neighbours();
    test_blocks();
    return check_done();
}
