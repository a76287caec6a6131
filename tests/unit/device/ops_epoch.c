/* begin_epoch: the order that a device makes is the one that permutation_at tells position by
 * position, for every rank's share, and nothing else of the states changes. */
#include "ops_fixture.h"

#include "base/share.h"

#include <stdlib.h>

enum { STATES = 2 };

static epoch_arguments epoch_of(int64_t samples, int64_t batch, int rank, int size, int epoch) {
    epoch_arguments a = {.epoch = epoch, .state_count = STATES, .batch = batch};
    a.batches = (samples + batch - 1) / batch;
    share part = share_of(batch, rank, size);
    share last = share_of(samples - (a.batches - 1) * batch, rank, size);
    a.part = (epoch_part){part.first, part.count};
    a.last_part = (epoch_part){last.first, last.count};
    permutation_start(&a.shuffle, samples, 77, (uint32_t)epoch);
    return a;
}

/* Every position's id by hand: which batch it is of, and where in it. */
static void expect_order(const epoch_arguments *a, const int64_t *got) {
    int64_t at = 0, wrong = 0;
    for (int64_t batch = 0; batch < a->batches; batch++) {
        epoch_part part = batch + 1 == a->batches ? a->last_part : a->part;
        for (int64_t k = 0; k < part.count; k++) {
            int64_t position = batch * a->batch + part.first + k;
            int64_t want = a->same       ? k
                           : a->shuffled ? permutation_at(&a->shuffle, position)
                                         : position;
            wrong += got[at++] != want;
        }
    }
    expect(wrong == 0 && at == epoch_order_count(a), "%lld of %lld ids are wrong", (long long)wrong,
           (long long)at);
}

static void expect_states(const epoch_arguments *a, const step_state *got) {
    for (int index = 0; index < STATES; index++)
        expect(got[index].epoch == a->epoch && got[index].cursor == 0 && got[index].step == 41 &&
                   got[index].skipped == 2 && got[index].loss_scale == 512.0f,
               "state %d: epoch %lld, cursor %lld, step %lld", index, (long long)got[index].epoch,
               (long long)got[index].cursor, (long long)got[index].step);
}

static void one_epoch(subject *s, epoch_arguments a, bool ordered) {
    ls_error error = {0};
    step_state before[STATES], after[STATES];
    int64_t most = (a.batches - 1) * a.part.count + a.last_part.count;
    int64_t *ids = calloc((size_t)most + 1, sizeof *ids);
    for (int index = 0; index < STATES; index++)
        before[index] = (step_state){.step = 41, .skipped = 2, .cursor = 9, .loss_scale = 512.0f};
    array states = array_of(s, before, sizeof before);
    array order = array_new(s, (size_t)(most + 1) * sizeof *ids);
    a.states = states.memory;
    a.order = ordered ? order.memory : NULL;
    must(s->ops->begin_epoch(s->device, s->stream, &a, &error), &error);
    array_get(s, &states, after);
    array_get(s, &order, ids);
    expect_states(&a, after);
    if (ordered)
        expect_order(&a, ids);
    array_free(s, &states), array_free(s, &order);
    free(ids);
}

void test_begin_epoch(subject *s) {
    static const int64_t sizes[][2] = {{50000, 64}, {1000, 64}, {13, 5}, {8, 8}, {7, 3}, {1, 1}};
    for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++)
        for (int ranks = 1; ranks <= 3 && ranks <= sizes[size][1]; ranks++)
            for (int rank = 0; rank < ranks; rank++) {
                epoch_arguments a = epoch_of(sizes[size][0], sizes[size][1], rank, ranks, 1 + rank);
                one_epoch(s, a, true);
                a.shuffled = true;
                one_epoch(s, a, true);
                a.same = true;
                one_epoch(s, a, true);
                one_epoch(s, a, false);
            }
    case_done(s, "begin_epoch: the order by permutation_at, of every rank's share");
}
