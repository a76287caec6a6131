#include "report/run/earlier.h"

#include "report/facts/files.h"
#include "report/run/events_run.h"
#include "report/tensorboard/events_file.h"

#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static bool is_written_by_options(const char *name) {
    static const char *const names[] = {STEPS_FILE, CERTIFICATE_FILE, GPU_FILE,  CPU_FILE,
                                        RANKS_FILE, LAYERS_FILE,      TRACE_FILE};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++)
        if (strcmp(name, names[index]) == 0)
            return true;
    return false;
}

void earlier_remove(const char *folder) {
    DIR *stream = opendir(folder);
    if (!stream)
        return;
    int at = dirfd(stream);
    if (faccessat(at, EPOCHS_FILE, F_OK, 0) == 0)
        for (struct dirent *entry; (entry = readdir(stream));)
            if (is_written_by_options(entry->d_name) ||
                event_file_is_of(at, entry->d_name, RUN_EVENTS_FIRST_TAG))
                unlinkat(at, entry->d_name, 0);
    closedir(stream);
}
