/* The search for a number of loader threads, against machines whose loader and steps are known. No
 * clock, no threads: the search is a function of what was measured. */
#include "../check.h"
#include "input/thread_search.h"

#include <math.h>

/* A batch costs one thread `fetch` seconds and the steps `step`; `gainful` threads help. */
typedef struct machine {
    double fetch, step;
    int gainful;
} machine;

static thread_window watch(const machine *on, int threads) {
    int useful = threads < on->gainful ? threads : on->gainful;
    double batch = fmax(on->step, on->fetch / useful);
    return (thread_window){.batches = 20,
                           .seconds = 20 * batch,
                           .waited_seconds = 20 * (batch - on->step),
                           .busy_seconds = 20 * on->fetch * threads / useful};
}

/* Its number of threads at the end; 0: it did not end. */
static int search(const machine *on, int first, int most, int *windows) {
    thread_search tested;
    thread_search_start(&tested, first, most);
    for (*windows = 0; !tested.settled && *windows < 40; ++*windows) {
        thread_window seen = watch(on, tested.threads);
        thread_search_next(&tested, &seen);
        CHECK(tested.threads >= 1 && tested.threads <= most, "%d of %d", tested.threads, most);
    }
    return tested.settled ? tested.threads : 0;
}

/* Enough to keep up, and no more than that with a quarter to spare. */
static void test_found(void) {
    for (int most = 1; most <= 24; most++)
        for (int first = 1; first <= most; first++)
            for (double fetch = 0.3; fetch < 30; fetch *= 1.37) {
                machine on = {fetch, 1, 64};
                int windows, found = search(&on, first, most, &windows);
                int least = (int)ceil(fetch * 0.98), spare = (int)ceil(1.25 * fetch);
                CHECK(found >= (least < most ? least : most) && found <= (spare > 1 ? spare : 1),
                      "a fetch of %g steps, %d of %d threads at first: %d found", fetch, first,
                      most, found);
                CHECK(windows <= 8, "%d windows", windows);
            }
    check_case("as many threads as keep up, from any first estimate");
}

/* Where the disk is what limits, threads that bring nothing are given back. */
static void test_no_gain(void) {
    for (int gainful = 1; gainful <= 4; gainful++)
        for (int first = 1; first <= 16; first++) {
            machine on = {40, 1, gainful};
            int windows, found = search(&on, first, 16, &windows);
            CHECK(first >= gainful ? found == first : found >= gainful && found < 2 * gainful,
                  "%d help, %d at first: %d found", gainful, first, found);
        }
    check_case("threads that bring nothing are not added");
}

/* It ends whatever it is told, and holds its bounds. */
static void test_noise(void) {
    uint32_t state = 1;
    for (int round = 0; round < 2000; round++) {
        thread_search tested;
        int windows = 0, most = 1 + round % 33;
        thread_search_start(&tested, 1 + round % most, most);
        for (; !tested.settled && windows < 100; windows++) {
            double draw[3];
            for (int index = 0; index < 3; index++) {
                state = state * 1664525 + 1013904223;
                draw[index] = (double)(state >> 8) / (1 << 24);
            }
            thread_window seen = {.batches = 16,
                                  .seconds = 0.2 + draw[0],
                                  .waited_seconds = draw[1] * (0.2 + draw[0]),
                                  .busy_seconds = draw[2] * 40};
            thread_search_next(&tested, &seen);
            CHECK(tested.threads >= 1 && tested.threads <= most, "%d", tested.threads);
        }
        CHECK(tested.settled, "no end after %d windows, most %d", windows, most);
        int found = tested.threads;
        thread_search_next(&tested, &(thread_window){16, 1, 1, 99});
        CHECK(tested.threads == found, "a search that has ended went on");
    }
    check_case("it ends on any measurements, within its bounds");
}

int main(void) {
    test_found();
    test_no_gain();
    test_noise();
    return check_done();
}
