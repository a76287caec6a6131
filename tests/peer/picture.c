/* For picture.py: decodes what it is asked for.
 *   picture OUT PILLOW < requests       PILLOW: 13 and later, or before: which pass comes first
 * A request is a line: exact|fast LEFT WIDTH COLUMNS FIRST COUNT TOP HEIGHT ROWS FIRST COUNT
 * MIRRORED and, behind a tab, a file. Their pixels go into OUT, one after the other. Or hue TURN
 * and, behind a tab, a file of pixels as bytes: these, turned. */
#include "input/picture.h"
#include "input/hue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *read_file(const char *path, size_t *count) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *count = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*count);
    if (bytes && fread(bytes, 1, *count, file) != *count)
        *count = 0;
    fclose(file);
    return bytes;
}

static int serve(picture *picture, const char *line, const char *path, FILE *out) {
    char how[8];
    view view = {0};
    view_axis *x = &view.columns, *y = &view.rows;
    int mirrored;
    ls_error error = {0};
    size_t count = 0;
    if (sscanf(line, "%7s %d %d %d %d %d %d %d %d %d %d %d", how, &x->from, &x->extent, &x->size,
               &x->first, &x->count, &y->from, &y->extent, &y->size, &y->first, &y->count,
               &mirrored) != 12)
        return fprintf(stderr, "not a request: %s\n", line);
    view.mirrored = mirrored != 0;
    uint8_t *bytes = read_file(path, &count);
    size_t room = (size_t)x->count * (size_t)y->count * 3;
    uint8_t *pixels = malloc(room);
    decode_how decode = strcmp(how, "fast") == 0 ? DECODE_FAST : DECODE_EXACT;
    int failed = !bytes || !pixels || picture_begin(picture, bytes, count, &error) != LS_OK ||
                 picture_take(picture, &view, decode, pixels, &error) != LS_OK ||
                 fwrite(pixels, 1, room, out) != room;
    if (failed)
        fprintf(stderr, "%s: %s\n", path, error.text);
    free(bytes);
    free(pixels);
    return failed;
}

static int serve_hue(const char *turn, const char *path, FILE *out) {
    size_t count = 0;
    uint8_t *pixels = read_file(path, &count);
    if (pixels)
        hue_turn(strtod(turn, NULL), pixels, count / 3);
    int failed = !pixels || fwrite(pixels, 1, count, out) != count;
    free(pixels);
    return failed;
}

int main(int count, char **arguments) {
    char line[8192];
    picture picture;
    ls_error error = {0};
    FILE *out = count == 3 ? fopen(arguments[1], "wb") : NULL;
    if (!out || picture_open(&picture, &error) != LS_OK)
        return 1;
    int failed = 0;
    picture.resampler.columns_first = atoi(arguments[2]) < 13;
    while (!failed && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        char *path = strchr(line, '\t');
        if (path && strncmp(line, "hue ", 4) == 0)
            failed = serve_hue(line + 4, path + 1, out);
        else
            failed = !path || serve(&picture, line, path + 1, out);
    }
    picture_close(&picture);
    return fclose(out) != 0 || failed;
}
