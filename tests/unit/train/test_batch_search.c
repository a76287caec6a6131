/* The numbers of the search for a batch: which is even, and the most that is within a bound. */
#include "../check.h"
#include "train/batch_search.h"

#include <math.h>

static void even(void) {
    static const int64_t cases[][2] = {
        {1, 1},     {2, 2},     {33, 33},   {50, 50},   {51, 51},    {67, 66},     {65, 65},
        {127, 126}, {129, 128}, {284, 280}, {287, 284}, {1000, 992}, {4000, 3968}, {4096, 4096}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        int64_t found = batch_even(cases[index][0]);
        CHECK(found == cases[index][1], "%lld: %lld", (long long)cases[index][0], (long long)found);
        CHECK(found <= cases[index][0] && (double)found >= 0.985 * (double)cases[index][0]);
    }
    check_case("an even batch is at most 1.5% below the most");
}

/* What a plan may look like: something fixed, something for each image, and steps. */
typedef struct shape {
    double fixed, each, step;
} shape;
static int probes;

static int load(void *context, int64_t number, double *out, ls_error *error) {
    const shape *self = context;
    (void)error;
    probes++;
    *out = self->fixed + self->each * (double)number + self->step * floor((double)number / 64);
    return LS_OK;
}

static void most(void) {
    static const struct {
        shape of;
        int64_t most, least, highest;
    } cases[] = {
        {{0.5, 0.001, 0}, 4000, 498, 500},
        {{0.5, 0.001, 0}, 300, 300, 300},
        {{1.1, 0.001, 0}, 300, 0, 0},
        {{0.9, 0.06, 0}, 300, 1, 1},
        {{0.98, 0.021, 0}, 300, 0, 0},
        {{0.1, 0.00002, 0.003}, 1 << 20, 13466, 13500},
        {{0, 1e-6, 0}, 1 << 20, 996000, 1000000},
        {{0.2, 0.0, 0.05}, 5000, 1020, 1087},
        {{0.5, 0.2, 0}, 1, 1, 1},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        shape of = cases[index].of;
        ls_error error = {0};
        int64_t found = -1;
        double last = 0;
        probes = 0;
        CHECK(batch_most_within(cases[index].most, load, &of, &found, &error) == LS_OK);
        CHECK(found >= cases[index].least && found <= cases[index].highest && probes <= 24,
              "%zu: %lld in %d probes", index, (long long)found, probes);
        CHECK(found == 0 || (load(&of, found, &last, &error) == LS_OK && last <= 1));
    }
    check_case("the most within a bound, whatever the shape of the plan");
}

int main(void) {
    even();
    most();
    return check_done();
}
