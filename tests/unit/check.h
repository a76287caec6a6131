/* The checks of the unit tests: a failed check prints where and what, and the test goes on; the
 * program's exit status says whether any failed. TAP on stdout: one line a case. */
#ifndef LOCKSTEP_TESTS_CHECK_H
#define LOCKSTEP_TESTS_CHECK_H

#include <stdarg.h>
#include <stdio.h>

static int check_failures, check_cases, check_case_failures;

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            check_case_failures++;                                                                 \
            printf("# %s:%d: %s:", __FILE__, __LINE__, #condition);                                \
            printf(" " __VA_ARGS__);                                                               \
            printf("\n");                                                                          \
        }                                                                                          \
    } while (0)

/* A failed check with a text of its own. */
static inline void check_failed(const char *format, va_list arguments) {
    printf("# ");
    vprintf(format, arguments);
    printf("\n");
    check_case_failures++;
}

static inline void check_case(const char *name) {
    printf("%sok %d - %s\n", check_case_failures ? "not " : "", ++check_cases, name);
    check_failures += check_case_failures;
    check_case_failures = 0;
}

static inline int check_done(void) {
    printf("1..%d\n", check_cases);
    return check_failures != 0;
}

#endif
