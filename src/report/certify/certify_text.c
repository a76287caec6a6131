/* What `report --certify` prints. */
#include "report/certify/certify.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* Runs may differ in these, and it may be why their parameters part. */
static const named_column explaining[] = {{"lockstep_version", "version"},
                                          {"program_hash", "program"},
                                          {"libraries", "libraries"},
                                          {"mode", "mode"},
                                          {"ranks", "ranks"},
                                          {"rank_threads", "threads"},
                                          {"device", "device"},
                                          {"precision", "precision"},
                                          {"strict", "--strict"},
                                          {"lanes", "lanes"},
                                          {"augment", "augmentation"},
                                          {"optimizer", "optimizer"},
                                          {"learning_rate", "learning rate"},
                                          {"momentum", "momentum"},
                                          {"weight_decay", "weight decay"},
                                          {"decay", "what the weight decay is of"},
                                          {"schedule", "schedule"},
                                          {"clip", "clipping"},
                                          {"ema", "moving average"},
                                          {"label_smoothing", "label smoothing"},
                                          {"dropout", "dropout"},
                                          {"drop_path", "stochastic depth"},
                                          {"accumulate", "micro-batches"},
                                          {"grad_comm", "type of exchanged gradients"},
                                          {"plan_id", "plan"},
                                          {"epochs", "epochs"}};

static const char *plural(int64_t count) {
    return count == 1 ? "" : "s";
}

/* A line of each that both have. */
static void add_others(text_buffer *out, const certified_run *first,
                       const certificate_comparison *found) {
    for (int other = 0; other < CERTIFIED_OTHERS; other++) {
        int64_t step = found->other_part[other];
        if (found->other_hashes[other] == 0)
            continue;
        text_add(out, "  %s: ", certified_other_names[other]);
        if (step)
            text_add(out, "part at step %" PRId64 " (epoch %d)\n", step,
                     first->certificate.epochs[step - 1]);
        else
            text_add(out, "identical\n");
    }
}

static void add_where(text_buffer *out, const certified_run *first, const certified_run *other,
                      const certificate_comparison *found) {
    text_add(out, "%s against %s:\n  samples: ", other->run->folder, first->run->folder);
    if (found->samples_part)
        text_add(out, "part at step %" PRId64 " (epoch %d)\n", found->samples_part,
                 first->certificate.epochs[found->samples_part - 1]);
    else
        text_add(out, "identical in %" PRId64 " step%s\n", found->steps, plural(found->steps));
    text_add(out, "  parameters: ");
    if (found->parameters_part)
        text_add(out,
                 "part at step %" PRId64 " (epoch %d), of %zu hash%s compared the first to "
                 "differ; %s %" PRId64 "\n",
                 found->parameters_part, first->certificate.epochs[found->parameters_part - 1],
                 found->hashes, found->hashes == 1 ? "" : "es",
                 found->parameters_equal ? "equal until step" : "none is known before step",
                 found->parameters_equal ? found->parameters_equal : found->parameters_part);
    else
        text_add(out, "identical, %zu hash%s compared\n", found->hashes,
                 found->hashes == 1 ? "" : "es");
    add_others(out, first, found);
    if (first->certificate.steps != other->certificate.steps)
        text_add(out, "  they have %" PRId64 " and %" PRId64 " steps: compared as far as both go\n",
                 first->certificate.steps, other->certificate.steps);
    text_buffer differences = {0};
    certify_add_differences(&differences, explaining, sizeof explaining / sizeof explaining[0],
                            first->run, other->run);
    if (!certificate_is_identical(found) && differences.length)
        text_add(out, "  %s\n", differences.bytes);
    out->failed |= differences.failed;
    text_free(&differences);
}

/* The sketch of a step, or NULL. */
static const fingerprint *print_at(const certificate *self, int64_t step) {
    for (size_t index = 0; index < self->parameter_count; index++)
        if (self->parameters[index].step == step)
            return &self->parameters[index].print;
    return NULL;
}

static bool all_have(const certified_run *runs, size_t count, int64_t step) {
    for (size_t run = 1; run < count; run++)
        if (!print_at(&runs[run].certificate, step))
            return false;
    return true;
}

enum { ROWS = 12 };

/* Which of `total` hashes the table shows as row 0, 1, ...: all of a few, else the first ones and
 * ever fewer of the later ones, by a power law, the last one always. */
static size_t shown(size_t total, size_t row) {
    if (total <= ROWS)
        return row;
    double last = (double)(total - 1), share = (double)row / (ROWS - 1);
    size_t at = (size_t)(exp(share * log(last + 1)) - 1 + 0.5);
    return at < row ? row : at;
}

static void add_distance(table *out, const fingerprint *a, const fingerprint *b) {
    if (a->hash == b->hash)
        table_cell(out, "0");
    else
        table_cell(out, "%.2g", sketch_distance(a, b) / sketch_norm(a));
}

static void add_row(table *out, const certified_run *runs, size_t count, int64_t step) {
    const fingerprint *first = print_at(&runs[0].certificate, step);
    table_cell(out, "%" PRId64, step);
    table_cell(out, "%d", runs[0].certificate.epochs[step - 1]);
    for (size_t run = 1; run < count; run++)
        add_distance(out, first, print_at(&runs[run].certificate, step));
}

static void add_distances(text_buffer *out, const certified_run *runs, size_t count,
                          table_format format) {
    const certificate *first = &runs[0].certificate;
    table_column *columns = calloc(count + 1, sizeof *columns);
    int64_t *steps = calloc(first->parameter_count + 1, sizeof *steps);
    table distances = {.columns = columns, .column_count = count + 1};
    size_t total = 0;
    out->failed |= !columns || !steps;
    for (size_t index = 0; !out->failed && index < first->parameter_count; index++)
        if (all_have(runs, count, first->parameters[index].step))
            steps[total++] = first->parameters[index].step;
    if (!out->failed && total) {
        columns[0] = (table_column){"step", false};
        columns[1] = (table_column){"epoch", false};
        for (size_t run = 1; run < count; run++)
            columns[run + 1] = (table_column){runs[run].run->folder, false};
        for (size_t row = 0; row < total && row < ROWS; row++)
            add_row(&distances, runs, count, steps[shown(total, row)]);
        text_add(out,
                 "\ndistance of the parameters from those of %s, relative to their norm (from "
                 "sketches: 95%% of such figures are within 17%% of the exact one; 0: the same "
                 "bits)\n\n",
                 runs[0].run->folder);
        table_print(&distances, format, "", out);
        out->failed |= distances.failed;
    }
    table_free(&distances);
    free(columns);
    free(steps);
}

static void add_identical(text_buffer *out, const certified_run *runs, size_t count) {
    int64_t steps = runs[0].certificate.steps;
    size_t hashes = runs[0].certificate.parameter_count;
    bool all_have_other[CERTIFIED_OTHERS] = {
        [CERTIFIED_AVERAGE] = true, [CERTIFIED_BUFFERS] = true};
    for (size_t run = 1; run < count; run++) {
        certificate_comparison found =
            certificate_compare(&runs[0].certificate, &runs[run].certificate);
        steps = found.steps < steps ? found.steps : steps;
        hashes = found.hashes < hashes ? found.hashes : hashes;
        for (int other = 0; other < CERTIFIED_OTHERS; other++)
            all_have_other[other] &= found.other_hashes[other] > 0;
    }
    text_add(out, "same samples, same parameters");
    for (int other = 0; other < CERTIFIED_OTHERS; other++)
        if (all_have_other[other])
            text_add(out, ", same %s", certified_other_names[other]);
    text_add(out,
             ": identical\n%zu runs, %" PRId64
             " step%s compared by their samples, %zu hash%s of parameters\n",
             count, steps, plural(steps), hashes, hashes == 1 ? "" : "es");
    for (size_t run = 0; run < count; run++)
        text_add(out, "  %s%s\n", runs[run].run->folder,
                 runs[run].certificate.steps > steps ? " (longer: compared as far as all go)" : "");
}

void certify_text(text_buffer *out, const certified_list *list, table_format format) {
    const certified_run *runs = list->items;
    size_t count = list->count;
    bool parted = false, parameters_parted = false;
    for (size_t run = 1; run < count; run++) {
        certificate_comparison found =
            certificate_compare(&runs[0].certificate, &runs[run].certificate);
        parted |= !certificate_is_identical(&found);
        parameters_parted |= found.parameters_part != 0;
    }
    if (!parted) {
        add_identical(out, runs, count);
        return;
    }
    for (size_t run = 1; run < count; run++) {
        certificate_comparison found =
            certificate_compare(&runs[0].certificate, &runs[run].certificate);
        add_where(out, &runs[0], &runs[run], &found);
    }
    if (parameters_parted)
        add_distances(out, runs, count, format);
}
