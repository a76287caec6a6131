#include "mode/mode_options.h"

#include "comm/groups.h"
#include "comm/tree.h"
#include "mode/modes.h"

#include <stddef.h>
#include <string.h>

#define AT(field)      offsetof(mode_options, field)
#define FACTOR_CHOICES "auto|on|off"
#define GRADIENT_TYPES "fp32|bf16"
#define ON_OR_OFF      "on|off"
#define PLACEMENTS     "static|auto"

/* Independent of the number of ranks, as runs that are to match need it. */
enum { DEFAULT_LANES = 4 };

static const option mode_itself[] = {
    {"mode", OPTION_CHOICE, AT(mode), "MODE", "single", mode_choices, 0, 0,
     "Choose when the ranks communicate what.", false},
    {"sync-batchnorm", OPTION_FLAG, AT(sync_batchnorm), NULL, NULL, NULL, 0, 0,
     "Normalise by all ranks' images of a step, not by each rank's own.", false},
    {0}};

static const option exchange[] = {
    {"bucket-mb", OPTION_REAL, AT(bucket_mb), "X|auto", "auto", "auto", 0.001, 65536,
     "Reduce X MiB of gradient at once; auto: by the network, measured at start.", false},
    {"grad-comm", OPTION_CHOICE, AT(grad_comm), "TYPE", "fp32", GRADIENT_TYPES, 0, 0,
     "Send and sum gradients in this type; bf16: half the bytes, rounded.", false},
    {"factor-comm", OPTION_CHOICE, AT(factor_comm), "CHOICE", "auto", FACTOR_CHOICES, 0, 0,
     "Send linear layers' inputs and deltas, not gradients; auto: where that is faster.", false},
    {0}};

static const option grouping[] = {
    {"shard-within", OPTION_TEXT, AT(within), "node|world|N", "world", NULL, 0, 0,
     "Shard over the ranks of a node (or N ranks in a row), and replicate between these.", false},
    {0}};

static const option sharding[] = {
    {"prefetch", OPTION_INTEGER, AT(prefetch), "N", "1", NULL, 1, 64,
     "Gather the parameters of N blocks of layers ahead of their use.", false},
    {"reshard-after-forward", OPTION_CHOICE, AT(reshard), "CHOICE", "on", ON_OR_OFF, 0, 0,
     "Give gathered parameters back after forward; off: keep them for backward.", false},
    {0}};

static const option offloading[] = {
    {"offload-dir", OPTION_TEXT, AT(offload_folder), "DIR", NULL, NULL, 0, 0,
     "Keep what of the state does not fit into --device-memory in a file there, on a local disk.",
     true},
    {"placement", OPTION_CHOICE, AT(placement), "CHOICE", "static", PLACEMENTS, 0, 0,
     "Keep on the device what by plan fits into --device-memory, or (auto) into what real steps "
     "have left of it, or of the device.",
     false},
    {0}};

/* A sampled step on a GPU has up to nine marks of time a micro-batch (mode/step_clock.c). */
static const option accumulation[] = {
    {"accumulate", OPTION_INTEGER, AT(accumulate), "N|auto", "1", "auto", 1, MOST_MICRO_BATCHES,
     "Compute a step's batch in N parts, one after the other, for the memory of one; auto: the "
     "fewest that fit.",
     false},
    {0}};

static const option strict_runs[] = {
    {"strict", OPTION_FLAG, AT(strict), NULL, NULL, NULL, 0, 0,
     "Keep the parameters' bits the same on any number of ranks and threads (costs time).", false},
    {"lanes", OPTION_INTEGER, AT(lanes), "N", NULL, NULL, 1, TREE_MOST_LEAVES,
     "Cut a batch of --strict into N parts, a power of two, at least the ranks (4 when none is "
     "given).",
     false},
    {"strict-cost", OPTION_CHOICE, AT(strict_cost), "CHOICE", "on", ON_OR_OFF, 0, 0,
     "Measure in warm-up what --strict costs; off: start sooner, in less memory.", false},
    {0}};

int mode_add_options(option_groups *list, size_t offset, ls_error *error) {
    LS_TRY(option_add_group(list, (option_group){"Mode", mode_itself, offset}, error));
    LS_TRY(option_add_group(list, (option_group){"Exchange of gradients (ddp)", exchange, offset},
                            error));
    LS_TRY(option_add_group(
        list, (option_group){"Sharding (zero1, zero2, fsdp, gemini)", grouping, offset}, error));
    LS_TRY(option_add_group(
        list, (option_group){"Sharded parameters (fsdp, gemini)", sharding, offset}, error));
    LS_TRY(option_add_group(list, (option_group){"Offloaded state (gemini)", offloading, offset},
                            error));
    LS_TRY(option_add_group(list, (option_group){"Accumulation of gradients", accumulation, offset},
                            error));
    return option_add_group(list, (option_group){"Strict runs", strict_runs, offset}, error);
}

int64_t mode_options_lanes(const mode_options *self) {
    return self->lanes ? self->lanes : DEFAULT_LANES;
}

static bool exchanges(const mode_interface *mode) {
    return mode->exchanges;
}

static bool adds_sums(const mode_interface *mode) {
    return mode->adds_sums;
}

static bool has_lanes(const mode_interface *mode) {
    return mode->has_lanes;
}

static int check_exchange(const mode_options *self, const mode_interface *chosen, ls_error *error) {
    char modes_with[128];
    if (!chosen->exchanges && strcmp(self->grad_comm, "fp32") != 0)
        return ls_fail(
            error, LS_BAD_INPUT, "--grad-comm %s belongs to --mode %s; found it with --mode %s",
            self->grad_comm, modes_that(exchanges, modes_with, sizeof modes_with), self->mode);
    if (!chosen->exchanges && strcmp(self->factor_comm, "on") == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--factor-comm on belongs to --mode %s; found it with --mode %s",
                       modes_that(exchanges, modes_with, sizeof modes_with), self->mode);
    return LS_OK;
}

static bool gathers(const mode_interface *mode) {
    return mode->gathers != NULL;
}

static bool shards(const mode_interface *mode) {
    return mode->shards;
}

static int check_grouping(const mode_options *self, const mode_interface *chosen, ls_error *error) {
    char modes_with[128];
    LS_TRY(comm_groups_check(self->within, error));
    if (strcmp(self->within, "world") == 0 || shards(chosen))
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "--shard-within belongs to --mode %s; found it with --mode %s, which shards "
                   "nothing over a group of ranks (leave it out)",
                   modes_that(shards, modes_with, sizeof modes_with), self->mode);
}

static int check_sharding(const mode_options *self, const mode_interface *chosen, ls_error *error) {
    char modes_with[128];
    const char *given = option_changed(sharding, self);
    LS_TRY(check_grouping(self, chosen, error));
    if (!given || gathers(chosen))
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "--%s belongs to --mode %s; found it with --mode %s", given,
                   modes_that(gathers, modes_with, sizeof modes_with), self->mode);
}

static bool offloads(const mode_interface *mode) {
    return mode->offloads;
}

static int check_offloading(const mode_options *self, const mode_interface *chosen,
                            ls_error *error) {
    char modes_with[128];
    const char *given = option_changed(offloading, self);
    if (!given || chosen->offloads)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "--%s belongs to --mode %s; found it with --mode %s", given,
                   modes_that(offloads, modes_with, sizeof modes_with), self->mode);
}

static int check_sync(const mode_options *self, const mode_interface *chosen, ls_error *error) {
    char modes_with[128];
    if (!self->sync_batchnorm)
        return LS_OK;
    if (!chosen->adds_sums)
        return ls_fail(error, LS_BAD_INPUT,
                       "--sync-batchnorm belongs to --mode %s; found it with --mode %s, whose "
                       "replicas normalise by their own images as DataParallel's do",
                       modes_that(adds_sums, modes_with, sizeof modes_with), self->mode);
    if (self->strict)
        return ls_fail(error, LS_BAD_INPUT,
                       "--sync-batchnorm and --strict: what a lane normalises by is its own, so "
                       "that ranks and threads change no bit: give one");
    return LS_OK;
}

static int check_strict(const mode_options *self, const mode_interface *chosen, int size,
                        int64_t global_batch, ls_error *error) {
    int64_t lanes = mode_options_lanes(self);
    char modes_with[128];
    if (lanes & (lanes - 1))
        return ls_fail(error, LS_BAD_INPUT, "--lanes %lld: expected a power of two",
                       (long long)lanes);
    if (!chosen->has_lanes)
        return ls_fail(error, LS_BAD_INPUT,
                       "--strict belongs to --mode %s; found it with --mode %s",
                       modes_that(has_lanes, modes_with, sizeof modes_with), self->mode);
    if (strcmp(self->grad_comm, "fp32") != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--strict adds gradients up in fp32: found --grad-comm %s (leave it out)",
                       self->grad_comm);
    if (strcmp(self->factor_comm, "on") == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--strict adds the lanes' gradients up in a tree, which factors are not: "
                       "found --factor-comm on (leave it out)");
    if (size & (size - 1))
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--strict: %d ranks are no power of two (start 1, 2, 4, ... of them)", size);
    if (lanes < size)
        return ls_fail(error, LS_BAD_INPUT,
                       "--strict: %d ranks are more than %lld lanes: give --lanes %d or more, to "
                       "all runs that are to be the same",
                       size, (long long)lanes, size);
    if (global_batch < lanes)
        return ls_fail(error, LS_BAD_INPUT,
                       "--strict: a global batch of %lld is less than an image for each of %lld "
                       "lanes (give fewer --lanes, or a larger batch)",
                       (long long)global_batch, (long long)lanes);
    return LS_OK;
}

static int check_accumulation(const mode_options *self, int size, int64_t global_batch,
                              ls_error *error) {
    if (self->accumulate <= 1)
        return LS_OK;
    if (strcmp(self->factor_comm, "on") == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--accumulate %lld exchanges the sum of a step's gradients, which has no "
                       "factors: found --factor-comm on (leave it out)",
                       (long long)self->accumulate);
    int64_t images = global_batch / (self->strict ? mode_options_lanes(self) : size);
    if (images < self->accumulate)
        return ls_fail(error, LS_BAD_INPUT,
                       "--accumulate %lld: a step has %lld images a %s, less than one for each "
                       "part (give a smaller N, or a larger batch)",
                       (long long)self->accumulate, (long long)images,
                       self->strict ? "lane" : "rank");
    return LS_OK;
}

int mode_check_options(const mode_options *self, int size, int64_t global_batch, ls_error *error) {
    const mode_interface *chosen = mode_find(self->mode, error);
    if (!chosen)
        return error->code;
    LS_TRY(mode_check(self->mode, size, error));
    LS_TRY(check_exchange(self, chosen, error));
    LS_TRY(check_sharding(self, chosen, error));
    LS_TRY(check_offloading(self, chosen, error));
    LS_TRY(check_sync(self, chosen, error));
    LS_TRY(check_accumulation(self, size, global_batch, error));
    if (self->strict)
        return check_strict(self, chosen, size, global_batch, error);
    if (self->lanes)
        return ls_fail(error, LS_BAD_INPUT,
                       "--lanes %lld belongs to --strict (give both, or leave it out)",
                       (long long)self->lanes);
    if (strcmp(self->strict_cost, "on") != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--strict-cost %s belongs to --strict (give both, or leave it out)",
                       self->strict_cost);
    return LS_OK;
}

static factor_choice factors_of(const char *name) {
    return strcmp(name, "on") == 0    ? FACTORS_ON
           : strcmp(name, "off") == 0 ? FACTORS_OFF
                                      : FACTORS_AUTO;
}

void mode_take_options(const mode_options *self, bool strict, mode_settings *out) {
    out->bucket_bytes = (size_t)(self->bucket_mb * 1048576.0);
    out->gradient_type = strcmp(self->grad_comm, "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32;
    bool factors = !strict && self->accumulate <= 1;
    out->factors = factors ? factors_of(self->factor_comm) : FACTORS_OFF;
    out->lanes = strict ? (int)mode_options_lanes(self) : 0;
    out->micro_batches = (int)self->accumulate;
    out->sync_batchnorm = self->sync_batchnorm;
    out->prefetch = (int)self->prefetch;
    out->offload_folder = self->offload_folder;
    out->keeps_parameters = strcmp(self->reshard, "off") == 0;
}
