/* The line about certificates under a speedup table. */
#include "report/certify/certify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A run that stands in two tables has one line all the same. */
static bool is_known(const complaints *self, const ls_error *error) {
    for (size_t index = 0; index < self->count; index++)
        if (strcmp(self->list[index].text, error->text) == 0)
            return true;
    return false;
}

/* All runs of a table that have certificates, in its order. */
static int read_all(certified_list *out, const comparison *table, complaints *complaints,
                    ls_error *error) {
    for (size_t row = 0; row <= table->count; row++) {
        const configuration *from = row ? table->rows[row - 1].self : table->baseline;
        for (size_t index = 0; index < from->count; index++) {
            const finished_run *run = from->runs[index];
            if (!certificate_expected(run) || !certificate_exists(run))
                continue;
            if (certificate_read(&out->items[out->count].certificate, run, error) == LS_OK)
                out->items[out->count++].run = run;
            else if (is_known(complaints, error))
                *error = (ls_error){0};
            else
                LS_TRY(complaints_add(complaints, error));
        }
    }
    return LS_OK;
}

static size_t count_runs(const comparison *table) {
    size_t count = table->baseline->count;
    for (size_t row = 0; row < table->count; row++)
        count += table->rows[row].self->count;
    return count;
}

/* The first run before `at` that could have the same samples; `at` where there is none. */
static size_t partner_of(const certified_list *list, size_t at) {
    for (size_t index = 0; index < at; index++)
        if (certify_is_alike(list->items[index].run, list->items[at].run))
            return index;
    return at;
}

static void add_line(text_buffer *out, const certified_list *list, size_t runs) {
    size_t pairs = 0, same_parameters = 0;
    for (size_t at = 1; at < list->count; at++) {
        const certified_run *b = &list->items[at], *a = &list->items[partner_of(list, at)];
        if (a == b)
            continue;
        certificate_comparison found = certificate_compare(&a->certificate, &b->certificate);
        pairs++;
        same_parameters += certificate_has_same_state(&found);
        if (found.samples_part) {
            text_add(out, "\nthe samples of %s part from those of %s at step %" PRId64 "\n",
                     b->run->folder, a->run->folder, found.samples_part);
            return;
        }
    }
    if (pairs == 0)
        return;
    text_add(out, "\nsame samples in all runs%s, step by step, by their certificates",
             pairs + 1 < runs ? " of one seed and global batch that have one" : "");
    if (same_parameters == pairs)
        text_add(out, "; same parameters: identical\n");
    else
        text_add(out, "; the parameters part (`lockstep report --certify RUN...` says where)\n");
}

int certify_note(text_buffer *out, const comparison *table, complaints *complaints,
                 ls_error *error) {
    size_t runs = count_runs(table);
    certified_list list = {.items = calloc(runs, sizeof *list.items)};
    if (!list.items)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status = read_all(&list, table, complaints, error);
    if (status == LS_OK)
        add_line(out, &list, runs);
    certified_list_free(&list);
    return status;
}
