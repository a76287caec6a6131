/* A choice among files (an optimizer's rule, a schedule) whose files bring options of their own:
 * each has a place for their values in the settings of a run, by its number in the list. */
#ifndef LOCKSTEP_TRAIN_OPTIM_OWN_SETTINGS_H
#define LOCKSTEP_TRAIN_OPTIM_OWN_SETTINGS_H

#include "base/option.h"

enum { OWN_SETTINGS_BYTES = 64 };

/* A struct of at most so many bytes, which its file knows. */
typedef union own_settings {
    char bytes[OWN_SETTINGS_BYTES];
    double aligned;
} own_settings;

#endif
