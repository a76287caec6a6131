#include "doctor/doctor.h"

#include "base/clock.h"
#include "doctor/check.h"
#include "launch/lifeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The order in which findings are printed; one theme needs what an earlier one found. */
static const theme *const themes[] = {
    &theme_versions, &theme_launch,  &theme_cores,  &theme_limits, &theme_load,
    &theme_gpus,     &theme_network, &theme_memory, &theme_files,  &theme_clocks,
};
enum { THEMES = sizeof themes / sizeof themes[0] };

static void count(findings *self, finding_level level) {
    self->skipped += level == FINDING_SKIPPED;
    self->warnings += level == FINDING_WARNING;
    self->failures += level == FINDING_FAILURE;
}

static void judge(const theme *from, const ward *all, bool at_start, findings *out) {
    for (const check *each = from->checks; each->name; each++) {
        if ((at_start && !each->at_start) || out->count == MOST_FINDINGS)
            continue;
        finding *found = &out->list[out->count++];
        *found = (finding){.check = each->name};
        each->judge(all, found);
        count(out, found->level);
    }
}

/* A rank that waits for another is further than that one. */
static void move_on(const theme *at, examination *rank) {
    if (!rank->at_start)
        lifeline_at(at->place, 0, ++rank->places);
}

/* Of a theme's facts between those of others: aligned for any of them. */
static size_t room_of(const theme *self) {
    return (self->fact_bytes + 15) / 16 * 16;
}

/* Gathers what `count` themes leave on each rank, theme after theme, in one message; rank 0 judges.
 * *stops: the same on all. */
static int run_together(const theme *const *some, int count_of_themes, examination *rank,
                        findings *out, bool *stops, ls_error *error) {
    size_t bytes = 0, most = 0, at = 0, size = (size_t)rank->me->size;
    for (int index = 0; index < count_of_themes; index++) {
        bytes += room_of(some[index]);
        most = some[index]->fact_bytes > most ? some[index]->fact_bytes : most;
    }
    char *mine = calloc(1, bytes), *all = calloc(size, bytes), *facts = calloc(size, most);
    int status = mine && all && facts ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    for (int index = 0; index < count_of_themes && status == LS_OK; index++) {
        move_on(some[index], rank);
        status = some[index]->examine(rank, mine + at, error);
        move_on(some[index], rank);
        at += room_of(some[index]);
    }
    if (status == LS_OK)
        status = comm_allgather_bytes(rank->control, mine, all, bytes, error);
    at = 0;
    for (int index = 0; index < count_of_themes && status == LS_OK; index++) {
        const theme *each = some[index];
        ward told = {rank->me, rank->settings, rank->me->size, rank->beds, facts, rank->at_start};
        for (size_t other = 0; other < size; other++)
            memcpy(facts + other * each->fact_bytes, all + other * bytes + at, each->fact_bytes);
        *stops = *stops || (each->stops && each->stops(&told));
        if (rank->me->rank == 0)
            judge(each, &told, rank->at_start, out);
        at += room_of(each);
    }
    free(mine);
    free(all);
    free(facts);
    return status;
}

/* Each for itself: where one hangs on some rank, the lifeline names place and rank. */
static int run_one_by_one(examination *self, findings *out, ls_error *error) {
    bool stops = false;
    for (int index = 0; index < THEMES && !stops; index++) {
        LS_TRY(run_together(&themes[index], 1, self, out, &stops, error));
    }
    return LS_OK;
}

/* Where a run starts time counts, and a message between many ranks is most of it. */
static int run_those_at_start(examination *self, findings *out, ls_error *error) {
    const theme *some[THEMES];
    bool stops = false;
    int found = 0;
    for (int index = 0; index < THEMES; index++)
        if (themes[index]->at_start)
            some[found++] = themes[index];
    return run_together(some, found, self, out, &stops, error);
}

static int run_themes(examination *self, bed *beds, findings *out, ls_error *error) {
    bed mine = {.node = self->me->node,
                .local_rank = self->me->local_rank,
                .local_size = self->me->local_size};
    snprintf(mine.host, sizeof mine.host, "%.63s", self->me->host);
    memcpy(mine.gpu_uuid, self->device.uuid, sizeof mine.gpu_uuid);
    LS_TRY(comm_allgather_bytes(self->control, &mine, beds, sizeof mine, error));
    self->beds = beds;
    LS_TRY(self->at_start ? run_those_at_start(self, out, error)
                          : run_one_by_one(self, out, error));
    int counts[2] = {out->warnings, out->failures};
    LS_TRY(comm_broadcast_bytes(self->control, counts, sizeof counts, 0, error));
    out->warnings = counts[0];
    out->failures = counts[1];
    return LS_OK;
}

static int examine(examination *self, findings *out, ls_error *error) {
    double began = clock_seconds();
    *out = (findings){0};
    bed *beds = calloc((size_t)self->me->size, sizeof *beds);
    if (!beds)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status = run_themes(self, beds, out, error);
    free(beds);
    out->seconds = clock_seconds() - began;
    return status;
}

int doctor_examine(launch *me, const doctor_settings *settings, findings *out, ls_error *error) {
    static examination self;
    ls_error unusable = {0};
    device_request request = {.local_rank = me->local_rank,
                              .local_size = me->local_size,
                              .share_gpu = settings->device.share_gpu,
                              .plan_cache = ""};
    comm_settings host_memory = {.rank = me->rank, .size = me->size, .host = me->host};
    self = (examination){.me = me, .settings = settings};
    if (device_describe(settings->device.device, &request, &self.device_name, &self.device,
                        &unusable))
        snprintf(self.device_error, sizeof self.device_error, "%.767s", unusable.text);
    LS_TRY(comm_open("auto", &host_memory, &self.control, error));
    int status = examine(&self, out, error);
    if (status == LS_OK) /* else the others are still in their collectives */
        comm_close(self.control);
    return status;
}

int doctor_examine_start(launch *me, const doctor_settings *settings, comm *control,
                         const launch_binding *binding, const device *device, findings *out,
                         ls_error *error) {
    static examination self;
    self = (examination){.me = me,
                         .settings = settings,
                         .control = control,
                         .binding = binding,
                         .device_name = device->is->name,
                         .device = device->facts,
                         .at_start = true};
    return examine(&self, out, error);
}

/* What mends a launch that failed with this line, and the check that it belongs to. */
static const char *mend_of(const char *text, const char **check) {
    static const struct {
        const char *words, *check, *mend;
    } known[] = {
        {"without PMIx", "pmix",
         "srun --mpi=pmix lockstep ...   # or once for all: export SLURM_MPI_TYPE=pmix"},
        {"its own srun", "pmix",
         "srun lockstep doctor; srun lockstep train ...   # in the batch script: a step each"},
        {"open files", "open files",
         "ulimit -Hn 65536   # before srun, as root; for all: LimitNOFILE=1048576 in "
         "slurmd.service"},
    };
    for (size_t index = 0; index < sizeof known / sizeof known[0]; index++)
        if (strstr(text, known[index].words)) {
            *check = known[index].check;
            return known[index].mend;
        }
    return "module load openmpi/BUILT-WITH-SLURMS-PMIX   # then build lockstep with it; "
           "`ompi_info | grep -i pmix` says which it has";
}

void doctor_of_failed_launch(const ls_error *launch_error, findings *out) {
    char plugins[256];
    const char *check = "pmix", *mend = mend_of(launch_error->text, &check);
    *out = (findings){.count = 1, .failures = 1};
    finding *found = &out->list[0];
    *found = (finding){.check = check};
    if (strcmp(check, "pmix") != 0) {
        finding_say(found, FINDING_FAILURE, mend, "%s", launch_error->text);
        return;
    }
    slurm_mpi_plugins(plugins, sizeof plugins);
    if (strstr(launch_error->text, "without PMIx") && plugins[0] && !strstr(plugins, "pmix"))
        mend = "mpirun lockstep ...   # inside the allocation: this Slurm has no pmix plugin";
    finding_say(found, FINDING_FAILURE, mend, "%s%s%s", launch_error->text,
                plugins[0] ? "; srun --mpi=list: " : "", plugins);
}
