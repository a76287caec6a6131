#include "weights/account.h"
#include "model/state_dict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED = 4 }; /* tensors in one line */

/* What does not fit, the first few by name. */
typedef struct fault {
    text_buffer text;
    int count;
} fault;

typedef enum { MISSING, UNEXPECTED, OTHER_SHAPE, FAULTS } fault_kind;

typedef struct look {
    const graph *graph;
    const weights_source *from;
    weights_rules rules;
    account *out;
    fault faults[FAULTS];
} look;

static void add_to(fault *self, const char *name, const char *what) {
    if (self->count < NAMED)
        text_add(&self->text, "%s%.100s%s", self->count ? ", " : "", name, what);
    self->count++;
}

static void add_shape(text_buffer *out, const int64_t *dims, int count) {
    text_add(out, "[");
    for (int dim = 0; dim < count; dim++)
        text_add(out, "%s%lld", dim ? ", " : "", (long long)dims[dim]);
    text_add(out, "]");
}

static void add_other_shape(look *self, const safetensors_tensor *tensor, const int64_t *dims,
                            int count) {
    text_buffer what = {0};
    text_add(&what, " (expected ");
    add_shape(&what, dims, count);
    text_add(&what, ", found ");
    add_shape(&what, tensor->dims, tensor->dim_count);
    text_add(&what, ")");
    add_to(&self->faults[OTHER_SHAPE], tensor->name, what.failed ? "" : what.bytes);
    text_free(&what);
}

/* --- the head */

static bool is_of_head(const graph *graph, int record) {
    return graph->parameters[record].layer == graph->tensors[graph->output].producer;
}

/* All of the head's tensors are missing, or are those of one other number of classes. */
static bool is_other_head(const look *self, int *classes) {
    int missing = 0, other = 0, count = 0;
    *classes = 0;
    for (int record = 0; record < self->graph->record_count; record++) {
        const safetensors_tensor *found = self->out->records[record].parts[0];
        int64_t dims[4];
        if (!is_of_head(self->graph, record))
            continue;
        int dim_count = state_dict_shape(self->graph, record, dims);
        count++;
        missing += !found;
        if (!found || found->dim_count != dim_count || found->dims[0] == dims[0] ||
            found->dims[0] < 1 || found->dims[0] > INT32_MAX ||
            (*classes > 0 && found->dims[0] != *classes) ||
            memcmp(found->dims + 1, dims + 1, (size_t)(dim_count - 1) * sizeof *dims) != 0)
            continue;
        *classes = (int)found->dims[0];
        other++;
    }
    return count > 0 && (missing == count || other == count);
}

/* --- position embeddings */

position_grid account_grid(const graph *graph, int record) {
    const graph_layer *embedding = &graph->layers[graph->parameters[record].layer];
    int patches = graph->tensors[embedding->inputs[0]].producer;
    int side = graph->parameters[graph->layers[patches].first_record].dims[1];
    return (position_grid){graph->tensors[0].height / side, graph->tensors[0].width / side};
}

/* Of a square grid, with the class token's before them, for channels as the record's. */
static bool is_interpolated(const look *self, int record, const safetensors_tensor *found) {
    const graph_parameter *of = &self->graph->parameters[record];
    if (strcmp(of->name, "pos_embed") != 0 || found->dim_count != 3 || found->dims[0] != 1 ||
        found->dims[2] != of->dims[2] || found->dims[1] < 2 || found->dims[1] > 1 << 24)
        return false;
    int64_t side = (int64_t)(sqrt((double)(found->dims[1] - 1)) + 0.5);
    return side * side == found->dims[1] - 1;
}

/* --- a record */

static void find_parts(look *self, int record) {
    char names[WEIGHTS_MOST_PARTS][WEIGHTS_NAME_BYTES];
    record_account *out = &self->out->records[record];
    out->part_count =
        weights_names(self->from->naming, self->graph->parameters[record].name, names);
    for (int part = 0; part < out->part_count; part++)
        out->parts[part] = safetensors_set_find(self->from->tensors, names[part]);
}

static bool part_fits(look *self, int record, int part) {
    char names[WEIGHTS_MOST_PARTS][WEIGHTS_NAME_BYTES];
    record_account *out = &self->out->records[record];
    const safetensors_tensor *found = out->parts[part];
    int64_t dims[4];
    int count = state_dict_shape(self->graph, record, dims);
    dims[0] /= out->part_count;
    weights_names(self->from->naming, self->graph->parameters[record].name, names);
    if (!found)
        add_to(&self->faults[MISSING], names[part], "");
    else if (count == found->dim_count &&
             memcmp(dims, found->dims, (size_t)count * sizeof *dims) == 0)
        return true;
    else
        add_other_shape(self, found, dims, count);
    return false;
}

static void judge(look *self, int record) {
    record_account *out = &self->out->records[record];
    bool fits = true;
    if (self->out->new_head && is_of_head(self->graph, record))
        return;
    if (out->part_count == 1 && out->parts[0] &&
        out->parts[0]->elements != (int64_t)self->graph->parameters[record].count &&
        is_interpolated(self, record, out->parts[0])) {
        out->use = RECORD_INTERPOLATED;
        return;
    }
    for (int part = 0; part < out->part_count; part++)
        fits &= part_fits(self, record, part);
    out->use = fits ? RECORD_READ : RECORD_KEPT;
}

/* --- what nobody asked for */

static bool is_asked_for(const look *self, const safetensors_tensor *tensor) {
    for (int record = 0; record < self->graph->record_count; record++)
        for (int part = 0; part < self->out->records[record].part_count; part++)
            if (self->out->records[record].parts[part] == tensor)
                return true;
    return false;
}

static void look_at_rest(look *self) {
    int spare = 0;
    for (int index = 0; index < safetensors_set_count(self->from->tensors); index++) {
        const safetensors_tensor *tensor = safetensors_set_at(self->from->tensors, index);
        if (is_asked_for(self, tensor) || state_dict_is_count(tensor->name))
            continue;
        if (weights_names_spare(self->from->naming, tensor->name))
            spare++;
        else
            add_to(&self->faults[UNEXPECTED], tensor->name, "");
    }
    if (spare > 0)
        text_add(&self->out->notes, "a pooler's %d tensors are not read: a classifier has none\n",
                 spare);
}

/* --- the account */

static bool any_read(const look *self) {
    for (int record = 0; record < self->graph->record_count; record++)
        if (self->out->records[record].use != RECORD_KEPT)
            return true;
    return false;
}

/* As ls_fail shows its line: names are a stranger's. */
static void show_controls(char *text) {
    for (unsigned char *c = (unsigned char *)text; *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = '?';
}

/* The faults as one line: an error, or with --init-partial a note. */
static int settle(look *self, ls_error *error) {
    static const char *const what[FAULTS] = {"missing", "unexpected", "of another shape"};
    text_buffer line = {0};
    int status = LS_OK;
    for (int kind = 0; kind < FAULTS; kind++) {
        const fault *one = &self->faults[kind];
        if (one->count > 0)
            text_add(&line, "%s%d %s: %s%s", line.length ? "; " : "", one->count, what[kind],
                     one->text.failed ? "?" : one->text.bytes, one->count > NAMED ? ", ..." : "");
    }
    if (line.length && (!self->rules.partial || !any_read(self)))
        status = ls_fail(error, LS_BAD_INPUT, "%s: its tensors are not the model's: %s",
                         self->from->path, line.bytes);
    else if (line.length) {
        show_controls(line.bytes);
        text_add(&self->out->notes, "partial: %s\n", line.bytes);
    }
    text_free(&line);
    return status;
}

static void note_head(look *self) {
    int classes = self->graph->tensors[self->graph->output].channels;
    if (self->out->head_classes > 0)
        text_add(&self->out->notes,
                 "the head is new, for %d classes: that of the weights is for %d\n", classes,
                 self->out->head_classes);
    else
        text_add(&self->out->notes, "the head is new, for %d classes: the weights have none\n",
                 classes);
}

int account_open(const graph *graph, const weights_source *from, weights_rules rules, account *out,
                 ls_error *error) {
    look self = {.graph = graph, .from = from, .rules = rules, .out = out};
    *out = (account){.records = calloc((size_t)graph->record_count + 1, sizeof *out->records)};
    if (!out->records)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int record = 0; record < graph->record_count; record++)
        find_parts(&self, record);
    out->new_head = rules.new_head && is_other_head(&self, &out->head_classes);
    for (int record = 0; record < graph->record_count; record++)
        judge(&self, record);
    if (out->new_head)
        note_head(&self);
    look_at_rest(&self);
    int status = settle(&self, error);
    for (int kind = 0; kind < FAULTS; kind++)
        text_free(&self.faults[kind].text);
    return status == LS_OK ? text_buffer_check(&out->notes, error) : status;
}

void account_close(account *self) {
    free(self->records);
    text_free(&self->notes);
    *self = (account){0};
}
