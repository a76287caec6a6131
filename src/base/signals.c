#include "base/signals.h"

#include <stddef.h>

static const struct {
    int number;
    const char *name;
    bool even_if_ignored;
} ending[] = {{SIGHUP, "SIGHUP", false},   {SIGINT, "SIGINT", true},
              {SIGTERM, "SIGTERM", true},  {SIGUSR1, "SIGUSR1", false},
              {SIGUSR2, "SIGUSR2", false}, {SIGXCPU, "SIGXCPU", false}};
enum { ENDING = sizeof ending / sizeof ending[0] };

static int find(int number) {
    for (int index = 0; index < ENDING; index++)
        if (ending[index].number == number)
            return index;
    return -1;
}

bool signals_end(int number) {
    return find(number) >= 0;
}

const char *signals_name(int number) {
    int index = find(number);
    return index < 0 ? "a signal" : ending[index].name;
}

int signals_exit_code(int number) {
    return 128 + number;
}

void signals_add(sigset_t *set) {
    for (int index = 0; index < ENDING; index++)
        sigaddset(set, ending[index].number);
}

void signals_remove(sigset_t *set) {
    for (int index = 0; index < ENDING; index++)
        sigdelset(set, ending[index].number);
}

static bool remembered, ignored[ENDING];

void signals_remember(void) {
    for (int index = 0; index < ENDING; index++) {
        struct sigaction now;
        ignored[index] = sigaction(ending[index].number, NULL, &now) == 0 &&
                         !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_IGN;
    }
    remembered = true;
}

void signals_catch(void (*handler)(int number)) {
    if (!remembered)
        signals_remember();
    for (int index = 0; index < ENDING; index++) {
        bool stays = ignored[index] && !ending[index].even_if_ignored;
        struct sigaction action = {.sa_handler = stays ? SIG_IGN : handler, .sa_flags = SA_RESTART};
        sigemptyset(&action.sa_mask);
        sigaction(ending[index].number, &action, NULL);
    }
}
