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
    bool
        by_time; /* as many as there is time for are built, to be timed; else the first that runs */
    double began;     /* clock */
    int tried;        /* not by time: that were built */
    bool untried;     /* there was no room to run it */
    ls_error refused; /* the first that cuDNN said against any of them; code 0: nothing */
    ls_error unusual; /* the first of it that leads away from what would have been taken */
} candidates;

static bool are_enough(const candidates *self) {
    if (!self->by_time)
        return self->count > 0;
    return self->count > 0 && clock_seconds() - self->began > BUILDING_SECONDS;
}

static void refuse(cuda_device *device, const conv_engine *engine, const ls_error *why,
                   candidates *out) {
    ls_fail(&out->refused, LS_FAILED, "engine %lld: %s", (long long)engine->index, why->text);
    if (!out->by_time)
        ls_fail(&out->unusual, LS_FAILED, "engine %lld: %s", (long long)engine->index, why->text);
    device_remark(&device->base.refusals, "engine %lld: %s", (long long)engine->index, why->text);
}

/* Once, by itself and recorded. Where there is no room for it, it counts as running. */
static bool runs(cuda_device *device, conv_run *run, candidates *out) {
    ls_error why = {0}, no_room = {0};
    int first;
    out->tried++;
    out->untried = conv_try(device, run, 1, &first, &why, &no_room) != LS_OK;
    if (why.code)
        ls_fail(&out->unusual, LS_FAILED, "%s", why.text);
    return out->untried || first == 0;
}

static bool build_one(cuda_device *device, const conv_graph *graph, const conv_engine *engine,
                      candidates *out) {
    conv_run *run = &out->runs[out->count];
    conv_choice choice = {graph->parameter_type, *engine};
    ls_error why = {0};
    if (conv_run_build(&graph->shape, graph->direction, &choice, device->dnn, run, &why) != LS_OK) {
        refuse(device, engine, &why, out);
        return false;
    }
    if (run->execution.workspace_bytes <= CONV_MOST_WORKSPACE_BYTES &&
        (out->by_time || runs(device, run, out)))
        return true;
    conv_run_destroy(run);
    return false;
}

/* Builds engines of one kind, those that cuDNN prefers first. */
static void build_kind(cuda_device *device, const conv_graph *graph, const candidate_kind *kind,
                       const conv_engine_list *list, candidates *out) {
    int built = 0;
    for (int index = 0; index < list->count && built < kind->most && !are_enough(out); index++)
        if (list->engines[index].runtime_compiled == kind->runtime_compiled &&
            build_one(device, graph, &list->engines[index], out))
            built++, out->count++;
}

/* A graph that cuDNN does not take, or a heuristic or an engine that it does not tell of, leave the
 * others. Of the second form that is ordinary. */
static void note(cuda_device *device, const char *name, int form, const ls_error *why,
                 candidates *out) {
    device_remark(&device->base.refusals, "convolution %s: %s", name, why->text);
    ls_fail(&out->refused, LS_FAILED, "%s", why->text);
    if (form == 0)
        ls_fail(&out->unusual, LS_FAILED, "%s", why->text);
}

/* What cuDNN offers for each form, and plans of it. */
static void build_forms(cuda_device *device, const conv2d_shape *shape, conv_direction direction,
                        const char *name, conv_graph *graphs[2], conv_engine_list lists[2],
                        candidates *out) {
    conv_target here = {NULL};
    dtype types[2];
    int forms = conv_parameter_types(shape, direction, types);
    for (int form = 0; form < forms; form++) {
        ls_error why = {0};
        lists[form].count = 0;
        if (conv_graph_create(shape, direction, types[form], device->dnn, &graphs[form], &why) ==
            LS_OK) {
            conv_engines_find(graphs[form], &here, &lists[form]);
            why = lists[form].refusal;
        }
        if (why.code)
            note(device, name, form, &why, out);
    }
    out->began = clock_seconds();
    for (int index = 0; index < KINDS && !are_enough(out); index++)
        if (kinds[index].form < forms && graphs[kinds[index].form])
            build_kind(device, graphs[kinds[index].form], &kinds[index], &lists[kinds[index].form],
                       out);
}

static int build_candidates(cuda_device *device, const conv2d_shape *shape,
                            conv_direction direction, const char *name, candidates *out,
                            ls_error *error) {
    conv_graph *graphs[2] = {NULL, NULL};
    conv_engine_list *lists = malloc(2 * sizeof *lists);
    if (!lists)
        return ls_fail(error, LS_FAILED, "out of host memory");
    build_forms(device, shape, direction, name, graphs, lists, out);
    for (int form = 0; form < 2; form++)
        conv_graph_destroy(graphs[form]);
    free(lists);
    return LS_OK;
}

/* Of those that were built, the one to take, -1 for none; the first where nothing could be run (no
 * memory for it). */
static int pick(cuda_device *device, candidates *all, bool *timed, char source[CONV_SOURCE_BYTES]) {
    ls_error no_room = {0};
    int best, timed_count;
    *timed = false;
    if (all->count == 0)
        return -1;
    if (all->by_time && conv_time(device, all->runs, all->count, &best, &timed_count, &all->refused,
                                  &no_room) == LS_OK) {
        *timed = best >= 0;
        snprintf(source, CONV_SOURCE_BYTES, "best of %d", timed_count);
        return best;
    }
    if (all->by_time || all->untried)
        snprintf(source, CONV_SOURCE_BYTES, "first of %d, untried", all->count);
    else if (all->tried == 1)
        snprintf(source, CONV_SOURCE_BYTES, "first offer");
    else
        snprintf(source, CONV_SOURCE_BYTES, "offer %d", all->tried);
    return 0;
}

/* One line where another way is taken than the best, and why. */
static void tell(cuda_device *device, const char *name, const ls_error *refused,
                 const conv_run *taken) {
    if (taken->graph)
        device_remark(&device->base.fallbacks, "convolution %s: %s; taken: engine %lld", name,
                      refused->text, (long long)taken->choice.engine.index);
    else
        device_remark(&device->base.fallbacks, "convolution %s: %s; taken: a kernel of ours", name,
                      refused->code ? refused->text : "cuDNN offers no deterministic engine");
}

static int choose_anew(cuda_device *device, const conv2d_shape *shape, conv_direction direction,
                       const char *name, const ls_error *known_refused, conv_run *out,
                       char source[CONV_SOURCE_BYTES], ls_error *error) {
    bool chooses = !conv_choices_imported(device->choices), timed = false;
    candidates all = {.runs = calloc(MOST_CANDIDATES, sizeof *all.runs),
                      .by_time = chooses && !device->first_offer};
    if (!all.runs)
        return ls_fail(error, LS_FAILED, "out of host memory");
    int status = build_candidates(device, shape, direction, name, &all, error);
    int taken = status == LS_OK ? pick(device, &all, &timed, source) : -1;
    if (taken >= 0) {
        *out = all.runs[taken];
        memset(&all.runs[taken], 0, sizeof all.runs[taken]);
        if (chooses)
            status = conv_choices_put(device->choices, name, &out->choice, timed, error);
    }
    if (known_refused->code)
        tell(device, name, known_refused, out);
    else if (all.unusual.code)
        tell(device, name, &all.unusual, out);
    else if (taken < 0)
        tell(device, name, &all.refused, out);
    for (int index = 0; index < all.count; index++)
        conv_run_destroy(&all.runs[index]);
    free(all.runs);
    return status;
}

/* What the table has, if it builds and runs; where there is no room to run it, untried. */
static bool take_known(cuda_device *device, const conv2d_shape *shape, conv_direction direction,
                       const conv_choice *known, const char *whose, conv_run *out,
                       ls_error *refused) {
    ls_error why = {0}, no_room = {0};
    int first = -1;
    if (conv_run_build(shape, direction, known, device->dnn, out, &why) == LS_OK) {
        if (conv_try(device, out, 1, &first, &why, &no_room) != LS_OK || first == 0)
            return true;
        conv_run_destroy(out);
    }
    ls_fail(refused, LS_FAILED, "%s engine %lld: %s", whose, (long long)known->engine.index,
            why.text);
    device_remark(&device->base.refusals, "%s", refused->text);
    return false;
}

int conv_choose(cuda_device *device, const conv2d_shape *shape, conv_direction direction,
                conv_run *out, char source[CONV_SOURCE_BYTES], ls_error *error) {
    char name[CONV_SHAPE_TEXT_BYTES];
    conv_choice known;
    ls_error refused = {0};
    conv_shape_text(shape, direction, name);
    memset(out, 0, sizeof *out);
    snprintf(source, CONV_SOURCE_BYTES, "avoided");
    if (device->avoided & CUDA_AVOID_CUDNN)
        return LS_OK;
    if (conv_choices_find(device->choices, name, &known)) {
        bool imported = conv_choices_imported(device->choices);
        snprintf(source, CONV_SOURCE_BYTES, "%s", imported ? "rank 0's" : "known");
        if (take_known(device, shape, direction, &known, imported ? "rank 0's" : "the kept", out,
                       &refused))
            return LS_OK;
    }
    snprintf(source, CONV_SOURCE_BYTES, "no engine");
    return choose_anew(device, shape, direction, name, &refused, out, source, error);
}
