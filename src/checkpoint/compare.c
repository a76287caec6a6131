#include "checkpoint/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20 };

/* Which tensor an element lies in. Moments and the average lie as the parameters do. */
static void name_place(const checkpoint *of, int array, int64_t element,
                       checkpoint_difference *out) {
    const checkpoint_manifest *manifest = &of->manifest;
    int buffers = checkpoint_find_array(manifest, "buffers");
    snprintf(out->array, sizeof out->array, "%s", manifest->arrays[array].name);
    out->tensor[0] = '\0';
    out->element = element;
    for (int index = 0; index < manifest->tensor_count; index++) {
        const checkpoint_range *range = &manifest->tensors[index].range;
        bool alike = (range->array == buffers) == (array == buffers);
        if (!alike || element < range->first || element >= range->first + range->count)
            continue;
        snprintf(out->tensor, sizeof out->tensor, "%s", manifest->tensors[index].name);
        out->element = element - range->first;
        return;
    }
}

static void compare_piece(const checkpoint *of, int array, int64_t first, int64_t count,
                          const float *a, const float *b, checkpoint_difference *out) {
    out->compared += count;
    if (memcmp(a, b, (size_t)count * sizeof *a) == 0)
        return;
    for (int64_t at = 0; at < count; at++) {
        if (memcmp(&a[at], &b[at], sizeof *a) == 0)
            continue;
        if (out->different++ == 0) {
            name_place(of, array, first + at, out);
            out->first = (double)a[at];
            out->second = (double)b[at];
        }
        out->largest = fmax(out->largest, fabs((double)a[at] - (double)b[at]));
    }
}

static int compare_array(const checkpoint *a, const checkpoint *b, int array, float *both,
                         checkpoint_difference *out, ls_error *error) {
    const checkpoint_array *of = &a->manifest.arrays[array];
    int other = checkpoint_find_array(&b->manifest, of->name);
    if (other < 0 || b->manifest.arrays[other].length != of->length)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected an array '%s' of %" PRId64 " elements, as %s has it, found %s",
                       b->folder, of->name, of->length, a->folder,
                       other < 0 ? "none" : "another length");
    for (int64_t first = 0; first < of->length; first += PIECE) {
        int64_t count = of->length - first < PIECE ? of->length - first : PIECE;
        LS_TRY(checkpoint_read(a, of->name, first, count, both, error));
        LS_TRY(checkpoint_read(b, of->name, first, count, both + PIECE, error));
        compare_piece(a, array, first, count, both, both + PIECE, out);
    }
    return LS_OK;
}

int checkpoint_compare(const checkpoint *a, const checkpoint *b, checkpoint_difference *out,
                       ls_error *error) {
    *out = (checkpoint_difference){0};
    if (a->manifest.array_count != b->manifest.array_count)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected %d arrays, as %s has, found %d",
                       b->folder, a->manifest.array_count, a->folder, b->manifest.array_count);
    float *both = malloc(2 * (size_t)PIECE * sizeof *both);
    int status = both ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    for (int array = 0; status == LS_OK && array < a->manifest.array_count; array++)
        status = compare_array(a, b, array, both, out, error);
    free(both);
    return status;
}
