#include "report/facts/rank_columns.h"

#include "report/facts/files.h"
#include "report/facts/quantities.h"
#include "report/facts/throttle.h"

#define COLUMN(of_type, of_name, of_part, record, member, ...)                                     \
    {                                                                                              \
        .name = of_name, .type = COLUMN_##of_type, .part = of_part,                                \
        .offset = offsetof(record, member), __VA_ARGS__                                            \
    }

/* ---- ranks.csv */

typedef struct rank_derived {
    int format_version, epoch;
    double busy_seconds, transfer_seconds, other_seconds, sm_clock_mhz;
    text_buffer clocks_held_back_by;
} rank_derived;

enum { PART_PLACE, PART_TIMES, PART_DERIVED };
#define PLACE(type, name, ...) COLUMN(type, #name, PART_PLACE, rank_facts, name, __VA_ARGS__)
#define MEMORY(member, ...)                                                                        \
    COLUMN(REAL, "memory_" #member "_bytes", PART_PLACE, rank_facts, memory.member,                \
           .show = SHOWN_WHOLE, .unit = "bytes", __VA_ARGS__)
#define TIMES(type, name, member, ...)                                                             \
    COLUMN(type, name, PART_TIMES, rank_epoch, member, __VA_ARGS__)
#define DERIVED(type, name, ...) COLUMN(type, #name, PART_DERIVED, rank_derived, name, __VA_ARGS__)

static const column rank_list[] = {
    DERIVED(INT, format_version, .need = NEEDS_WHOLE, .meaning = "as in summary.csv"),
    DERIVED(INT, epoch, .need = NEEDS_COUNT, .meaning = "from 1"),
    PLACE(INT, rank, .need = NEEDS_WHOLE, .meaning = "from 0"),
    PLACE(ID, host, .room = sizeof((rank_facts){0}.host), .need = NEEDS_TEXT,
          .meaning = "where it ran"),
    PLACE(ID, device, .room = sizeof((rank_facts){0}.device), .need = NEEDS_TEXT,
          .meaning = "the CPU's or the GPU's name"),
    PLACE(ID, gpu_uuid, .room = sizeof((rank_facts){0}.gpu_uuid), .need = NEEDS_TEXT,
          .meaning = "of its GPU"),
    TIMES(REAL, "training_seconds", seconds, .need = NEEDS_AMOUNT, .unit = "s",
          .meaning = "its own clock of the epoch's training time"),
    DERIVED(REAL, busy_seconds, .unit = "s", .meaning = "data, forward, backward and optimizer"),
    TIMES(REAL, "waiting_seconds", phases.waiting, .need = NEEDS_AMOUNT, .unit = "s",
          .meaning = "for the rank that came last"),
    DERIVED(REAL, transfer_seconds, .need = NEEDS_AMOUNT, .unit = "s",
            .meaning = "the exposed communication without the waiting"),
    TIMES(REAL, "data_seconds", phases.data, .need = NEEDS_AMOUNT, .unit = "s",
          .meaning = "waiting for the loader and making the batch"),
    TIMES(REAL, "forward_seconds", phases.forward, .need = NEEDS_AMOUNT, .unit = "s",
          .meaning = "with the loss"),
    TIMES(REAL, "backward_seconds", phases.backward, .need = NEEDS_AMOUNT, .unit = "s",
          .meaning = "of data and of weights"),
    TIMES(REAL, "optimizer_seconds", phases.optimizer, .need = NEEDS_AMOUNT, .unit = "s",
          .meaning = "the update"),
    DERIVED(REAL, other_seconds, .unit = "s", .meaning = "what no phase holds"),
    TIMES(INT64, "compared_steps", pace.steps, .need = NEEDS_AMOUNT,
          .meaning = "of the epoch, in which all were timed"),
    TIMES(INT64, "longer_steps", pace.longer_steps, .need = NEEDS_AMOUNT,
          .meaning = "in which it was busy for longer than the median of the other ranks"),
    TIMES(INT64, "slow_steps", pace.slow_steps, .need = NEEDS_AMOUNT,
          .meaning = "and for 5% longer at least"),
    TIMES(REAL, "compared_seconds", pace.own_seconds, .need = NEEDS_AMOUNT, .unit = "s",
          .meaning = "that it was busy in these steps"),
    TIMES(REAL, "others_compared_seconds", pace.others_seconds, .need = NEEDS_AMOUNT, .unit = "s",
          .meaning = "the sum of the others' medians"),
    DERIVED(REAL, sm_clock_mhz, .need = NEEDS_MEASURED, .unit = "MHz", .meaning = "a GPU's mean"),
    DERIVED(LIST, clocks_held_back_by, .need = NEEDS_TEXT,
            .meaning = "NVML's reasons that were seen; `none`; empty: not known"),
    MEMORY(parameters, .meaning = "held for training: parameters, and what is kept beside them"),
    MEMORY(gradients, .meaning = "with `--strict` a row a lane, with `--accumulate` their sum too"),
    MEMORY(optimizer, .meaning = "moments, and the parameters' average"),
    MEMORY(packed, .meaning = "copies of the parameters, as products want them"),
    MEMORY(activations, .meaning = "with their gradients, and the batch that the network reads"),
    MEMORY(workspace, .meaning = "scratch of the layers"),
    MEMORY(communication, .meaning = "the mode's own buffers; what libraries take is not known"),
    MEMORY(loader, .meaning = "samples in memory, and batches read ahead"),
    MEMORY(checkpoint, .meaning = "the copy of the state that is being written"),
    MEMORY(program,
           .meaning = "resident before all this was taken: the program, its libraries, its plans"),
    MEMORY(planned,
           .meaning =
               "all of it, as it was known before it was taken; of a GPU what its memory has "
               "of it"),
};

const column_table rank_columns = {.file = RANKS_FILE,
                                   .about = "A row an epoch and rank, epoch after epoch; the rows "
                                            "of an epoch average to its row in epochs.csv.",
                                   .columns = rank_list,
                                   .count = sizeof rank_list / sizeof rank_list[0]};

void rank_add_row(text_buffer *out, int epoch, const rank_facts *facts, const rank_epoch *rank) {
    const phase_seconds *phases = &rank->phases;
    rank_derived derived = {.format_version = SUMMARY_FORMAT_VERSION,
                            .epoch = epoch,
                            .busy_seconds = busy_seconds(phases),
                            .transfer_seconds = phases->communication - phases->waiting,
                            .other_seconds = other_seconds(rank->seconds, phases),
                            .sm_clock_mhz = rank->clocks.sm_clock_hertz / 1e6};
    if (rank->clocks.throttle_known)
        throttle_text(&derived.clocks_held_back_by, rank->clocks.throttle_reasons);
    column_table_row(out, &rank_columns, (const void *const[]){facts, rank, &derived});
    text_free(&derived.clocks_held_back_by);
}

static int take_clocks(const char *reasons, const rank_derived *derived, gpu_clocks *out,
                       ls_error *error) {
    out->sm_clock_hertz = derived->sm_clock_mhz * 1e6;
    out->throttle_known = reasons[0] != '\0';
    if (throttle_parse(reasons, &out->throttle_reasons))
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "clocks_held_back_by: '%.80s' is no list of reasons",
                   reasons);
}

int rank_take_row(const csv_table *file, size_t row, rank_facts *facts, rank_epoch *rank,
                  ls_error *error) {
    rank_derived derived = {0};
    void *const parts[] = {facts, rank, &derived};
    *facts = (rank_facts){0};
    *rank = (rank_epoch){0};
    for (size_t index = 0; index < rank_columns.count; index++) {
        const column *is = &rank_columns.columns[index];
        const char *text = csv_get(file, row, is->name);
        if (is->need == NEEDS_NOTHING)
            continue;
        if (!text)
            return ls_fail(error, LS_BAD_INPUT, "column '%s' is missing", is->name);
        bool good = is->type == COLUMN_LIST || column_parse(is, text, parts);
        if (!column_fits(is->need, text) || !good)
            return ls_fail(error, LS_BAD_INPUT, "%s: expected %s, found '%.80s'", is->name,
                           column_expected(is->need), text);
    }
    rank->phases.communication = rank->phases.waiting + derived.transfer_seconds;
    return take_clocks(csv_get(file, row, "clocks_held_back_by"), &derived, &rank->clocks, error);
}

/* ---- gpu.csv */

typedef struct sample_derived {
    int rank;
    double gpu_utilisation_percent, sm_clock_mhz, memory_clock_mhz, host_cpu_percent;
    text_buffer clocks_held_back_by;
} sample_derived;

enum { PART_SAMPLE, PART_IN_UNITS };
#define SAMPLE(type, name, ...) COLUMN(type, #name, PART_SAMPLE, usage_sample, name, __VA_ARGS__)
#define IN_UNITS(type, name, ...)                                                                  \
    COLUMN(type, #name, PART_IN_UNITS, sample_derived, name, __VA_ARGS__)

static const column sample_list[] = {
    SAMPLE(REAL, seconds, .unit = "s", .meaning = "since training first started; negative: before"),
    IN_UNITS(INT, rank, .meaning = "from 0"),
    SAMPLE(FLAG, training, .meaning = "1 inside the training time"),
    IN_UNITS(REAL, gpu_utilisation_percent, .unit = "%",
             .meaning = "of the time a kernel ran, over NVML's own window (1/6 to 1 s)"),
    SAMPLE(REAL, gpu_memory_bytes, .show = SHOWN_WHOLE, .unit = "bytes",
           .meaning = "in use on the GPU, by whomever"),
    SAMPLE(REAL, power_watts, .unit = "W", .meaning = "a mean over 1 s on newer GPUs"),
    IN_UNITS(REAL, sm_clock_mhz, .unit = "MHz", .meaning = "of the multiprocessors"),
    IN_UNITS(REAL, memory_clock_mhz, .unit = "MHz", .meaning = "of its memory"),
    SAMPLE(REAL, temperature_celsius, .unit = "C", .meaning = "of the GPU"),
    IN_UNITS(LIST, clocks_held_back_by,
             .meaning = "NVML's reasons at that moment; `none`; empty: not known"),
    IN_UNITS(REAL, host_cpu_percent, .unit = "%",
             .meaning = "of all the host's CPUs, since the sample before"),
    SAMPLE(REAL, own_cpu_cores, .meaning = "that this process kept busy, since then"),
    SAMPLE(REAL, own_memory_bytes, .show = SHOWN_WHOLE, .unit = "bytes",
           .meaning = "that this process had resident"),
};

const column_table sample_columns = {
    .file = GPU_FILE,
    .about =
        "A row a sample of a rank's GPU: ten a second, thinned in long runs; rank after rank. With "
        "`--sample-cores`, where ranks have no GPU, one a second into `cpu.csv`, of the same "
        "columns.",
    .columns = sample_list,
    .count = sizeof sample_list / sizeof sample_list[0]};

void sample_add_row(text_buffer *out, int rank, const usage_sample *sample) {
    sample_derived derived = {.rank = rank,
                              .gpu_utilisation_percent = 100 * sample->gpu_utilisation,
                              .sm_clock_mhz = sample->sm_clock_hertz / 1e6,
                              .memory_clock_mhz = sample->memory_clock_hertz / 1e6,
                              .host_cpu_percent = 100 * sample->host_cpu_utilisation};
    if (sample->throttle_known)
        throttle_text(&derived.clocks_held_back_by, sample->throttle_reasons);
    column_table_row(out, &sample_columns, (const void *const[]){sample, &derived});
    text_free(&derived.clocks_held_back_by);
}
