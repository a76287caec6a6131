/* Every rank must run the same program, with the same options, on the same data: rank 0's facts
 * are broadcast as lines "name=value", and a rank whose own differ says which. Its failure reaches
 * the others through the lifeline. */
#include "train/agree.h"
#include "base/text_buffer.h"
#include "launch/environment.h"
#include "launch/versions.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void describe(const trainer *self, text_buffer *out) {
    text_add(out, "%senvironment=", self->options_text);
    /* What changes bits; the rest may be a host's own. */
    environment_add(out, 1u << ENVIRONMENT_ARITHMETIC);
    text_add(out, "\nversion=%s\nprogram=%016" PRIx64 "\ntrain-id=%s\ntest-id=%s\nmpi=%s\n",
             LOCKSTEP_VERSION, launch_program_hash(), self->input.train.data->facts.id,
             self->input.test.data->facts.id, self->me->mpi_version);
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

static int agree(trainer *self, text_buffer *mine, text_buffer *theirs, ls_error *error) {
    describe(self, mine);
    describe(self, theirs);
    LS_TRY(text_buffer_check(mine, error));
    LS_TRY(comm_broadcast_text(self->control, theirs, 0, error));
    return compare(self->me, mine->bytes, theirs->bytes, error);
}

int trainer_agree(trainer *self, ls_error *error) {
    text_buffer mine = {0}, theirs = {0};
    int status = agree(self, &mine, &theirs, error);
    text_free(&mine), text_free(&theirs);
    LS_TRY(status);
    /* No rank goes on until all have found the same: a rank that differs never gets here. */
    return self->control->is->barrier(self->control, error);
}
