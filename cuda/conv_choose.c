#include "conv_choose.h"
#include "base/clock.h"
#include "conv_time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The kinds of engine that a shape may be given, in the order in which they are built: those that
 * cuDNN brings compiled (a plan takes milliseconds), of both forms of a graph, before those that it
 * compiles while the plan is built (half a second and more each, so that a few of them would use up
 * the time of all others). */
typedef struct candidate_kind {
    int form;
    bool runtime_compiled;
    int most;
} candidate_kind;

static const candidate_kind kinds[] = {
    {0, false, 16}, /* of 20 to 80 that cuDNN offers, best first */
    {1, false, 4},
    {1, true, 2},
    {0, true, 2}};

enum { KINDS = sizeof kinds / sizeof kinds[0], MOST_CANDIDATES = 24 };

/* No further candidate of a direction is begun after this. */
#define BUILDING_SECONDS 0.5

typedef struct candidates {
    conv_run *runs; /* [MOST_CANDIDATES] */
    int count;
    double began; /* clock */
    int most;     /* enough, whatever the time; 0: as many as there is time for */
} candidates;

/* Of those that cuDNN prefers, to take the first of: it may turn out not to run in a graph. */
enum { FIRST_OFFERS = 4 };

static bool are_enough(const candidates *self) {
    if (self->most > 0)
        return self->count >= self->most;
    return self->count > 0 && clock_seconds() - self->began > BUILDING_SECONDS;
}

/* Builds engines of one kind, those that cuDNN prefers first. */
static void build_kind(cuda_device *device, const conv_graph *graph, const candidate_kind *kind,
                       const conv_engine_list *list, candidates *out) {
    int built = 0;
    for (int index = 0; index < list->count && built < kind->most && !are_enough(out); index++) {
        conv_run *run = &out->runs[out->count];
        conv_choice choice = {graph->parameter_type, list->engines[index]};
        if (choice.engine.runtime_compiled != kind->runtime_compiled ||
            !conv_run_build(&graph->shape, graph->direction, &choice, device->dnn, run))
            continue;
        if (run->execution.workspace_bytes <= CONV_MOST_WORKSPACE_BYTES)
            built++, out->count++;
        else
            conv_run_destroy(run);
    }
}

/* What cuDNN offers for each form, and plans of it. */
static int build_forms(cuda_device *device, const conv2d_shape *shape, conv_direction direction,
                       conv_graph *graphs[2], conv_engine_list lists[2], candidates *out,
                       ls_error *error) {
    conv_target here = {NULL};
    dtype types[2];
    int forms = conv_parameter_types(shape, direction, types);
    for (int form = 0; form < forms; form++) {
        LS_TRY(conv_graph_create(shape, direction, types[form], device->dnn, &graphs[form], error));
        conv_engines_find(graphs[form], &here, &lists[form]);
    }
    out->began = clock_seconds();
    for (int index = 0; index < KINDS && !are_enough(out); index++)
        if (kinds[index].form < forms)
            build_kind(device, graphs[kinds[index].form], &kinds[index], &lists[kinds[index].form],
                       out);
    return LS_OK;
}

static int build_candidates(cuda_device *device, const conv2d_shape *shape,
                            conv_direction direction, candidates *out, ls_error *error) {
    conv_graph *graphs[2] = {NULL, NULL};
    conv_engine_list *lists = malloc(2 * sizeof *lists);
    if (!lists)
        return ls_fail(error, LS_FAILED, "out of host memory");
    int status = build_forms(device, shape, direction, graphs, lists, out, error);
    for (int form = 0; form < 2; form++)
        conv_graph_destroy(graphs[form]);
    free(lists);
    return status;
}

static int no_plan(cuda_device *device, const char *name, ls_error *error) {
    return ls_fail(error, LS_FAILED,
                   "cuDNN %zu has no deterministic plan for the convolution %s on %s; try another "
                   "--precision or batch",
                   cudnnGetVersion(), name, device->base.facts.name);
}

/* Of runs[count], the one to take: the fastest (with first_offer, the first that runs), or the
 * first where nothing could be timed (no memory for it). */
static int pick(cuda_device *device, conv_run *runs, int count, bool *timed,
                char source[CONV_SOURCE_BYTES]) {
    ls_error no_room = {0};
    int best, timed_count;
    int status = conv_time(device, runs, count, device->first_offer, &best, &timed_count, &no_room);
    *timed = status == LS_OK && best >= 0;
    if (*timed && device->first_offer)
        snprintf(source, CONV_SOURCE_BYTES, "first offer");
    else if (*timed)
        snprintf(source, CONV_SOURCE_BYTES, "best of %d", timed_count);
    else
        snprintf(source, CONV_SOURCE_BYTES, "first of %d, untimed", count);
    return *timed ? best : 0;
}

static int choose_anew(cuda_device *device, const conv2d_shape *shape, conv_direction direction,
                       const char *name, conv_run *out, char source[CONV_SOURCE_BYTES],
                       ls_error *error) {
    bool chooses = !conv_choices_imported(device->choices);
    candidates all = {.runs = calloc(MOST_CANDIDATES, sizeof *all.runs),
                      .most = device->first_offer ? FIRST_OFFERS
                              : chooses           ? 0
                                                  : 1};
    if (!all.runs)
        return ls_fail(error, LS_FAILED, "out of host memory");
    int status = build_candidates(device, shape, direction, &all, error);
    if (status == LS_OK && all.count == 0)
        status = no_plan(device, name, error);
    if (status == LS_OK) {
        snprintf(source, CONV_SOURCE_BYTES, "first offer");
        bool timed = false;
        int taken = chooses ? pick(device, all.runs, all.count, &timed, source) : 0;
        *out = all.runs[taken];
        memset(&all.runs[taken], 0, sizeof all.runs[taken]);
        if (chooses)
            status = conv_choices_put(device->choices, name, &out->choice,
                                      timed && !device->first_offer, error);
    }
    for (int index = 0; index < all.count; index++)
        conv_run_destroy(&all.runs[index]);
    free(all.runs);
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
