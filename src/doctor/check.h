/* The room's own: what a check is. A theme examines a rank (collectively, where ranks must talk)
 * and leaves facts of a fixed size; its checks judge the facts of all ranks, on rank 0. */
#ifndef LOCKSTEP_DOCTOR_CHECK_H
#define LOCKSTEP_DOCTOR_CHECK_H

#include "doctor/doctor.h"

#include <stddef.h>

/* What every rank knows of every other before it is examined. With `versions` the first that
 * travels, so of one size in all versions of this program. */
typedef struct bed {
    char host[64];
    char gpu_uuid[48]; /* "" without a GPU */
    int node, local_rank, local_size;
    char reserved[132];
} bed;

/* The rank that is examined. */
typedef struct examination {
    launch *me;
    comm *control;   /* host memory */
    const bed *beds; /* [me->size] */
    const doctor_settings *settings;
    const launch_binding *binding; /* NULL where there is none */
    launch_binding own_binding;    /* where the doctor binds */
    char binding_error[768];
    const char *device_name; /* "" where none can be opened */
    device_facts device;
    char device_error[768];
    int places;    /* that the lifeline has seen this rank at */
    bool at_start; /* of a run: only what is quick */
} examination;

/* What a check judges. */
typedef struct ward {
    const launch *me;
    const doctor_settings *settings;
    int size;
    const bed *beds;   /* [size] */
    const void *facts; /* [size], of the theme's type */
    bool at_start;     /* of a run */
} ward;

typedef struct check {
    const char *name; /* NULL ends a list */
    bool at_start;
    void (*judge)(const ward *all, finding *out);
} check;

typedef struct theme {
    const char *place; /* at which the lifeline sees this rank meanwhile; under 24 characters */
    size_t fact_bytes;
    int (*examine)(examination *self, void *facts, ls_error *error);
    const check *checks;
    bool at_start; /* one of its checks is */
    /* Ranks of which this is true cannot be examined together any further. */
    bool (*stops)(const ward *all);
} theme;

extern const theme theme_versions, theme_launch, theme_cores, theme_limits, theme_load, theme_gpus,
    theme_network, theme_memory, theme_files, theme_clocks;

/* Of several, the worst stays, and of equals the first. mend may be NULL. */
void finding_say(finding *self, finding_level level, const char *mend, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* "rank 3 (host n2)"; the text is valid until the fourth call after this one. */
const char *name_rank(const ward *all, int rank);

/* The variable of a batch script by which GPUs are asked for, and so on: a text in a static buffer
 * for finding_say's mend. */
const char *mend_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "64 MiB", "1.2 GiB". Valid until the fourth call after this one. */
const char *size_text(double bytes);

/* RDMA ports that are active, and the first of them as a text. */
int count_rdma(char *first, size_t capacity);

/* What `srun --mpi=list` says, as one line: "pmix, pmix_v4, pmi2, none"; "" where Slurm is not
 * here or does not answer within two seconds. */
void slurm_mpi_plugins(char *out, size_t capacity);

#endif
