/* lockstep checkpoint: what checkpoints there are, what one holds, whether it is whole, and where
 * two differ. */
#include "checkpoint/checkpoint.h"

#include "cli/checkpoint_verbs.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "report/text/number.h"
#include "report/text/table.h"
#include "weights/export.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- ls */

static void add_entry(table *out, const char *last, const char *best,
                      const checkpoint_entry *entry) {
    bool is_last = strcmp(entry->name, last) == 0, is_best = strcmp(entry->name, best) == 0;
    table_cell(out, "%s", entry->name);
    table_cell(out, "%" PRId64, entry->step);
    table_cell(out, "%" PRId64, entry->epoch);
    table_cell(out, "%" PRId64, entry->position);
    table_cell(out, "%s", percent(entry->test_accuracy, 2).text);
    table_cell(out, "%s", number(entry->test_loss, 4).text);
    table_cell(out, "%.1f", (double)entry->bytes / 1e6);
    table_cell(out, "%s%s%s", is_last ? "last" : "", is_last && is_best ? ", " : "",
               is_best ? "best" : "");
}

static int list(char **operands, const checkpoint_settings *settings, ls_error *error) {
    (void)settings;
    static const table_column columns[] = {
        {"checkpoint", true}, {"step", false},      {"epoch", false}, {"images of it", false},
        {"accuracy", false},  {"test loss", false}, {"MB", false},    {"", true}};
    const char *dir = operands[0];
    char last[CHECKPOINT_FOLDER_BYTES], best[CHECKPOINT_FOLDER_BYTES];
    checkpoint_entry *entries;
    int count;
    table out = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    text_buffer text = {0};
    LS_TRY(checkpoint_pointed(dir, CHECKPOINT_LAST, last, error));
    LS_TRY(checkpoint_pointed(dir, CHECKPOINT_BEST, best, error));
    LS_TRY(checkpoint_list(dir, &entries, &count, error));
    if (count == 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected a folder of checkpoints, found none",
                       dir);
    for (int index = 0; index < count; index++)
        if (entries[index].readable)
            add_entry(&out, last, best, &entries[index]);
    table_print(&out, TABLE_TEXT, "", &text);
    text.failed |= out.failed;
    for (int index = 0; index < count; index++)
        if (!entries[index].readable)
            text_add(&text, "%s: damaged: %s\n", entries[index].name, entries[index].text);
    int status = output_write(&text, NULL, error);
    table_free(&out);
    text_free(&text);
    free(entries);
    return status;
}

/* --- show */

static void show_value(text_buffer *out, const record_value *value) {
    text_add(out, "  %-28s", value->name);
    if (value->kind == RECORD_TEXT && strchr(value->of.text, '\n'))
        text_add(out, "a text of %" PRId64 " bytes\n", value->count);
    else if (value->kind == RECORD_TEXT)
        text_add(out, "%s\n", value->of.text);
    else if (value->count != 1)
        text_add(out, "%" PRId64 " %s\n", value->count,
                 value->kind == RECORD_INTEGERS ? "whole numbers" : "numbers");
    else if (value->kind == RECORD_INTEGERS)
        text_add(out, "%" PRId64 "\n", value->of.integers[0]);
    else
        text_add(out, "%.9g\n", value->of.reals[0]);
}

static void show_tensor(text_buffer *out, const checkpoint_manifest *of,
                        const checkpoint_tensor *tensor) {
    char dims[64] = "";
    size_t length = 0;
    for (int dim = 0; dim < tensor->dim_count; dim++)
        length += (size_t)snprintf(dims + length, sizeof dims - length, "%s%d", dim ? ", " : "",
                                   tensor->dims[dim]);
    text_add(out, "  %-28s[%s], elements %" PRId64 " and on of %s\n", tensor->name, dims,
             tensor->range.first, of->arrays[tensor->range.array].name);
}

static void describe(text_buffer *out, const checkpoint *self) {
    const checkpoint_manifest *of = &self->manifest;
    text_add(out,
             "%s\nrun %s, save %" PRId64 ", step %" PRId64 ", epoch %" PRId64 ", %" PRId64
             " images of it\n",
             self->folder, of->id, of->serial, of->step, of->epoch, of->position);
    text_add(out, "arrays\n");
    for (int array = 0; array < of->array_count; array++)
        text_add(out, "  %-28s%" PRId64 " elements\n", of->arrays[array].name,
                 of->arrays[array].length);
    text_add(out, "tensors\n");
    for (int tensor = 0; tensor < of->tensor_count; tensor++)
        show_tensor(out, of, &of->tensors[tensor]);
    text_add(out, "parts\n");
    for (int part = 0; part < of->part_count; part++)
        text_add(out, "  %-28s%" PRId64 " bytes, SHA-256 %s\n", of->parts[part].file,
                 of->parts[part].bytes, of->parts[part].sha256);
    text_add(out, "state\n");
    for (int value = 0; value < of->state.count; value++)
        show_value(out, &of->state.values[value]);
}

static int open_named(checkpoint *out, const char *where, ls_error *error) {
    char folder[4096];
    LS_TRY(checkpoint_resolve(where, folder, sizeof folder, error));
    return checkpoint_open(out, folder, error);
}

static int show(char **operands, const checkpoint_settings *settings, ls_error *error) {
    (void)settings;
    checkpoint found;
    text_buffer text = {0};
    LS_TRY(open_named(&found, operands[0], error));
    describe(&text, &found);
    int status = output_write(&text, NULL, error);
    text_free(&text);
    checkpoint_close(&found);
    return status;
}

/* --- verify */

/* Every block by its CRC-32C, too: a digest that was made anew does not cover a damage. */
static int read_all(const checkpoint *self, ls_error *error) {
    enum { PIECE = 1 << 22 };
    float *piece = malloc(PIECE * sizeof *piece);
    int status = piece ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    for (int array = 0; array < self->manifest.array_count; array++) {
        const checkpoint_array *of = &self->manifest.arrays[array];
        for (int64_t first = 0; status == LS_OK && first < of->length; first += PIECE)
            status = checkpoint_read(self, of->name, first,
                                     of->length - first < PIECE ? of->length - first : PIECE, piece,
                                     error);
    }
    free(piece);
    return status;
}

static int verify(char **operands, const checkpoint_settings *settings, ls_error *error) {
    (void)settings;
    checkpoint found;
    int64_t bytes = 0;
    LS_TRY(open_named(&found, operands[0], error));
    int status = checkpoint_verify(&found, 0, 1, error);
    if (status == LS_OK)
        status = read_all(&found, error);
    for (int part = 0; part < found.manifest.part_count; part++)
        bytes += found.manifest.parts[part].bytes;
    if (status == LS_OK)
        printf("%s: verified (SHA-256 of the manifest and of %d parts, CRC-32C of every block, "
               "%" PRId64 " bytes)\n",
               found.folder, found.manifest.part_count, bytes);
    checkpoint_close(&found);
    return status;
}

/* --- diff */

static void print_difference(const checkpoint *a, const checkpoint *b,
                             const checkpoint_difference *found) {
    if (found->different == 0) {
        printf("%s and %s: the same %" PRId64 " elements, bit for bit\n", a->folder, b->folder,
               found->compared);
        return;
    }
    printf("first difference: %s%s%s, element %" PRId64 ": %.9g and %.9g, which is %.3g apart\n",
           found->array, found->tensor[0] ? " of " : "", found->tensor, found->element,
           found->first, found->second, found->second - found->first);
    printf("%" PRId64 " of %" PRId64 " elements differ, by %.3g at most\n", found->different,
           found->compared, found->largest);
}

static int differ(char **operands, const checkpoint_settings *settings, ls_error *error) {
    (void)settings;
    checkpoint a, b;
    checkpoint_difference found;
    LS_TRY(open_named(&a, operands[0], error));
    int status = open_named(&b, operands[1], error);
    if (status == LS_OK) {
        status = checkpoint_compare(&a, &b, &found, error);
        if (status == LS_OK)
            print_difference(&a, &b, &found);
        checkpoint_close(&b);
    }
    checkpoint_close(&a);
    if (status == LS_OK && found.different > 0)
        status = error->code = LS_FAILED; /* as diff does; the text stands on standard output */
    return status;
}

/* --- the command */

static const checkpoint_verb verbs[] = {{"ls", 1, list},
                                        {"show", 1, show},
                                        {"verify", 1, verify},
                                        {"diff", 2, differ},
                                        {"export", 2, checkpoint_verb_export},
                                        {"import", 4, checkpoint_verb_import}};

static int run(const command *self, int argc, char **argv, ls_error *error) {
    checkpoint_settings settings = {0};
    operands rest;
    LS_TRY(option_parse(self, argc, argv, &settings, &rest, error));
    if (rest.help) {
        option_print_help(self, stdout);
        return LS_OK;
    }
    for (size_t index = 0; index < sizeof verbs / sizeof verbs[0]; index++) {
        if (strcmp(rest.values[0], verbs[index].name) != 0)
            continue;
        if (settings.format && verbs[index].run != checkpoint_verb_export)
            return ls_fail(error, LS_BAD_INPUT,
                           "--format belongs to checkpoint export; found it with checkpoint %s",
                           verbs[index].name);
        if (rest.count - 1 == verbs[index].operands)
            return verbs[index].run(rest.values + 1, &settings, error);
        return ls_fail(error, LS_BAD_INPUT, "checkpoint %s: expected %d operand%s, found %d",
                       verbs[index].name, verbs[index].operands,
                       verbs[index].operands == 1 ? "" : "s", rest.count - 1);
    }
    return ls_fail(error, LS_BAD_INPUT,
                   "checkpoint: expected ls, show, verify, diff, export or import, found '%s'",
                   rest.values[0]);
}

static const option options[] = {
    {"format", OPTION_CHOICE, offsetof(checkpoint_settings, format), "OF", NULL, WEIGHTS_FORMATS, 0,
     0, "Export a folder that timm, or HuggingFace's transformers, loads.", false},
    {0}};

const command command_checkpoint = {
    .name = "checkpoint",
    .usage = "ls DIR | show CHECKPOINT | verify CHECKPOINT | diff CHECKPOINT CHECKPOINT | "
             "export CHECKPOINT TO | import FROM MODEL DATA DIR",
    .summary = "List, show, verify and compare checkpoints; weights out and in.",
    .details =
        "ls      DIR is a folder of checkpoints: what there is, the newest first\n"
        "show    what a checkpoint holds\n"
        "verify  reads every byte of it\n"
        "diff    the first parameter and element that differs, and by how much; exit code 1\n"
        "        where one does\n"
        "export  the weights (of a run with --ema: their average) into TO: FILE.safetensors, as\n"
        "        PyTorch's state_dict has them; with --format a folder, its config.json with it\n"
        "import  weights of MODEL in FROM (as train --init reads them), for images as in DATA,\n"
        "        become a checkpoint in DIR, for evaluate, show and diff\n"
        "A CHECKPOINT is its folder, or a folder of checkpoints (its `last`), DIR/last, DIR/best.",
    .groups = (const option_group[]){{NULL, options, 0}, {0}},
    .operands_minimum = 1,
    .operands_maximum = 5,
    .run = run,
};
