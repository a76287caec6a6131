/* One program and one set of libraries on all ranks. */
#include "launch/versions.h"
#include "data/dataset.h"
#include "doctor/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The first facts that travel, so of one size in all versions of this program. */
enum { VERSION_TEXT = 64, LIBRARIES_TEXT = 440 };
typedef struct version_facts {
    char version[VERSION_TEXT];
    uint64_t program;
    char libraries[LIBRARIES_TEXT]; /* "Open MPI v4.1.4, OpenPMIx 4.2.2, ..." */
} version_facts;

static int examine(examination *self, void *facts, ls_error *error) {
    version_facts *mine = facts;
    (void)error;
    snprintf(mine->version, sizeof mine->version, "%s", LOCKSTEP_VERSION);
    mine->program = self->at_start ? 0 : launch_program_hash(); /* a run compares it itself */
    launch_describe_versions(self->me, mine->libraries, sizeof mine->libraries);
    size_t used = strlen(mine->libraries);
    snprintf(mine->libraries + used, sizeof mine->libraries - used, ", HDF5 %s%s%s",
             dataset_hdf5_version(), self->device.library[0] ? ", " : "", self->device.library);
    return LS_OK;
}

static bool differ(const ward *all) {
    const version_facts *ranks = all->facts;
    for (int rank = 1; rank < all->size; rank++)
        if (strcmp(ranks[rank].version, ranks[0].version) != 0 ||
            ranks[rank].program != ranks[0].program)
            return true;
    return false;
}

static void judge_program(const ward *all, finding *out) {
    static const char mend[] = "srun --mpi=pmix /shared/path/lockstep ...   # one file that all "
                               "nodes see; or: sbcast lockstep /tmp/lockstep";
    const version_facts *ranks = all->facts;
    for (int rank = 1; rank < all->size; rank++) {
        if (strcmp(ranks[rank].version, ranks[0].version) != 0)
            finding_say(out, FINDING_FAILURE, mend,
                        "%s runs lockstep %s, rank 0 runs %s; nothing else is compared",
                        name_rank(all, rank), ranks[rank].version, ranks[0].version);
        else if (ranks[rank].program != ranks[0].program)
            finding_say(out, FINDING_FAILURE, mend,
                        "%s runs another build of lockstep %s (its file hashes to %016" PRIx64
                        ", rank 0's to %016" PRIx64 "); nothing else is compared",
                        name_rank(all, rank), ranks[0].version, ranks[rank].program,
                        ranks[0].program);
    }
    finding_say(out, FINDING_OK, NULL, "lockstep %s, one file (%016" PRIx64 ") on all ranks",
                ranks[0].version, ranks[0].program);
}

/* The first library of a list "A, B, C" that is another one than the other list's; 0 where a list
 * ends. */
static bool first_difference(const char *mine, const char *theirs, char out[2][96]) {
    while (*mine || *theirs) {
        size_t my_length = strcspn(mine, ","), their_length = strcspn(theirs, ",");
        if (my_length != their_length || memcmp(mine, theirs, my_length) != 0) {
            snprintf(out[0], 96, "%.*s", (int)my_length, mine);
            snprintf(out[1], 96, "%.*s", (int)their_length, theirs);
            return true;
        }
        mine += my_length + strspn(mine + my_length, ", ");
        theirs += their_length + strspn(theirs + their_length, ", ");
    }
    return false;
}

static void judge_libraries(const ward *all, finding *out) {
    const version_facts *ranks = all->facts;
    char texts[2][96];
    for (int rank = 1; rank < all->size; rank++)
        if (first_difference(ranks[rank].libraries, ranks[0].libraries, texts))
            finding_say(out, FINDING_WARNING,
                        "srun --export=ALL ...   # one LD_LIBRARY_PATH; the same packages or "
                        "modules on all nodes (`ldd lockstep` on each)",
                        "%s has %s, rank 0 has %s", name_rank(all, rank), texts[0], texts[1]);
    finding_say(out, FINDING_OK, NULL, "%s", ranks[0].libraries);
}

static const check checks[] = {
    {"program", false, judge_program}, {"libraries", true, judge_libraries}, {0}};

const theme theme_versions = {.place = "doctor: versions",
                              .fact_bytes = sizeof(version_facts),
                              .examine = examine,
                              .checks = checks,
                              .at_start = true,
                              .stops = differ};
