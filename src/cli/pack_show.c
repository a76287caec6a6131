#include "cli/pack_show.h"

#include "report/run/progress.h"
#include "report/text/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_SECONDS = 60 }; /* between two lines where there is no terminal */

/* "1200/10000 images, 812/s, 91.3 MB/s, 11 s left": rates of what was done now, not kept of
 * before. */
static void describe(const pack_state *state, char *out, size_t capacity) {
    int used = snprintf(out, capacity, "%" PRId64 "/%" PRId64 " images", state->done_images,
                        state->images);
    int64_t images = state->done_images - state->kept_images;
    int64_t bytes = state->done_bytes - state->kept_bytes;
    if (images < 1 || state->seconds < 0.5)
        return;
    double rate = (double)images / state->seconds;
    used += snprintf(out + used, capacity - (size_t)used, ", %.0f/s", rate);
    if (bytes > 0)
        used += snprintf(out + used, capacity - (size_t)used, ", %.1f MB/s",
                         (double)bytes / state->seconds * 1e-6);
    /* Bytes tell better than images how long the rest takes. */
    double rest = bytes > 0
                      ? (double)(state->bytes - state->done_bytes) * state->seconds / (double)bytes
                      : (double)(state->images - state->done_images) / rate;
    snprintf(out + used, capacity - (size_t)used, ", %s left", duration(rest < 0 ? 0 : rest).text);
}

/* "packing [####      ] 1200/10000 images": the bar takes what the terminal leaves it. */
static void draw(const char *verb, const pack_state *state, const char *count) {
    static const char bar[] = "########################################";
    char line[320];
    int longest = (int)sizeof bar - 1, width = progress_width(STDERR_FILENO);
    int room = width - (int)(strlen(verb) + strlen(count) + strlen(" [] "));
    room = room < 0 ? 0 : room > longest ? longest : room;
    int filled = state->images ? (int)(state->done_images * room / state->images) : 0;
    snprintf(line, sizeof line, "%s [%-*.*s] %s", verb, room, filled, bar, count);
    fprintf(stderr, "\r%.*s\033[K", width, line);
}

void pack_show_progress(void *context, const pack_state *state) {
    static double next_seconds = LINE_SECONDS;
    char count[160];
    if (isatty(STDERR_FILENO)) {
        describe(state, count, sizeof count);
        draw(context, state, count);
    } else if (state->seconds >= next_seconds) {
        next_seconds = state->seconds + LINE_SECONDS;
        describe(state, count, sizeof count);
        fprintf(stderr, "lockstep: %s: %s\n", (const char *)context, count);
    }
}

void pack_clear_progress(void) {
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
}

void pack_show_complaint(const char *text) {
    pack_clear_progress();
    fprintf(stderr, "lockstep: %s\n", text);
}

static void print_split(const manifest *packed, int split) {
    const manifest_split *part = &packed->splits[split];
    printf("  %-6s%10" PRId64 " images in %d shard%s\n", split_names[split], part->images,
           part->shards, part->shards == 1 ? "" : "s");
}

static const char *plural(int64_t count) {
    return count == 1 ? "" : "s";
}

static void print_pixels(const manifest *packed) {
    printf("  images    %d x %d, %d channel%s, %d classes\n", packed->shape.height,
           packed->shape.width, packed->shape.channels, plural(packed->shape.channels),
           packed->classes.count);
}

static void print_encoded(const manifest *packed) {
    const encoded_facts *facts = &packed->encoded;
    int64_t converted =
        packed->splits[SPLIT_TRAIN].converted + packed->splits[SPLIT_TEST].converted;
    int64_t left_out = packed->splits[SPLIT_TRAIN].left_out + packed->splits[SPLIT_TEST].left_out;
    if (converted)
        printf("  converted %" PRId64 " file%s became another JPEG, of quality %d (converted.tsv "
               "names the odd ones)\n",
               converted, plural(converted), facts->quality);
    if (left_out)
        printf("  left out  %" PRId64 " file%s (left-out.tsv says why)\n", left_out,
               plural(left_out));
    printf("  images    JPEG files as they are, EXIF orientation %s, %s read, %d classes\n",
           facts->exif_applied ? "applied" : "not applied",
           facts->decoded ? "every code" : "headers", packed->classes.count);
}

void pack_show_result(const char *verb, const char *folder, const manifest *packed,
                      const char *ignored, double seconds) {
    const manifest_split *train = &packed->splits[SPLIT_TRAIN], *test = &packed->splits[SPLIT_TEST];
    int64_t warned = train->warned + test->warned, images = train->images + test->images;
    bool encoded = packed->kind == CONTENT_ENCODED;
    int64_t bytes = encoded ? train->bytes + test->bytes
                            : images * (image_bytes(&packed->shape) + (int64_t)sizeof(int32_t));
    printf("%s %s\n", verb, folder);
    for (int split = 0; split < SPLITS; split++)
        print_split(packed, split);
    if (ignored[0])
        printf("  ignored   %s\n", ignored);
    if (warned)
        printf("  warnings  %" PRId64 " image%s from files that break the JPEG standard where no "
               "pixel depends on it\n",
               warned, plural(warned));
    if (encoded)
        print_encoded(packed);
    else
        print_pixels(packed);
    printf("  size      %.1f MB in %.2f s\n", (double)bytes * 1e-6, seconds);
    printf("  data set  %s\n", packed->id);
}
