#include "cli/commands.h"

#include "base/clock.h"
#include "base/cpu_quota.h"
#include "base/signals.h"
#include "data/pack.h"
#include "report/run/progress.h"

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct pack_options {
    int64_t images, test_images, classes, size, seed, shards, threads;
    double test_fraction;
    bool force, verify;
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
               {"seed", "images synthetic"},
               {"test-fraction", "images"},
               {"shards", "cifar10 images synthetic"},
               {"threads", "cifar10 images synthetic"},
               {"force", "cifar10 images synthetic"}};

static int refuse_foreign(int argc, char **argv, const char *source, ls_error *error) {
    for (size_t index = 0; index < sizeof belongs / sizeof belongs[0]; index++)
        if (option_given(argc, argv, belongs[index].option) &&
            !strstr(belongs[index].sources, source))
            return ls_fail(error, LS_BAD_INPUT, "--%s: has no meaning for pack %s",
                           belongs[index].option, source);
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
    if (strcmp(word, "images") == 0 && given->size == 0)
        return ls_fail(error, LS_BAD_INPUT, "pack images: expected --size N, found none");
    return LS_OK;
}

/* "packing [####      ] 1200/10000 images": the bar takes what the terminal leaves it. */
static void show_progress(void *context, int64_t done, int64_t total) {
    static const char bar[] = "########################################";
    char count[64], line[256];
    int longest = (int)sizeof bar - 1, width = progress_width(STDERR_FILENO);
    snprintf(count, sizeof count, "%" PRId64 "/%" PRId64 " images", done, total);
    int room = width - (int)(strlen(context) + strlen(count) + strlen(" [] "));
    room = room < 0 ? 0 : room > longest ? longest : room;
    snprintf(line, sizeof line, "%s [%-*.*s] %s", (const char *)context, room,
             (int)(done * room / total), bar, count);
    fprintf(stderr, "\r%.*s\033[K", width, line);
}

static void clear_progress(void) {
    fprintf(stderr, "\r\033[K");
}

static void complain(const char *text) {
    if (isatty(STDERR_FILENO))
        clear_progress();
    fprintf(stderr, "lockstep: %s\n", text);
}

static void print_split(const manifest *packed, int split) {
    const manifest_split *part = &packed->splits[split];
    printf("  %-6s%10" PRId64 " images in %d shard%s\n", split_names[split], part->images,
           part->shards, part->shards == 1 ? "" : "s");
}

static void print_result(const char *verb, const char *folder, const manifest *packed,
                         const char *ignored, double seconds) {
    int64_t warned = packed->splits[SPLIT_TRAIN].warned + packed->splits[SPLIT_TEST].warned;
    int64_t images = packed->splits[SPLIT_TRAIN].images + packed->splits[SPLIT_TEST].images;
    int64_t bytes = images * (image_bytes(&packed->shape) + (int64_t)sizeof(int32_t));
    printf("%s %s\n", verb, folder);
    for (int split = 0; split < SPLITS; split++)
        print_split(packed, split);
    if (ignored[0])
        printf("  ignored   %s\n", ignored);
    if (warned)
        printf("  warnings  %" PRId64 " image%s from files that break the JPEG standard where no "
               "pixel depends on it\n",
               warned, warned == 1 ? "" : "s");
    printf("  images    %d x %d, %d channel%s, %d classes\n", packed->shape.height,
           packed->shape.width, packed->shape.channels, packed->shape.channels == 1 ? "" : "s",
           packed->classes.count);
    printf("  size      %.1f MB in %.2f s\n", (double)bytes * 1e-6, seconds);
    printf("  data set  %s\n", packed->id);
}

static pack_settings settings_from(const pack_options *given, const char *folder,
                                   const char *verb) {
    return (pack_settings){.folder = folder,
                           .shards = (int)given->shards,
                           .threads = given->threads ? (int)given->threads : available_cores(),
                           .force = given->force,
                           .interrupted = &interrupted,
                           .complain = complain,
                           .progress = isatty(STDERR_FILENO) ? show_progress : NULL,
                           .progress_context = (void *)(uintptr_t)verb};
}

static int finish(const pack_settings *settings, int status, const char *verb, const char *ignored,
                  manifest *packed, double start) {
    if (settings->progress)
        clear_progress();
    if (status != LS_OK)
        return status;
    print_result(verb, settings->folder, packed, ignored, clock_seconds() - start);
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

static int pack(const pack_options *given, const operands *rest, ls_error *error) {
    double start = clock_seconds();
    source *from = NULL;
    manifest packed;
    LS_TRY(check_operands(given, rest, error));
    LS_TRY(open_source(given, rest, &from, error));
    pack_settings settings = settings_from(given, rest->values[rest->count - 1], "packing");
    removing = 1;
    int status = pack_run(from, &settings, &packed, error);
    removing = 0;
    status = finish(&settings, status, "packed", from->ignored, &packed, start);
    source_close(from);
    return status;
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
        LS_TRY(refuse_foreign(argc, argv, rest.values[0], error));
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
        "           an orientation in EXIF is not applied.\n"
        "synthetic  generated images that a small CNN can learn: the same bytes for the same seed.",
    .groups = (const option_group[]){{NULL, options, 0}, {0}},
    .operands_minimum = 1,
    .operands_maximum = 3,
    .run = run};
