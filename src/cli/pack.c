#include "cli/commands.h"
#include "cli/pack_encoded.h"
#include "cli/pack_show.h"

#include "base/clock.h"
#include "base/cpu_quota.h"
#include "base/signals.h"
#include "data/pack.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct pack_options {
    int64_t images, test_images, classes, size, seed, shards, threads;
    double test_fraction;
    bool force, verify;
    pack_encoded_options encoded;
} pack_options;

#define AT(field) offsetof(pack_options, field)

static const option options[] = {
    {"images", OPTION_INTEGER, AT(images), "N", "10000", NULL, 1, 1e12,
     "Training images to generate (synthetic).", false},
    {"test-images", OPTION_INTEGER, AT(test_images), "N", "2000", NULL, 1, 1e12,
     "Test images to generate (synthetic).", false},
    {"classes", OPTION_INTEGER, AT(classes), "N", "10", NULL, 2, 1000,
     "Classes to generate (synthetic).", false},
    {"size", OPTION_INTEGER, AT(size), "N", NULL, NULL, 8, 4096,
     "Side of the square images in pixels (images: needed; synthetic: 32 unless given).", false},
    {"seed", OPTION_INTEGER, AT(seed), "N", "1", NULL, 0, 9e15,
     "Seed of generated images, or of the choice of test images.", false},
    {"test-fraction", OPTION_REAL, AT(test_fraction), "F", "0.1", NULL, 1e-9, 0.9,
     "Part of the images that becomes the test split where SRC has no folder of them (images).",
     false},
    {"shards", OPTION_INTEGER, AT(shards), "N", NULL, NULL, 1, 100000,
     "Shards of each split; without it, as many as make them about 64 MiB.", false},
    {"threads", OPTION_INTEGER, AT(threads), "N", NULL, NULL, 1, 1024,
     "Shards to make at once; without it, as many as this process has cores (or CPUs of a quota).",
     false},
    {"force", OPTION_FLAG, AT(force), NULL, NULL, NULL, 0, 0,
     "Replace the data set that OUT holds.", false},
    {"verify", OPTION_FLAG, AT(verify), NULL, NULL, NULL, 0, 0,
     "Re-read the data set in DIR, the only operand, and check every byte of it.", false},
    {0}};

/* Which options belong to which source: the others would be ignored, so they are refused. */
static const struct {
    const char *option, *sources;
} belongs[] = {{"images", "synthetic"},
               {"test-images", "synthetic"},
               {"classes", "synthetic"},
               {"size", "images synthetic"},
               {"seed", "images synthetic encoded"},
               {"test-fraction", "images encoded"},
               {"shards", "cifar10 images synthetic encoded"},
               {"threads", "cifar10 images synthetic encoded"},
               {"force", "cifar10 images synthetic encoded"},
               {"encoded", "images encoded"},
               {"check", "encoded"},
               {"skip-bad", "encoded"},
               {"exif", "encoded"},
               {"order", "encoded"},
               {"max-side", "encoded"},
               {"quality", "encoded"},
               {"memory", "encoded"}};

static int refuse_foreign(int argc, char **argv, const char *source, ls_error *error) {
    for (size_t index = 0; index < sizeof belongs / sizeof belongs[0]; index++)
        if (option_given(argc, argv, belongs[index].option) &&
            !strstr(belongs[index].sources, source))
            return ls_fail(error, LS_BAD_INPUT, "--%s: has no meaning for pack %s",
                           belongs[index].option,
                           strcmp(source, "encoded") == 0 ? "images --encoded" : source);
    return LS_OK;
}

/* The number of the signal that asked to stop. While there is something to remove, the packing
 * looks at it; before and after, the process can leave at once. */
static volatile sig_atomic_t interrupted, removing;

static void on_signal(int number) {
    interrupted = number;
    if (removing)
        return;
    char text[64] = "lockstep: pack: interrupted by ";
    strcat(strcat(text, signals_name(number)), "\n");
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
    _exit(signals_exit_code(number));
}

/* pack is one process: several would write the same files. Task 0 alone has a line to print. */
static int refuse_several(ls_error *error) {
    static const char *const names[][2] = {{"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},
                                           {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}};
    for (int index = 0; index < 2; index++) {
        const char *size = getenv(names[index][0]), *rank = getenv(names[index][1]);
        if (!size || atoi(size) <= 1)
            continue;
        if (rank && atoi(rank) > 0)
            return error->code = LS_BAD_LAUNCH;
        return ls_fail(error, LS_BAD_LAUNCH,
                       "pack: expected one process, found %s=%s: pack is parallel by itself (run "
                       "it without srun or mpirun, or with -n 1)",
                       names[index][0], size);
    }
    return LS_OK;
}

/* No more than a container's CPU quota keeps busy. */
static int available_cores(void) {
    cpu_quota quotas[MOST_CPU_QUOTAS];
    cpu_set_t mask;
    int cores = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 1;
    int count = cpu_quota_read("", quotas, NULL);
    for (int index = 0; index < count; index++)
        if (cpu_quota_threads(quotas[index].cpus) < cores)
            cores = cpu_quota_threads(quotas[index].cpus);
    return cores;
}

static int open_source(const pack_options *given, const operands *rest, source **out,
                       ls_error *error) {
    const char *word = rest->values[0];
    if (strcmp(word, "cifar10") == 0)
        return source_cifar10_open(rest->values[1], out, error);
    if (strcmp(word, "images") == 0) {
        image_folder_settings settings = {(int)given->size, given->test_fraction,
                                          (uint64_t)given->seed};
        return source_images_open(rest->values[1], &settings, out, error);
    }
    synthetic_settings settings = {given->images, given->test_images, (int)given->classes,
                                   given->size ? (int)given->size : 32, (uint64_t)given->seed};
    return source_synthetic_open(&settings, out, error);
}

static int check_operands(const pack_options *given, const operands *rest, ls_error *error) {
    const char *word = rest->values[0];
    bool reads = strcmp(word, "cifar10") == 0 || strcmp(word, "images") == 0;
    if (!reads && strcmp(word, "synthetic") != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "pack: expected cifar10, images or synthetic, found '%s'", word);
    if (rest->count != (reads ? 3 : 2))
        return ls_fail(error, LS_BAD_INPUT, "pack: expected '%s%s OUT', found %d operands", word,
                       reads ? " SRC" : "", rest->count);
    if (strcmp(word, "images") == 0 && given->size == 0 && !given->encoded.encoded)
        return ls_fail(error, LS_BAD_INPUT,
                       "pack images: expected --size N, or --encoded, found none");
    return LS_OK;
}

static pack_settings settings_from(const pack_options *given, const char *folder,
                                   const char *verb) {
    return (pack_settings){.folder = folder,
                           .shards = (int)given->shards,
                           .threads = given->threads ? (int)given->threads : available_cores(),
                           .force = given->force,
                           .interrupted = &interrupted,
                           .complain = pack_show_complaint,
                           .progress = pack_show_progress,
                           .progress_context = (void *)(uintptr_t)verb};
}

static int finish(const pack_settings *settings, int status, const char *verb, const char *ignored,
                  manifest *packed, double start) {
    pack_clear_progress();
    if (status != LS_OK)
        return status;
    pack_show_result(verb, settings->folder, packed, ignored, clock_seconds() - start);
    manifest_release(packed);
    return LS_OK;
}

static int verify(const pack_options *given, const char *folder, ls_error *error) {
    double start = clock_seconds();
    manifest found;
    pack_settings settings = settings_from(given, folder, "verifying");
    removing = 1;
    int status = pack_verify(&settings, &found, error);
    removing = 0;
    return finish(&settings, status, "verified (SHA-256, CRC-32C, labels, counts, id)", "", &found,
                  start);
}

static int pack_pixels(const pack_options *given, const operands *rest,
                       const pack_settings *settings, double start, ls_error *error) {
    source *from = NULL;
    manifest packed;
    LS_TRY(open_source(given, rest, &from, error));
    removing = 1;
    int status = pack_run(from, settings, &packed, error);
    removing = 0;
    status = finish(settings, status, "packed", from->ignored, &packed, start);
    source_close(from);
    return status;
}

static int pack_files(const pack_options *given, const operands *rest, pack_settings *settings,
                      double start, ls_error *error) {
    encoded_choices choices;
    image_folder from;
    manifest packed;
    settings->resumes = true;
    LS_TRY(pack_encoded_choose(&given->encoded, (uint64_t)given->seed, &choices, error));
    LS_TRY(pack_encoded_list(&choices, rest->values[1], given->test_fraction, &from, error));
    removing = 1;
    int status = pack_encoded_run(&from, &choices, settings, &packed, error);
    removing = 0;
    status = finish(settings, status, "packed", from.ignored, &packed, start);
    image_folder_close(&from);
    return status;
}

static int pack(const pack_options *given, const operands *rest, ls_error *error) {
    double start = clock_seconds();
    LS_TRY(check_operands(given, rest, error));
    pack_settings settings = settings_from(given, rest->values[rest->count - 1], "packing");
    return given->encoded.encoded ? pack_files(given, rest, &settings, start, error)
                                  : pack_pixels(given, rest, &settings, start, error);
}

static int run(const command *self, int argc, char **argv, ls_error *error) {
    pack_options given = {0};
    operands rest;
    LS_TRY(refuse_several(error));
    LS_TRY(option_parse(self, argc, argv, &given, &rest, error));
    if (rest.help) {
        option_print_help(self, stdout);
        return LS_OK;
    }
    signals_catch(on_signal);
    if (!given.verify) {
        bool files = given.encoded.encoded && strcmp(rest.values[0], "images") == 0;
        LS_TRY(refuse_foreign(argc, argv, files ? "encoded" : rest.values[0], error));
        return pack(&given, &rest, error);
    }
    if (rest.count != 1)
        return ls_fail(error, LS_BAD_INPUT, "pack --verify: expected 'DIR', found %d operands",
                       rest.count);
    LS_TRY(refuse_foreign(argc, argv, "--verify", error));
    return verify(&given, rest.values[0], error);
}

const command command_pack = {
    .name = "pack",
    .usage = "cifar10 SRC OUT | images SRC OUT | synthetic OUT | --verify DIR",
    .summary = "Packs images into HDF5 shards that train reads.",
    .details =
        "cifar10    SRC holds CIFAR-10's binary version (data_batch_1.bin ... batches.meta.txt).\n"
        "images     SRC holds a folder of JPEGs a class, or train/ with those, and one of test/,\n"
        "           val/, valid/ and validation/ beside it. Pixels are taken as they are stored:\n"
        "           an orientation in EXIF is not applied. With --encoded the files stay JPEGs of\n"
        "           their own sizes, and what any of them became is said: an attempt that was\n"
        "           killed goes on from the shards that were finished.\n"
        "synthetic  generated images that a small CNN can learn: the same bytes for the same seed.",
    .groups = (const option_group[]){{NULL, options, 0},
                                     {"With --encoded", pack_encoded_table, AT(encoded)},
                                     {0}},
    .operands_minimum = 1,
    .operands_maximum = 3,
    .run = run};
