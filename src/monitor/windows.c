#include "monitor/windows.h"

void windows_mark(windows *self, double time, bool start) {
    if (start == self->open_at_end)
        return;
    if (self->pending == MOST_PENDING_MARKS) {
        self->lost = true;
        return;
    }
    self->marks[self->pending++] = time;
    self->open_at_end = start;
}

double windows_advance(windows *self, double time) {
    int passed = 0;
    while (passed < self->pending && self->marks[passed] <= time) {
        if (self->open)
            self->training_seconds += self->marks[passed] - self->now;
        self->open = !self->open;
        self->now = self->marks[passed++];
    }
    if (self->open)
        self->training_seconds += time - self->now;
    self->now = time;
    for (int index = passed; index < self->pending; index++)
        self->marks[index - passed] = self->marks[index];
    self->pending -= passed;
    return self->training_seconds;
}
