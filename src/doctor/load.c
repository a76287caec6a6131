/* Are the ranks' cores free, and do they run at full clock? */
#include "doctor/check.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Ticks of /proc/stat are 10 ms. */
enum { LOOK_MILLISECONDS = 300 };
static const double BUSY = 0.25;

typedef struct load_facts {
    int unit;    /* the busiest of its processing units; -1: none was read */
    double busy; /* share of the look that it ran anything; this rank slept */
    char governor[32];
    int governed_unit;
} load_facts;

typedef struct ticks {
    unsigned long long busy, all;
} ticks;

/* proc(5): user nice system idle iowait irq softirq steal, guest times being in the first two. */
static int read_ticks(ticks out[CPU_SETSIZE]) {
    char line[512];
    int count = 0;
    FILE *file = fopen("/proc/stat", "r");
    memset(out, 0, CPU_SETSIZE * sizeof *out);
    while (file && fgets(line, sizeof line, file)) {
        unsigned long long user, nice, system, idle, wait = 0, irq = 0, soft = 0, stolen = 0;
        int unit;
        if (sscanf(line, "cpu%d %llu %llu %llu %llu %llu %llu %llu %llu", &unit, &user, &nice,
                   &system, &idle, &wait, &irq, &soft, &stolen) < 5 ||
            unit < 0 || unit >= CPU_SETSIZE)
            continue;
        out[unit].busy = user + nice + system + irq + soft + stolen;
        out[unit].all = out[unit].busy + idle + wait;
        count++;
    }
    if (file)
        fclose(file);
    return count;
}

static void read_governor(int unit, load_facts *out) {
    char path[96], text[32] = "";
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", unit);
    FILE *file = fopen(path, "r");
    if (file && fgets(text, sizeof text, file)) {
        text[strcspn(text, "\n")] = '\0';
        snprintf(out->governor, sizeof out->governor, "%s", text);
        out->governed_unit = unit;
    }
    if (file)
        fclose(file);
}

/* Those that it is bound to, else those that it may use. */
static int list_units(const examination *self, int out[CPU_SETSIZE]) {
    cpu_set_t mask;
    int count = 0;
    for (int thread = 0; self->binding && thread < self->binding->threads; thread++)
        if (self->binding->processing_units[thread] >= 0 && thread < CPU_SETSIZE)
            out[count++] = self->binding->processing_units[thread];
    if (count || sched_getaffinity(0, sizeof mask, &mask) != 0)
        return count;
    for (int unit = 0; unit < CPU_SETSIZE; unit++)
        if (CPU_ISSET(unit, &mask))
            out[count++] = unit;
    return count;
}

/* Every rank sleeps at the same time, so that none sees another's work. */
static int examine(examination *self, void *facts, ls_error *error) {
    static ticks before[CPU_SETSIZE], after[CPU_SETSIZE];
    static int units[CPU_SETSIZE];
    load_facts *mine = facts;
    struct timespec look = {.tv_nsec = LOOK_MILLISECONDS * 1000000L};
    mine->unit = -1;
    LS_TRY(self->control->is->barrier(self->control, error));
    nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000L}, NULL); /* all have left it */
    int known = read_ticks(before);
    nanosleep(&look, NULL);
    read_ticks(after);
    int count = known ? list_units(self, units) : 0;
    for (int index = 0; index < count; index++) {
        int unit = units[index];
        if (unit >= CPU_SETSIZE || after[unit].all <= before[unit].all)
            continue;
        double busy = (double)(after[unit].busy - before[unit].busy) /
                      (double)(after[unit].all - before[unit].all);
        if (mine->unit < 0 || busy > mine->busy) {
            mine->unit = unit;
            mine->busy = busy;
        }
        if (!mine->governor[0])
            read_governor(unit, mine);
    }
    return self->control->is->barrier(self->control, error);
}

static void judge_load(const ward *all, finding *out) {
    const load_facts *ranks = all->facts;
    int busiest = 0;
    for (int rank = 1; rank < all->size; rank++)
        if (ranks[rank].unit >= 0 && ranks[rank].busy > ranks[busiest].busy)
            busiest = rank;
    if (ranks[busiest].unit < 0) {
        finding_say(out, FINDING_SKIPPED, NULL,
                    "not known: /proc/stat says nothing of these cores");
        return;
    }
    if (ranks[busiest].busy > BUSY)
        finding_say(out, FINDING_WARNING,
                    "#SBATCH --exclusive   # or end what runs there (`top` on that host)",
                    "%s: processing unit %d is %.0f%% busy with something else",
                    name_rank(all, busiest), ranks[busiest].unit, 100 * ranks[busiest].busy);
    finding_say(out, FINDING_OK, NULL, "cores are free: at most %.0f%% busy, over %d ms",
                100 * ranks[busiest].busy, LOOK_MILLISECONDS);
}

static void judge_clocking(const ward *all, finding *out) {
    const load_facts *ranks = all->facts;
    for (int rank = 0; rank < all->size; rank++)
        if (ranks[rank].governor[0] && strcmp(ranks[rank].governor, "performance") != 0)
            finding_say(out, FINDING_WARNING, "srun --cpu-freq=performance ...",
                        "%s: the frequency governor of processing unit %d is '%s': its clock "
                        "follows the load",
                        name_rank(all, rank), ranks[rank].governed_unit, ranks[rank].governor);
    if (ranks[0].governor[0])
        finding_say(out, FINDING_OK, NULL, "the governor is 'performance'");
    else
        finding_say(out, FINDING_SKIPPED, NULL,
                    "no frequency governor here (a virtual machine, or the hardware's own)");
}

static const check checks[] = {
    {"load", false, judge_load}, {"clock rate", false, judge_clocking}, {0}};

const theme theme_load = {.place = "doctor: load",
                          .fact_bytes = sizeof(load_facts),
                          .examine = examine,
                          .checks = checks};
