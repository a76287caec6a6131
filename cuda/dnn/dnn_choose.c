#include "cuda/dnn/dnn_choose.h"
#include "base/clock.h"
#include "cuda/choices/choices.h"
#include "cuda/dnn/dnn_settle.h"
#include "cuda/dnn/dnn_time.h"

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

enum { KINDS = sizeof kinds / sizeof kinds[0], MOST_CANDIDATES = 24, SOUNDED = 4 };

/* No further candidate of a direction is begun after this. */
#define BUILDING_SECONDS 0.5

typedef struct candidates {
    dnn_run *runs; /* [MOST_CANDIDATES] */
    int count;
    bool
        by_time; /* as many as there is time for are built, to be timed; else the first that runs */
    bool quick;  /* the first few that come compiled, timed by a launch */
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

static void refuse(cuda_device *device, const dnn_engine *engine, const ls_error *why,
                   candidates *out) {
    ls_fail(&out->refused, LS_FAILED, "engine %lld: %s", (long long)engine->index, why->text);
    if (!out->by_time)
        ls_fail(&out->unusual, LS_FAILED, "engine %lld: %s", (long long)engine->index, why->text);
    device_remark(&device->base.refusals, "engine %lld: %s", (long long)engine->index, why->text);
}

/* Once, by itself and recorded. Where there is no room for it, it counts as running. */
static bool runs(cuda_device *device, dnn_run *run, candidates *out) {
    ls_error why = {0}, no_room = {0};
    int first;
    out->tried++;
    out->untried = dnn_try(device, run, 1, &first, &why, &no_room) != LS_OK;
    if (why.code)
        ls_fail(&out->unusual, LS_FAILED, "%s", why.text);
    return out->untried || first == 0;
}

static bool build_one(cuda_device *device, const dnn_problem *problem, dtype form,
                      const dnn_engine *engine, candidates *out) {
    dnn_run *run = &out->runs[out->count];
    dnn_choice choice = {form, *engine};
    ls_error why = {0};
    if (dnn_run_build(problem, &choice, device->dnn, run, &why) != LS_OK) {
        refuse(device, engine, &why, out);
        return false;
    }
    if (run->execution.workspace_bytes <= DNN_MOST_WORKSPACE_BYTES &&
        (out->by_time || runs(device, run, out)))
        return true;
    dnn_run_destroy(run);
    return false;
}

/* Builds engines of one kind, those that cuDNN prefers first. */
static void build_kind(cuda_device *device, const dnn_problem *problem, const candidate_kind *kind,
                       const dnn_engine_list *list, candidates *out) {
    int built = 0;
    int most = out->quick && kind->most > SOUNDED ? SOUNDED : kind->most;
    for (int index = 0; index < list->count && built < most && !are_enough(out); index++)
        if (list->engines[index].runtime_compiled == kind->runtime_compiled &&
            build_one(device, problem, problem->forms[kind->form], &list->engines[index], out))
            built++, out->count++;
}

/* A graph that cuDNN does not take, or a heuristic or an engine that it does not tell of, leave the
 * others. Of the second form that is ordinary. */
static void note(cuda_device *device, const dnn_problem *problem, int form, const ls_error *why,
                 candidates *out) {
    device_remark(&device->base.refusals, "%s %s: %s", problem->what, problem->key, why->text);
    ls_fail(&out->refused, LS_FAILED, "%s", why->text);
    if (form == 0)
        ls_fail(&out->unusual, LS_FAILED, "%s", why->text);
}

/* What cuDNN offers for each form, and plans of it. */
static void build_forms(cuda_device *device, const dnn_problem *problem,
                        dnn_graph *graphs[DNN_FORMS], dnn_engine_list lists[DNN_FORMS],
                        candidates *out) {
    dnn_target here = {NULL};
    int forms = problem->form_count;
    for (int form = 0; form < forms; form++) {
        ls_error why = {0};
        lists[form].count = 0;
        if (dnn_problem_graph(problem, problem->forms[form], device->dnn, &graphs[form], &why) ==
            LS_OK) {
            dnn_engines_find(graphs[form], &here, &lists[form]);
            why = lists[form].refusal;
        }
        if (why.code)
            note(device, problem, form, &why, out);
    }
    out->began = clock_seconds();
    for (int index = 0; index < KINDS && !are_enough(out); index++)
        if (kinds[index].form < forms && graphs[kinds[index].form] &&
            !(out->quick && kinds[index].runtime_compiled))
            build_kind(device, problem, &kinds[index], &lists[kinds[index].form], out);
}

static int build_candidates(cuda_device *device, const dnn_problem *problem, candidates *out,
                            ls_error *error) {
    dnn_graph *graphs[DNN_FORMS] = {NULL};
    dnn_engine_list *lists = malloc(DNN_FORMS * sizeof *lists);
    if (!lists)
        return ls_fail(error, LS_FAILED, "out of host memory");
    build_forms(device, problem, graphs, lists, out);
    for (int form = 0; form < DNN_FORMS; form++)
        dnn_graph_destroy(graphs[form]);
    free(lists);
    return LS_OK;
}

/* Of those that were built, the one to take, -1 for none; the first where nothing could be run (no
 * memory for it). */
static int pick(cuda_device *device, candidates *all, dnn_timing *timing,
                char source[CHOICE_SOURCE_BYTES]) {
    ls_error no_room = {0};
    *timing = (dnn_timing){.quick = all->quick};
    if (all->count == 0)
        return -1;
    if (all->by_time &&
        dnn_time(device, all->runs, all->count, timing, &all->refused, &no_room) == LS_OK) {
        if (timing->best >= 0)
            snprintf(source, CHOICE_SOURCE_BYTES, "best of %d%s", timing->timed,
                     all->quick ? ", quickly" : "");
        return timing->best;
    }
    timing->timed = 0;
    if (all->by_time || all->untried)
        snprintf(source, CHOICE_SOURCE_BYTES, "first of %d, untried", all->count);
    else if (all->tried == 1)
        snprintf(source, CHOICE_SOURCE_BYTES, "first offer");
    else
        snprintf(source, CHOICE_SOURCE_BYTES, "offer %d", all->tried);
    return 0;
}

/* One line where another way is taken than the best, and why; LS_FAILED where there is no other. */
static int tell(cuda_device *device, const dnn_problem *problem, const ls_error *refused,
                const dnn_run *taken, ls_error *error) {
    const char *why = refused->code ? refused->text : "cuDNN offers no deterministic engine";
    if (taken->graph)
        device_remark(&device->base.fallbacks, "%s %s: %s; taken: engine %lld", problem->what,
                      problem->key, why, (long long)taken->choice.engine.index);
    else if (problem->kernel)
        device_remark(&device->base.fallbacks, "%s %s: %s; taken: a kernel of ours", problem->what,
                      problem->key, why);
    else
        return ls_fail(error, LS_FAILED, "device cuda: %s %s: %s; there is no other way to do it",
                       problem->what, problem->key, why);
    return LS_OK;
}

/* What was timed well is worth a line in the cache; after a quick look the next run goes on. */
static int put_choice(cuda_device *device, const dnn_problem *problem, const dnn_run *taken,
                      const dnn_timing *timing, const char *source, ls_error *error) {
    choice chosen;
    char measure[CHOICE_MEASURE_BYTES];
    bool timed = timing->timed > 0;
    dnn_choice_write(&taken->choice, chosen.text);
    snprintf(chosen.source, sizeof chosen.source, "%s", source);
    snprintf(measure, sizeof measure, "%.2f us", timing->fastest * 1e6);
    return choices_put(device->choices, CHOICE_CUDNN, problem->key, &chosen,
                       timed && !timing->quick ? measure : NULL, error);
}

/* `waits`: this is not the choice yet, and nothing that a reader should know. */
static int choose_from(cuda_device *device, const dnn_problem *problem,
                       const ls_error *known_refused, candidates *all, bool waits, dnn_run *out,
                       dnn_timing *timing, char source[CHOICE_SOURCE_BYTES], ls_error *error) {
    LS_TRY(build_candidates(device, problem, all, error));
    int taken = pick(device, all, timing, source);
    if (taken >= 0) {
        *out = all->runs[taken];
        memset(&all->runs[taken], 0, sizeof all->runs[taken]);
        if (!waits && !choices_imported(device->choices))
            LS_TRY(put_choice(device, problem, out, timing, source, error));
    }
    const ls_error *refused = known_refused->code ? known_refused
                              : all->unusual.code ? &all->unusual
                                                  : &all->refused;
    if (taken < 0 && all->quick) /* engines that take a second to build were left out */
        return LS_OK;
    if (taken < 0 || (refused != &all->refused && !waits))
        return tell(device, problem, refused, out, error);
    return LS_OK;
}

/* `quick`: see candidates. What it took comes out of what is left for all. */
static int choose_anew(cuda_device *device, const dnn_problem *problem,
                       const ls_error *known_refused, bool quick, dnn_run *out, dnn_timing *timing,
                       char source[CHOICE_SOURCE_BYTES], ls_error *error) {
    cuda_choosing *choosing = &device->choosing;
    bool chooses = !choices_imported(device->choices);
    bool waits = chooses && choosing->collects && !known_refused->code; /* which is to be told */
    double began = clock_seconds();
    candidates all = {.runs = calloc(MOST_CANDIDATES, sizeof *all.runs),
                      .quick = quick,
                      .by_time =
                          chooses && !device->first_offer && !waits && choosing->seconds_left > 0};
    if (!all.runs)
        return ls_fail(error, LS_FAILED, "out of host memory");
    int status =
        choose_from(device, problem, known_refused, &all, waits, out, timing, source, error);
    if (status == LS_OK && waits && out->graph)
        status = dnn_waiting_add(device, problem, error);
    for (int index = 0; index < all.count; index++)
        dnn_run_destroy(&all.runs[index]);
    free(all.runs);
    if (all.by_time)
        choosing->seconds_left -= clock_seconds() - began;
    return status;
}

int dnn_choose_by_time(cuda_device *device, const dnn_problem *problem, bool quick, double *spread,
                       ls_error *error) {
    char source[CHOICE_SOURCE_BYTES];
    const ls_error nothing = {0};
    dnn_timing timing;
    dnn_run run = {0};
    int status = choose_anew(device, problem, &nothing, quick, &run, &timing, source, error);
    dnn_run_destroy(&run);
    *spread = timing.slowest - timing.fastest;
    return status;
}

/* What the table has, if it builds and runs; where there is no room to run it, untried. */
static bool take_known(cuda_device *device, const dnn_problem *problem, const dnn_choice *known,
                       const char *whose, dnn_run *out, ls_error *refused) {
    ls_error why = {0}, no_room = {0};
    int first = -1;
    if (dnn_run_build(problem, known, device->dnn, out, &why) == LS_OK) {
        if (dnn_try(device, out, 1, &first, &why, &no_room) != LS_OK || first == 0)
            return true;
        dnn_run_destroy(out);
    }
    ls_fail(refused, LS_FAILED, "%s engine %lld: %s", whose, (long long)known->engine.index,
            why.text);
    device_remark(&device->base.refusals, "%s", refused->text);
    return false;
}

/* What was timed before; where no time is left for it, what was shipped as the first offer. */
static bool find_known(const cuda_device *device, const dnn_problem *problem, choice *out,
                       bool *offered) {
    const choices *choices = device->choices;
    *offered = false;
    if (choices_find(choices, CHOICE_CUDNN, problem->key, out))
        return true;
    *offered = device->choosing.seconds_left <= 0 && !choices_imported(choices) &&
               choices_find_offer(choices, CHOICE_CUDNN, problem->key, out);
    return *offered;
}

int dnn_choose(cuda_device *device, const dnn_problem *problem, dnn_run *out,
               char source[CHOICE_SOURCE_BYTES], ls_error *error) {
    choice known;
    dnn_choice engine;
    dnn_timing timing;
    ls_error refused = {0};
    bool offered;
    memset(out, 0, sizeof *out);
    snprintf(source, CHOICE_SOURCE_BYTES, "avoided");
    if (device->avoided & CUDA_AVOID_CUDNN)
        return problem->kernel ? LS_OK
                               : ls_fail(error, LS_FAILED,
                                         "device cuda: %s %s: LOCKSTEP_CUDA_AVOID names cudnn, and "
                                         "there is no other way to do it",
                                         problem->what, problem->key);
    if (find_known(device, problem, &known, &offered)) {
        bool imported = choices_imported(device->choices);
        snprintf(source, CHOICE_SOURCE_BYTES, "%s", known.source);
        if (!dnn_choice_read(known.text, &engine))
            ls_fail(&refused, LS_FAILED, "the kept choice \"%.60s\" is none", known.text);
        else if (take_known(device, problem, &engine, imported ? "rank 0's" : "the kept", out,
                            &refused))
            /* What was an offer is chosen now, for the other ranks too. */
            return offered ? choices_put(device->choices, CHOICE_CUDNN, problem->key, &known, NULL,
                                         error)
                           : LS_OK;
    }
    snprintf(source, CHOICE_SOURCE_BYTES, "no engine");
    return choose_anew(device, problem, &refused, false, out, &timing, source, error);
}
