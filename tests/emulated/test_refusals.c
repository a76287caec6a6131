/* Each query and each run of cuBLASLt and cuDNN refused in turn, with several statuses, and all
 * from one on: every training ends, with the losses of one that was refused nothing, and says what
 * was refused; where another way was taken, which.   usage: test_refusals PRECISION */
#include "refusals.h"
#include "tiny_training.h"

#include "../unit/check.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static precision tested;
static tiny_training clean, refused;
static char *imported; /* choices of a run that timed */

static const char *const kind_names[] = {"description of cuBLASLt", "query of cuBLASLt",
                                         "run of cuBLASLt",         "description of cuDNN",
                                         "query of cuDNN",          "run of cuDNN"};
static const char *const choice_names[] = {"first offers", "imported choices", "timed choices"};

/* The libraries' stand-ins and our kernels sum in double and round once; the last bits of a sum may
 * differ, and a bias is rounded to a 16 bit type or not. */
static double bound(void) {
    return tested == PRECISION_BF16 ? 0.05 : tested == PRECISION_FP32 ? 2e-5 : 1e-2;
}

static double distance(void) {
    double worst = 0;
    for (int step = 0; step < TINY_STEPS; step++) {
        double apart = fabs(refused.losses[step] - clean.losses[step]);
        worst = apart > worst || isnan(apart) ? apart : worst;
    }
    return worst;
}

static bool names_another_way(void) {
    for (int index = 0; index < refused.fallbacks.count; index++)
        if (strstr(refused.fallbacks.lines[index], "; taken: "))
            return true;
    return false;
}

/* Timed, another engine is ordinary: the clock decides. */
static void check_refused(refusable_call kind, tiny_choice choice, int first, bool all_later,
                          int status) {
    char what[96];
    snprintf(what, sizeof what, "%s %d%s, status %d, %s", kind_names[kind], first,
             all_later ? " and later" : "", status, choice_names[choice]);
    CHECK(!refused.error.code, "%s: %s", what, refused.error.text);
    if (refused.error.code)
        return;
    CHECK(distance() <= bound(), "%s: losses differ by %g", what, distance());
    if (choice != BY_TIME && strcmp(refused.plans, clean.plans) != 0)
        CHECK(names_another_way(), "%s: other plans, and no word of it:\n# %s# %s", what,
              clean.plans, refused.plans);
    else if (choice != BY_TIME && kind != DNN_DESCRIBE) /* of which it wants more than it uses */
        CHECK(refused.fallbacks.count + refused.refusals.count > 0, "%s: no word of it", what);
}

/* The library's own status, others that it might answer, and, of a query, success with nothing. */
static int status_of(refusable_call kind, int number) {
    static const int blas[] = {-1, 7, 13}, dnn[] = {-1, 2000, 5000};
    if (kind == BLAS_QUERY && number % 4 == 3)
        return 0;
    return kind < DNN_DESCRIBE ? blas[number % 3] : dnn[number % 3];
}

/* Of every `stride`-th call. */
static void sweep(refusable_call kind, tiny_choice choice, bool all_later, int stride) {
    bool short_too = kind != DNN_QUERY || choice == BY_IMPORT; /* the same queries once more */
    char name[128], each[24] = "each";
    emulated_refuse(kind, 0, 0, 0);
    tiny_train(tested, choice, short_too, imported, NULL, &clean);
    int calls = emulated_calls(kind);
    CHECK(!clean.error.code && calls > 0, "%d calls: %s", calls, clean.error.text);
    for (int first = 1; first <= calls; first += stride) {
        int status = status_of(kind, first);
        emulated_refuse(kind, first, all_later ? INT_MAX : first, status);
        tiny_train(tested, choice, short_too, imported, NULL, &refused);
        CHECK(emulated_calls(kind) >= first, "only %d calls", emulated_calls(kind));
        check_refused(kind, choice, first, all_later, status);
    }
    if (stride > 1)
        snprintf(each, sizeof each, "every %dth", stride);
    snprintf(name, sizeof name, "%s, %s: %s %s refused%s (%d calls)", precision_name(tested),
             choice_names[choice], each, kind_names[kind], all_later ? ", with all later ones" : "",
             calls);
    check_case(name);
}

int main(int count, char **arguments) {
    for (int each = 0; each < PRECISION_COUNT; each++)
        if (count == 2 && strcmp(arguments[1], precision_name((precision)each)) == 0)
            tested = (precision)each;
    emulated_refuse(BLAS_RUN, 0, 0, 0);
    tiny_train(tested, BY_TIME, true, NULL, &imported, &clean);
    CHECK(!clean.error.code, "%s", clean.error.text);
    bool all = tested == PRECISION_BF16; /* whose graphs have two forms, as fp16's */
    sweep(BLAS_QUERY, BY_FIRST_OFFER, false, 1);
    sweep(BLAS_RUN, BY_FIRST_OFFER, false, 1);
    sweep(DNN_QUERY, BY_IMPORT, false, 1);
    sweep(DNN_QUERY, BY_FIRST_OFFER, false, all ? 1 : 5);
    sweep(DNN_RUN, BY_IMPORT, false, 1);
    sweep(DNN_RUN, BY_FIRST_OFFER, false, 1);
    static const refusable_call kinds[] = {BLAS_QUERY, BLAS_RUN, DNN_QUERY, DNN_RUN};
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++)
        sweep(kinds[kind], BY_FIRST_OFFER, true, kinds[kind] == DNN_QUERY ? 53 : 5);
    sweep(BLAS_DESCRIBE, BY_FIRST_OFFER, false, 17);
    sweep(DNN_DESCRIBE, BY_FIRST_OFFER, false, 211);
    free(imported);
    return check_done();
}
