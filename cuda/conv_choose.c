#include "conv_choose.h"
#include "base/clock.h"
#include "conv_time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_FORM_CANDIDATES = 16, /* of 20 to 80 that cuDNN offers, best first */
    SECOND_FORM_CANDIDATES = 4, /* compiled as they are built */
    MOST_CANDIDATES = FIRST_FORM_CANDIDATES + SECOND_FORM_CANDIDATES
};

/* No further candidate is begun after this. */
#define BUILDING_SECONDS 1.0

/* Builds up to `most` of the engines that cuDNN offers for one form into runs[]. */
static int build_form(cuda_device *device, const conv2d_shape *shape, conv_direction direction,
                      dtype parameter_type, conv_run *runs, int most, int *out, ls_error *error) {
    conv_graph *graph;
    conv_target here = {NULL};
    *out = 0;
    LS_TRY(conv_graph_create(shape, direction, parameter_type, device->dnn, &graph, error));
    conv_engine_list *list = malloc(sizeof *list);
    if (list)
        conv_engines_find(graph, &here, list);
    double start = clock_seconds();
    for (int index = 0; list && index < list->count && *out < most; index++) {
        if (*out > 0 && clock_seconds() - start > BUILDING_SECONDS)
            break;
        conv_choice choice = {parameter_type, list->engines[index]};
        if (!conv_run_build(shape, direction, &choice, device->dnn, &runs[*out]))
            continue;
        if (runs[*out].execution.workspace_bytes <= CONV_MOST_WORKSPACE_BYTES)
            ++*out;
        else
            conv_run_destroy(&runs[*out]);
    }
    conv_graph_destroy(graph);
    free(list);
    return list ? LS_OK : ls_fail(error, LS_FAILED, "out of host memory");
}

/* runs[count] in the order of preference: `first_only` for one. */
static int build_candidates(cuda_device *device, const conv2d_shape *shape,
                            conv_direction direction, bool first_only,
                            conv_run runs[MOST_CANDIDATES], int *count, ls_error *error) {
    static const int most[2] = {FIRST_FORM_CANDIDATES, SECOND_FORM_CANDIDATES};
    dtype types[2];
    int forms = conv_parameter_types(shape, direction, types);
    *count = 0;
    for (int form = 0; form < forms; form++) {
        int built;
        LS_TRY(build_form(device, shape, direction, types[form], &runs[*count],
                          first_only ? 1 : most[form], &built, error));
        *count += built;
        if (first_only && *count > 0)
            break;
    }
    return LS_OK;
}

static int no_plan(cuda_device *device, const char *name, ls_error *error) {
    return ls_fail(error, LS_FAILED,
                   "cuDNN %zu has no deterministic plan for the convolution %s on %s; try another "
                   "--precision or batch",
                   cudnnGetVersion(), name, device->base.facts.name);
}

/* Of runs[count], the one to take: the fastest, or the first where nothing could be timed (no
 * memory for it). */
static int pick(cuda_device *device, conv_run *runs, int count, bool *timed,
                char source[CONV_SOURCE_BYTES]) {
    ls_error no_room = {0};
    int best, timed_count;
    int status = conv_time(device, runs, count, &best, &timed_count, &no_room);
    *timed = status == LS_OK && best >= 0;
    if (*timed)
        snprintf(source, CONV_SOURCE_BYTES, "best of %d", timed_count);
    else
        snprintf(source, CONV_SOURCE_BYTES, "first of %d, untimed", count);
    return *timed ? best : 0;
}

static int choose_anew(cuda_device *device, const conv2d_shape *shape, conv_direction direction,
                       const char *name, conv_run *out, char source[CONV_SOURCE_BYTES],
                       ls_error *error) {
    bool chooses = !conv_choices_imported(device->choices);
    conv_run *runs = calloc(MOST_CANDIDATES, sizeof *runs);
    if (!runs)
        return ls_fail(error, LS_FAILED, "out of host memory");
    int count;
    int status = build_candidates(device, shape, direction, !chooses, runs, &count, error);
    if (status == LS_OK && count == 0)
        status = no_plan(device, name, error);
    if (status == LS_OK) {
        snprintf(source, CONV_SOURCE_BYTES, "first offer");
        bool timed = false;
        int taken = chooses ? pick(device, runs, count, &timed, source) : 0;
        *out = runs[taken];
        memset(&runs[taken], 0, sizeof runs[taken]);
        if (chooses)
            status = conv_choices_put(device->choices, name, &out->choice, timed, error);
    }
    for (int index = 0; index < MOST_CANDIDATES; index++)
        conv_run_destroy(&runs[index]);
    free(runs);
    return status;
}

int conv_choose(cuda_device *device, const conv2d_shape *shape, conv_direction direction,
                conv_run *out, char source[CONV_SOURCE_BYTES], ls_error *error) {
    char name[CONV_SHAPE_TEXT_BYTES];
    conv_choice known;
    conv_shape_text(shape, direction, name);
    memset(out, 0, sizeof *out);
    if (conv_choices_find(device->choices, name, &known)) {
        bool imported = conv_choices_imported(device->choices);
        snprintf(source, CONV_SOURCE_BYTES, "%s", imported ? "rank 0's" : "known");
        if (conv_run_build(shape, direction, &known, device->dnn, out))
            return LS_OK;
        if (imported)
            return ls_fail(error, LS_FAILED,
                           "cuDNN: rank 0's choice for the convolution %s (engine %lld) does not "
                           "build on this rank (%s); use the same GPUs and drivers on every node",
                           name, (long long)known.engine.index, device->base.facts.name);
    }
    return choose_anew(device, shape, direction, name, out, source, error);
}
