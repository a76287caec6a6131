/* The list of kinds of data. */
#include "input/samples.h"

extern const data_kind data_jpegs, data_pixels;

/* The first that recognises a folder has it; the last takes what none does, and says what is wrong
 * with it. */
static const data_kind *const kinds[] = {&data_jpegs, &data_pixels};

int samples_open(const char *folder, const char *split, const sample_choices *choices,
                 bool training, samples **out, ls_error *error) {
    enum { LAST = sizeof kinds / sizeof kinds[0] - 1 };
    int kind = 0;
    while (kind < LAST && !kinds[kind]->recognises(folder))
        kind++;
    return kinds[kind]->open(folder, split, choices, training, out, error);
}

void samples_close(samples *self) {
    if (self)
        self->is->close(self);
}
