#include "checkpoint_fixture.h"

#include "checkpoint/part.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char run_id[] = "0123456789abcdef0123456789abcdef";

float fixture_value(int array, int64_t at) {
    return (float)(array + 1) * 0.25f + (float)at * 0.001f;
}

const char *fixture_folder(char out[64]) {
    snprintf(out, 64, "%s", "/tmp/lockstep-checkpoint-XXXXXX");
    return mkdtemp(out);
}

/* Damage 2: elements 4 and 5 of fc1.bias, in the parameters alone. */
static float value_at(const checkpoint_range *range, int64_t at, int damage) {
    float value = fixture_value((int)range->array, range->first + at);
    bool changed = damage == 2 && range->array == 0 && (range->first + at) / 2 == 149502;
    return changed ? value + 1 : value;
}

static float *make_values(const checkpoint_range *ranges, int count, int damage) {
    int64_t elements = 0, next = 0;
    for (int index = 0; index < count; index++)
        elements += ranges[index].count;
    float *values = malloc((size_t)elements * sizeof *values + 1);
    for (int index = 0; index < count; index++)
        for (int64_t at = 0; at < ranges[index].count; at++)
            values[next++] = value_at(&ranges[index], at, damage);
    if (damage == 1)
        values[17] = NAN;
    return values;
}

/* Both ranks' parts, and the manifest's tables of them. */
static int write_parts(checkpoint_manifest *manifest, const char *folder, int damage,
                       ls_error *error) {
    static const checkpoint_range first[] = {{0, 0, FIXTURE_PARAMETERS}, {2, 0, FIXTURE_BUFFERS}},
                                  second[] = {{0, 0, FIXTURE_PARAMETERS},
                                              {1, 0, FIXTURE_PARAMETERS},
                                              {2, 0, FIXTURE_BUFFERS}};
    const checkpoint_holding held[] = {{first, 2}, {second, 3}};
    for (int rank = 0; rank < 2; rank++) {
        checkpoint_range *own;
        int count;
        LS_TRY(checkpoint_share(held, 2, rank, &own, &count, error));
        float *values = make_values(own, count, damage);
        checkpoint_part *part = &manifest->parts[rank];
        int status = checkpoint_part_write(folder, rank, run_id, manifest->arrays, own, count,
                                           values, part, error);
        part->first_range = manifest->range_count;
        memcpy(manifest->ranges + manifest->range_count, own, (size_t)count * sizeof *own);
        manifest->range_count += count;
        free(values);
        free(own);
        LS_TRY(status);
    }
    return LS_OK;
}

static void describe(checkpoint_manifest *out) {
    static const double rates[] = {0.5, 1.0 / 3.0, NAN};
    record_put_text(&out->state, "options", "model=cnn\nseed=1\n");
    record_put_text(&out->state, "empty", "");
    record_put_reals(&out->state, "rates", rates, 3);
    record_put_reals(&out->state, "none", NULL, 0);
    record_put_integer(&out->state, "lanes", -4);
}

int fixture_write(const char *dir, int64_t serial, int64_t step, int damage,
                  char name[CHECKPOINT_FOLDER_BYTES], ls_error *error) {
    char folder[4096];
    checkpoint_array arrays[] = {{"parameters", FIXTURE_PARAMETERS},
                                 {"moment1", FIXTURE_PARAMETERS},
                                 {"buffers", FIXTURE_BUFFERS}};
    checkpoint_tensor tensors[] = {
        {"fc1.weight", {1000, 299}, 2, {0, 0, 299000}},
        {"fc1.bias", {1000}, 1, {0, 299000, 1000}},
        {"norm.mean", {FIXTURE_BUFFERS}, 1, {2, 0, FIXTURE_BUFFERS}},
    };
    checkpoint_part parts[2];
    checkpoint_range ranges[16];
    checkpoint_manifest manifest = {.serial = serial,
                                    .step = step,
                                    .epoch = 2,
                                    .position = 64,
                                    .test_accuracy = 0.5,
                                    .test_loss = NAN,
                                    .arrays = arrays,
                                    .array_count = 3,
                                    .tensors = tensors,
                                    .tensor_count = 3,
                                    .parts = parts,
                                    .part_count = 2,
                                    .ranges = ranges};
    memcpy(manifest.id, run_id, sizeof manifest.id);
    LS_TRY(checkpoint_temporary(folder, sizeof folder, dir, run_id, serial, step, error));
    LS_TRY(checkpoint_begin(folder, error));
    LS_TRY(write_parts(&manifest, folder, damage, error));
    describe(&manifest);
    int status = checkpoint_manifest_write(&manifest, folder, error);
    record_free(&manifest.state);
    LS_TRY(status);
    return checkpoint_publish(dir, folder, step, name, error);
}
