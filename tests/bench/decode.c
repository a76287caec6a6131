/* How many JPEG images a core decodes, crops at random to 224 x 224, mirrors and normalises.
 *   decode exact|fast FILES       FILES: a file with a path a line, of which all are read first
 * For each line of stdin, one pass over all files; prints images a second of CPU
 * time, so that others on the machine count less. For decode.py. */
#include "input/crop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZE = 224, PLANE = SIZE * SIZE };

typedef struct file {
    uint8_t *bytes;
    size_t count;
} file;

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int read_file(const char *path, file *out) {
    FILE *from = fopen(path, "rb");
    if (!from)
        return -1;
    fseek(from, 0, SEEK_END);
    out->count = (size_t)ftell(from);
    rewind(from);
    out->bytes = malloc(out->count);
    int failed = !out->bytes || fread(out->bytes, 1, out->count, from) != out->count;
    fclose(from);
    return failed;
}

static int read_all(const char *list, file **files, int *count) {
    char line[4096];
    FILE *names = fopen(list, "r");
    *files = NULL, *count = 0;
    while (names && fgets(line, sizeof line, names)) {
        line[strcspn(line, "\n")] = 0;
        file *grown = realloc(*files, ((size_t)*count + 1) * sizeof *grown);
        if (!grown || read_file(line, &grown[*count]) != 0)
            return fprintf(stderr, "decode: cannot read %s\n", line);
        *files = grown;
        ++*count;
    }
    return !names || fclose(names) != 0 || *count == 0;
}

/* As the device does it, a table a channel; planes, as PyTorch has them. */
static void normalise(const uint8_t *pixels, float tables[3][256], float *out) {
    for (int at = 0; at < PLANE; at++)
        for (int channel = 0; channel < 3; channel++)
            out[channel * PLANE + at] = tables[channel][pixels[3 * at + channel]];
}

static int pass(picture *picture, const file *files, int count, int epoch, decode_how how,
                float tables[3][256], ls_error *error) {
    static uint8_t pixels[PLANE * 3];
    static float out[PLANE * 3];
    for (int index = 0; index < count; index++) {
        crop_draw draw = {.seed = 1, .epoch = epoch, .sample = index};
        LS_TRY(picture_begin(picture, files[index].bytes, files[index].count, error));
        view view = crop_resized(&draw, picture->height, picture->width, SIZE);
        LS_TRY(picture_take(picture, &view, how, pixels, error));
        normalise(pixels, tables, out);
    }
    return LS_OK;
}

int main(int argc, char **argv) {
    static const float mean[] = {0.485f, 0.456f, 0.406f}, std[] = {0.229f, 0.224f, 0.225f};
    static float tables[3][256];
    picture picture;
    file *files;
    int count, epoch = 0;
    char line[64];
    ls_error error = {0};
    if (argc != 3 || read_all(argv[2], &files, &count) || picture_open(&picture, &error) != LS_OK)
        return 1;
    decode_how how = strcmp(argv[1], "fast") == 0 ? DECODE_FAST : DECODE_EXACT;
    for (int channel = 0; channel < 3; channel++)
        for (int byte = 0; byte < 256; byte++)
            tables[channel][byte] = ((float)byte / 255 - mean[channel]) / std[channel];
    while (fgets(line, sizeof line, stdin)) {
        double start = cpu_seconds();
        if (pass(&picture, files, count, ++epoch, how, tables, &error) != LS_OK)
            return fprintf(stderr, "decode: %s\n", error.text);
        printf("%.1f\n", count / (cpu_seconds() - start));
        fflush(stdout);
    }
    picture_close(&picture);
    return 0;
}
