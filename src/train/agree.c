/* Every rank must run the same program, with the same options, on the same data: rank 0's facts
 * are broadcast as lines "name=value", and a rank whose own differ says which. Its failure reaches
 * the others through the lifeline. */
#include "launch/environment.h"
#include "launch/versions.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = 16384 };

static void describe(const trainer *self, char *out) {
    char environment[1024]; /* what changes bits; the rest may be a host's own */
    environment_describe(1u << ENVIRONMENT_ARITHMETIC, environment, sizeof environment);
    snprintf(out, TEXT,
             "%senvironment=%s\nversion=%s\nprogram=%016" PRIx64
             "\ntrain-id=%s\ntest-id=%s\nmpi=%s\n",
             self->options_text, environment, LOCKSTEP_VERSION, launch_program_hash(),
             self->train.data->facts.id, self->test.data->facts.id, self->me->mpi_version);
}

/* The first line that differs: "NAME is A here and B on rank 0". */
static int compare(const launch *me, const char *mine, const char *theirs, ls_error *error) {
    while (*mine && *theirs) {
        size_t my_length = strcspn(mine, "\n"), their_length = strcspn(theirs, "\n");
        size_t name = strcspn(mine, "=");
        if (my_length != their_length || memcmp(mine, theirs, my_length) != 0)
            return ls_fail(
                error, LS_BAD_INPUT,
                "the ranks differ: %.*s is '%.*s' on rank %d (host %s) and '%.*s' on rank 0",
                (int)name, mine, (int)(my_length - name - 1), mine + name + 1, me->rank, me->host,
                (int)(their_length - name - 1), theirs + name + 1);
        mine += my_length + (mine[my_length] == '\n');
        theirs += their_length + (theirs[their_length] == '\n');
    }
    return LS_OK;
}

int trainer_agree(trainer *self, ls_error *error) {
    static char mine[TEXT], theirs[TEXT];
    describe(self, mine);
    memcpy(theirs, mine, sizeof theirs);
    LS_TRY(comm_broadcast_bytes(self->control, theirs, sizeof theirs, 0, error));
    LS_TRY(compare(self->me, mine, theirs, error));
    /* No rank goes on until all have found the same: a rank that differs never gets here. */
    return self->control->is->barrier(self->control, error);
}

int train_agree_on_help(const launch *me, bool help, ls_error *error) {
    comm *control = NULL;
    int theirs = help;
    comm_settings settings = {.rank = me->rank, .size = me->size, .host = me->host};
    LS_TRY(comm_open("auto", &settings, &control, error));
    LS_TRY(comm_broadcast_bytes(control, &theirs, sizeof theirs, 0, error));
    if (theirs != (int)help)
        return ls_fail(
            error, LS_BAD_INPUT, "the ranks differ: --help was %s rank %d (host %s) and %s rank 0",
            help ? "given to" : "not given to", me->rank, me->host, help ? "not to" : "to");
    LS_TRY(control->is->barrier(control, error));
    comm_close(control);
    return LS_OK;
}
