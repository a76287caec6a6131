#include "report/certify/certify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- two certificates */

const char *const certified_other_names[CERTIFIED_OTHERS] = {
    [CERTIFIED_AVERAGE] = "moving average", [CERTIFIED_BUFFERS] = "buffers"};

static void compare_others(certificate_comparison *out, const certificate *a, const certificate *b,
                           const certified_parameters *x, const certified_parameters *y) {
    for (int other = 0; other < CERTIFIED_OTHERS; other++) {
        if (!a->has[other] || !b->has[other])
            continue;
        out->other_hashes[other]++;
        if (out->other_part[other] == 0 && x->others[other] != y->others[other])
            out->other_part[other] = x->step;
    }
}

certificate_comparison certificate_compare(const certificate *a, const certificate *b) {
    certificate_comparison out = {.steps = a->steps < b->steps ? a->steps : b->steps};
    for (int64_t step = out.steps; step > 0; step--)
        if (a->samples[step - 1] != b->samples[step - 1])
            out.samples_part = step;
    for (size_t i = 0, k = 0; i < a->parameter_count && k < b->parameter_count;) {
        const certified_parameters *x = &a->parameters[i], *y = &b->parameters[k];
        i += x->step <= y->step;
        k += y->step <= x->step;
        if (x->step != y->step)
            continue;
        out.hashes++;
        compare_others(&out, a, b, x, y);
        if (out.parameters_part == 0 && x->print.hash != y->print.hash)
            out.parameters_part = x->step;
        if (out.parameters_part == 0)
            out.parameters_equal = x->step;
    }
    return out;
}

bool certificate_has_same_state(const certificate_comparison *found) {
    bool same = found->parameters_part == 0;
    for (int other = 0; other < CERTIFIED_OTHERS; other++)
        same &= found->other_part[other] == 0;
    return same;
}

bool certificate_is_identical(const certificate_comparison *found) {
    return found->samples_part == 0 && certificate_has_same_state(found);
}

/* --- the runs that can be compared */

/* Runs that differ in one of these have nothing that could be the same. */
static const named_column deciding[] = {{"dataset_id", "data set id"},
                                        {"train_images_per_epoch", "number of images an epoch"},
                                        {"global_batch", "global batch"},
                                        {"seed", "seed"},
                                        {"model", "model"},
                                        {"parameters", "number of parameters"}};

void certify_add_differences(text_buffer *out, const named_column *columns, size_t count,
                             const finished_run *x, const finished_run *y) {
    for (size_t index = 0; index < count; index++) {
        const char *a = finished_run_text(x, columns[index].column);
        const char *b = finished_run_text(y, columns[index].column);
        if (strcmp(a, b) != 0)
            text_add(out, "%s%s is %s in %s but %s in %s", out->length ? "; " : "",
                     columns[index].name, a[0] ? a : "not given", x->folder, b[0] ? b : "not given",
                     y->folder);
    }
}

static int check_alike(const finished_run *first, const finished_run *other, ls_error *error) {
    text_buffer text = {0};
    certify_add_differences(&text, deciding, sizeof deciding / sizeof deciding[0], first, other);
    int status = text_buffer_check(&text, error);
    if (status == LS_OK && text.length)
        status =
            ls_fail(error, LS_BAD_INPUT, "%s: its samples cannot be those of the first run: %s",
                    other->folder, text.bytes);
    text_free(&text);
    return status;
}

bool certify_is_alike(const finished_run *first, const finished_run *other) {
    ls_error unlike = {0};
    return check_alike(first, other, &unlike) == LS_OK;
}

static int read_one(certified_list *self, const finished_run *run, ls_error *error) {
    certified_run *next = &self->items[self->count];
    if (self->count > 0)
        LS_TRY(check_alike(self->items[0].run, run, error));
    LS_TRY(certificate_read(&next->certificate, run, error));
    next->run = run;
    self->count++;
    return LS_OK;
}

int certified_list_read(certified_list *out, const run_list *runs, complaints *complaints,
                        ls_error *error) {
    *out = (certified_list){.items = calloc(runs->count + 1, sizeof *out->items)};
    if (!out->items)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (size_t index = 0; index < runs->count; index++)
        if (read_one(out, &runs->items[index], error) != LS_OK)
            LS_TRY(complaints_add(complaints, error));
    if (out->count < 2 && complaints->count == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "report --certify: expected two runs or more to compare, found %zu",
                       out->count);
    return LS_OK;
}

void certified_list_free(certified_list *self) {
    for (size_t index = 0; index < self->count; index++)
        certificate_free(&self->items[index].certificate);
    free(self->items);
    *self = (certified_list){0};
}

/* The first that parts of what they keep beside their parameters. */
static int others_verdict(const certified_run *first, const certified_run *run,
                          const certificate_comparison *found, ls_error *error) {
    for (int other = 0; other < CERTIFIED_OTHERS; other++)
        if (found->other_part[other])
            return ls_fail(error, LS_FAILED,
                           "not identical: same samples and parameters, but the %s of %s part%s "
                           "from %s of %s at step %" PRId64,
                           certified_other_names[other], run->run->folder,
                           other == CERTIFIED_AVERAGE ? "s" : "",
                           other == CERTIFIED_AVERAGE ? "that" : "those", first->run->folder,
                           found->other_part[other]);
    return LS_OK;
}

int certify_verdict(const certified_list *list, ls_error *error) {
    const certified_run *runs = list->items;
    for (size_t run = 1; run < list->count; run++) {
        certificate_comparison found =
            certificate_compare(&runs[0].certificate, &runs[run].certificate);
        if (found.samples_part)
            return ls_fail(
                error, LS_FAILED,
                "not identical: the samples of %s part from those of %s at step %" PRId64,
                runs[run].run->folder, runs[0].run->folder, found.samples_part);
        if (found.parameters_part)
            return ls_fail(
                error, LS_FAILED,
                "not identical: same samples, but the parameters of %s part from those of %s at "
                "step %" PRId64,
                runs[run].run->folder, runs[0].run->folder, found.parameters_part);
        LS_TRY(others_verdict(&runs[0], &runs[run], &found, error));
    }
    return LS_OK;
}
