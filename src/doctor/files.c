/* The folders of data and results, as every rank sees them. */
#include "data/dataset.h"
#include "data/folder.h"
#include "doctor/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB (1024.0 * 1024.0)

/* A run's files: logs and tables of some KiB, a gpu.csv of up to 10 MB, a profile of some 10 MB.
 * Without the first a run cannot end well. */
static const double LEAST_BYTES = 1 * MIB, ENOUGH_BYTES = 64 * MIB;

typedef struct file_facts {
    char data_error[768], data_id[65];
    char lock_error[128]; /* strerror; "" it locks */
    char locked[512];     /* what was locked */
    char results_error[256];
    char results[512]; /* the folder that is there: itself, or the nearest above it */
    double free_bytes; /* -1 unknown */
} file_facts;

/* A folder that is there: `path` or the nearest above it. */
static void nearest_folder(const char *path, char *out, size_t capacity) {
    snprintf(out, capacity, "%s", path);
    while (out[0] && !is_folder(out)) {
        char *slash = strrchr(out, '/');
        if (!slash)
            snprintf(out, capacity, ".");
        else if (slash == out)
            out[1] = '\0';
        else
            *slash = '\0';
        if (strcmp(out, "/") == 0 || strcmp(out, ".") == 0)
            return;
    }
}

/* flock(2) is what HDF5 locks with (H5FDsec2.c): shared to read, exclusive to write. */
static void try_lock(int descriptor, int kind, file_facts *out) {
    if (flock(descriptor, kind | LOCK_NB) == 0)
        flock(descriptor, LOCK_UN);
    else
        snprintf(out->lock_error, sizeof out->lock_error, "%s", strerror(errno));
}

static void lock_first_file(const char *folder, file_facts *out) {
    name_list names = {0};
    ls_error ignored = {0}; /* dataset_open says it */
    if (folder_list(folder, &names, &ignored) != LS_OK)
        return;
    for (int index = 0; index < names.count && !out->locked[0]; index++) {
        snprintf(out->locked, sizeof out->locked, "%.380s/%.120s", folder, names.names[index]);
        int descriptor = open(out->locked, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (descriptor >= 0)
            try_lock(descriptor, LOCK_SH, out);
        else
            out->locked[0] = '\0';
        if (descriptor >= 0)
            close(descriptor);
    }
    name_list_release(&names);
}

static void read_data(const char *folder, file_facts *out) {
    static const char *const splits[] = {"train", "test"};
    lock_first_file(folder, out);
    for (int index = 0; index < 2 && !out->data_error[0]; index++) {
        ls_error found = {0};
        dataset *opened = NULL;
        if (dataset_open(folder, splits[index], &opened, &found) != LS_OK)
            snprintf(out->data_error, sizeof out->data_error, "%.767s", found.text);
        else
            snprintf(out->data_id, sizeof out->data_id, "%s", opened->facts.id);
        dataset_close(opened);
    }
}

static void measure_room(const char *folder, file_facts *out) {
    struct statvfs found;
    nearest_folder(folder, out->results, sizeof out->results);
    if (statvfs(out->results, &found) == 0)
        out->free_bytes = (double)found.f_bavail * (double)found.f_frsize;
}

/* A real file, for permissions, mounts and quotas say no in their own ways. */
static void write_results(bool lock, file_facts *out) {
    char path[544];
    static char block[65536];
    snprintf(path, sizeof path, "%s/.lockstep-XXXXXX", out->results);
    int descriptor = mkostemp(path, O_CLOEXEC);
    if (descriptor < 0) {
        snprintf(out->results_error, sizeof out->results_error, "cannot make a file: %s",
                 strerror(errno));
        return;
    }
    ssize_t written = write(descriptor, block, sizeof block);
    if (written != (ssize_t)sizeof block || fsync(descriptor) != 0)
        snprintf(out->results_error, sizeof out->results_error, "cannot write: %s",
                 written < 0 || written == (ssize_t)sizeof block ? strerror(errno)
                                                                 : strerror(ENOSPC));
    if (lock) {
        snprintf(out->locked, sizeof out->locked, "%s", out->results);
        try_lock(descriptor, LOCK_EX, out);
    }
    unlink(path);
    close(descriptor);
}

static int examine(examination *self, void *facts, ls_error *error) {
    file_facts *mine = facts;
    const doctor_settings *wanted = self->settings;
    (void)error;
    mine->free_bytes = -1;
    if (wanted->results && self->me->rank == 0)
        measure_room(wanted->results, mine);
    if (self->at_start) /* the run opens the rest itself */
        return LS_OK;
    if (wanted->data)
        read_data(wanted->data, mine);
    if (wanted->results && self->me->rank == 0)
        write_results(!wanted->data, mine);
    return LS_OK;
}

/* ---- judging */

static void judge_data(const ward *all, finding *out) {
    const file_facts *ranks = all->facts;
    if (!all->settings->data) {
        finding_say(out, FINDING_SKIPPED, NULL, "not looked at (--data DIR)");
        return;
    }
    for (int rank = 0; rank < all->size; rank++)
        if (ranks[rank].data_error[0])
            finding_say(out, FINDING_FAILURE,
                        "export LOCKSTEP_DATA=/shared/DIR   # a folder that all nodes see; "
                        "`lockstep pack` makes one, `ls -l` shows who may read it",
                        "%s: %s", name_rank(all, rank), ranks[rank].data_error);
    for (int rank = 1; rank < all->size; rank++)
        if (strcmp(ranks[rank].data_id, ranks[0].data_id) != 0)
            finding_say(out, FINDING_FAILURE,
                        "export LOCKSTEP_DATA=/shared/DIR   # one folder that all nodes see",
                        "%s finds data set %.12s..., rank 0 finds %.12s...", name_rank(all, rank),
                        ranks[rank].data_id, ranks[0].data_id);
    finding_say(out, FINDING_OK, NULL, "%.400s is read by all ranks: data set %.12s...",
                all->settings->data, ranks[0].data_id);
}

static void judge_locks(const ward *all, finding *out) {
    static const char mend[] = "export HDF5_USE_FILE_LOCKING=FALSE";
    const file_facts *ranks = all->facts;
    const char *wanted = getenv("HDF5_USE_FILE_LOCKING");
    bool off = wanted && (strcmp(wanted, "FALSE") == 0 || strcmp(wanted, "0") == 0);
    bool on = wanted && (strcmp(wanted, "TRUE") == 0 || strcmp(wanted, "1") == 0);
    if (off) {
        finding_say(out, FINDING_OK, NULL, "HDF5_USE_FILE_LOCKING=%s: HDF5 does not lock", wanted);
        return;
    }
    for (int rank = 0; rank < all->size; rank++)
        if (ranks[rank].lock_error[0])
            finding_say(out, on ? FINDING_FAILURE : FINDING_WARNING, mend,
                        "%s cannot lock %s: %s (%s)", name_rank(all, rank), ranks[rank].locked,
                        ranks[rank].lock_error,
                        on ? "HDF5_USE_FILE_LOCKING tells HDF5 to"
                           : "lockstep itself does without, other programs on HDF5 do not");
    if (!ranks[0].locked[0])
        finding_say(out, FINDING_SKIPPED, NULL, "not tried (--data DIR, --results DIR)");
    else
        finding_say(out, FINDING_OK, NULL, "%.400s can be locked", ranks[0].locked);
}

static void judge_results(const ward *all, finding *out) {
    const file_facts *first = all->facts;
    if (!all->settings->results) {
        finding_say(out, FINDING_SKIPPED, NULL, "not looked at (--results DIR)");
        return;
    }
    if (first->results_error[0])
        finding_say(out, FINDING_FAILURE,
                    "export LOCKSTEP_RESULTS=/DIR/that/can/be/written   # --results of `train`",
                    "%s: %s: %s", name_rank(all, 0), first->results, first->results_error);
    if (is_folder(all->settings->results))
        finding_say(out, FINDING_OK, NULL, "rank 0 can write into %.400s", first->results);
    else
        finding_say(out, FINDING_OK, NULL, "rank 0 can make %.300s in %.300s",
                    all->settings->results, first->results);
}

static void judge_space(const ward *all, finding *out) {
    const file_facts *first = all->facts;
    double room = first->free_bytes;
    if (!all->settings->results || room < 0) {
        finding_say(out, FINDING_SKIPPED, NULL, "not looked at (--results DIR)");
        return;
    }
    if (room < ENOUGH_BYTES)
        finding_say(out, room < LEAST_BYTES && !all->at_start ? FINDING_FAILURE : FINDING_WARNING,
                    mend_text("df -h '%.120s'   # make room, or --results on another file system",
                              first->results),
                    "%s free for results in %.300s, a run may need %s", size_text(room),
                    first->results, size_text(ENOUGH_BYTES));
    finding_say(out, FINDING_OK, NULL, "%s free for results", size_text(room));
}

static const check checks[] = {{"data", false, judge_data},
                               {"file locks", false, judge_locks},
                               {"results", false, judge_results},
                               {"space", true, judge_space},
                               {0}};

const theme theme_files = {.place = "doctor: files",
                           .fact_bytes = sizeof(file_facts),
                           .examine = examine,
                           .checks = checks,
                           .at_start = true};
