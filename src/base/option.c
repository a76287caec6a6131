#include "base/option.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* An option of a command, and the group that it stands in; both NULL behind the last one. */
typedef struct place {
    const option_group *group;
    const option *entry;
} place;

static place settle(const option_group *group, const option *entry) {
    while (group->options && !entry->name) {
        group++;
        entry = group->options;
    }
    return group->options ? (place){group, entry} : (place){0};
}

static place first_option(const command *self) {
    return settle(self->groups, self->groups->options);
}

static place next_option(place at) {
    return settle(at.group, at.entry + 1);
}

static void *field_of(place at, void *settings) {
    return (char *)settings + at.group->offset + at.entry->offset;
}

static place find(const command *self, const char *name, size_t length) {
    place at = first_option(self);
    while (at.entry &&
           (strlen(at.entry->name) != length || memcmp(at.entry->name, name, length) != 0))
        at = next_option(at);
    return at;
}

/* Its place among the choices: 1, 2, ...; 0: it is none of them. */
static int choice_number(const char *choices, const char *value) {
    size_t length = strlen(value);
    int number = 1;
    for (const char *choice = choices; choice; choice = strchr(choice, '|'), number++) {
        if (*choice == '|')
            choice++;
        size_t choice_length = strcspn(choice, "|");
        if (choice_length == length && memcmp(choice, value, length) == 0)
            return number;
    }
    return 0;
}

static bool is_choice(const char *choices, const char *value) {
    return choice_number(choices, value) > 0;
}

static int out_of_range(const option *entry, const char *value, ls_error *error) {
    if (entry->kind == OPTION_INTEGER)
        return ls_fail(error, LS_BAD_INPUT,
                       "--%s: expected %s%sa whole number between %.0f and %.0f, found '%s'",
                       entry->name, entry->choices ? entry->choices : "",
                       entry->choices ? " or " : "", entry->minimum, entry->maximum, value);
    return ls_fail(error, LS_BAD_INPUT, "--%s: expected %s%sa number between %g and %g, found '%s'",
                   entry->name, entry->choices ? entry->choices : "", entry->choices ? " or " : "",
                   entry->minimum, entry->maximum, value);
}

static int store_integer(const option *entry, const char *value, void *field, ls_error *error) {
    char *end = NULL;
    errno = 0;
    int64_t number = -choice_number(entry->choices, value);
    if (number < 0) {
        memcpy(field, &number, sizeof number);
        return LS_OK;
    }
    number = strtoll(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0)
        return ls_fail(error, LS_BAD_INPUT, "--%s: expected %s%sa whole number, found '%s'",
                       entry->name, entry->choices ? entry->choices : "",
                       entry->choices ? " or " : "", value);
    bool limited = entry->minimum != 0 || entry->maximum != 0;
    if (limited && (number < (int64_t)entry->minimum || number > (int64_t)entry->maximum))
        return out_of_range(entry, value, error);
    memcpy(field, &number, sizeof number);
    return LS_OK;
}

static int store_real(const option *entry, const char *value, void *field, ls_error *error) {
    char *end = NULL;
    double number = strtod(value, &end);
    if (entry->choices && is_choice(entry->choices, value)) {
        number = 0;
        memcpy(field, &number, sizeof number);
        return LS_OK;
    }
    if (end == value || *end != '\0' || number != number)
        return ls_fail(error, LS_BAD_INPUT, "--%s: expected %s%sa number, found '%s'", entry->name,
                       entry->choices ? entry->choices : "", entry->choices ? " or " : "", value);
    bool limited = entry->minimum != 0 || entry->maximum != 0;
    if (limited && !(number >= entry->minimum && number <= entry->maximum))
        return out_of_range(entry, value, error);
    memcpy(field, &number, sizeof number);
    return LS_OK;
}

static int store(place at, const char *value, void *settings, ls_error *error) {
    const option *entry = at.entry;
    void *field = field_of(at, settings);
    switch (entry->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return LS_OK;
    case OPTION_INTEGER:
        return store_integer(entry, value, field, error);
    case OPTION_REAL:
        return store_real(entry, value, field, error);
    case OPTION_CHOICE:
        if (!is_choice(entry->choices, value))
            return ls_fail(error, LS_BAD_INPUT, "--%s: expected one of %s, found '%s'", entry->name,
                           entry->choices, value);
        memcpy(field, &value, sizeof value);
        return LS_OK;
    case OPTION_TEXT:
        if (value[0] == '\0')
            return ls_fail(error, LS_BAD_INPUT, "--%s: expected %s, found nothing", entry->name,
                           entry->placeholder);
        memcpy(field, &value, sizeof value);
        return LS_OK;
    }
    return LS_OK;
}

static int parse_one(const command *self, int argc, char **argv, int *index, void *settings,
                     ls_error *error) {
    const char *name = argv[*index] + 2;
    size_t length = strcspn(name, "=");
    place at = find(self, name, length);
    const option *entry = at.entry;
    if (!entry)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: unknown option '--%.*s' (lockstep %s --help lists them)", self->name,
                       (int)length, name, self->name);
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    if (entry->kind == OPTION_FLAG && value)
        return ls_fail(error, LS_BAD_INPUT, "--%s: takes no value, found '%s'", entry->name, value);
    if (entry->kind != OPTION_FLAG && !value) {
        if (*index + 1 >= argc)
            return ls_fail(error, LS_BAD_INPUT, "--%s: expected %s%s, found nothing", entry->name,
                           entry->kind == OPTION_CHOICE ? "one of " : "",
                           entry->kind == OPTION_CHOICE ? entry->choices : entry->placeholder);
        value = argv[++*index];
    }
    return store(at, value, settings, error);
}

/* Moves argv[index] behind the operands so far; the options between keep their order. */
static void take_operand(operands *rest, char **argv, int index) {
    char *operand = argv[index];
    char **first_option = rest->values + rest->count;
    memmove(first_option + 1, first_option,
            (size_t)(argv + index - first_option) * sizeof *first_option);
    rest->values[rest->count++] = operand;
}

int option_parse(const command *self, int argc, char **argv, void *settings, operands *rest,
                 ls_error *error) {
    rest->count = 0;
    rest->values = argv + 1;
    rest->help = false;
    for (place at = first_option(self); at.entry; at = next_option(at))
        if (at.entry->default_text)
            LS_TRY(store(at, at.entry->default_text, settings, error));
    bool only_operands = false;
    for (int index = 1; index < argc; index++) {
        char *argument = argv[index];
        if (!only_operands && strcmp(argument, "--") == 0)
            only_operands = true;
        else if (!only_operands && strcmp(argument, "--help") == 0)
            rest->help = true;
        else if (!only_operands && strncmp(argument, "--", 2) == 0)
            LS_TRY(parse_one(self, argc, argv, &index, settings, error));
        else if (!only_operands && argument[0] == '-' && argument[1] != '\0')
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: unknown option '%s' (options are long: --name)", self->name,
                           argument);
        else
            take_operand(rest, argv, index);
    }
    if (rest->help)
        return LS_OK;
    if (rest->count < self->operands_minimum)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected %s, found %d operands", self->name,
                       self->usage, rest->count);
    if (rest->count > self->operands_maximum)
        return ls_fail(error, LS_BAD_INPUT, "%s: unexpected operand '%s'", self->name,
                       rest->values[self->operands_maximum]);
    return LS_OK;
}

int option_add_group(option_groups *list, option_group group, ls_error *error) {
    size_t used = 0;
    while (list->groups[used].options)
        used++;
    if (used + 1 >= list->capacity)
        return ls_fail(error, LS_FAILED, "--%s: the list of options is full at %zu groups",
                       group.options[0].name, list->capacity);
    list->groups[used] = group;
    list->groups[used + 1] = (option_group){0};
    return LS_OK;
}

/* Of a kind's value; a default that was stored before has no faults. */
static bool is_default(const option *entry, const void *settings) {
    union {
        bool flag;
        int64_t integer;
        double real;
        const char *text;
    } usual = {0}, found = {0};
    option alone = *entry;
    ls_error error = {0};
    alone.offset = 0;
    const void *field = (const char *)settings + entry->offset;
    const option_group group = {.options = &alone};
    if (entry->default_text)
        store((place){&group, &alone}, entry->default_text, &usual, &error);
    switch (entry->kind) {
    case OPTION_FLAG:
        return *(const bool *)field == usual.flag;
    case OPTION_INTEGER:
        memcpy(&found.integer, field, sizeof found.integer);
        return found.integer == usual.integer;
    case OPTION_REAL:
        memcpy(&found.real, field, sizeof found.real);
        return found.real == usual.real;
    case OPTION_TEXT:
    case OPTION_CHOICE:
        memcpy(&found.text, field, sizeof found.text);
        return found.text == usual.text ||
               (found.text && usual.text && strcmp(found.text, usual.text) == 0);
    }
    return true;
}

const char *option_changed(const option *table, const void *settings) {
    for (const option *entry = table; entry->name; entry++)
        if (!is_default(entry, settings))
            return entry->name;
    return NULL;
}

bool option_given(int argc, char **argv, const char *name) {
    size_t length = strlen(name);
    for (int index = 1; index < argc; index++)
        if (strncmp(argv[index], "--", 2) == 0 && strncmp(argv[index] + 2, name, length) == 0 &&
            (argv[index][2 + length] == '\0' || argv[index][2 + length] == '='))
            return true;
    return false;
}

static void print_option(const option *entry, FILE *out) {
    char left[128];
    const char *value = entry->kind == OPTION_CHOICE ? entry->choices : entry->placeholder;
    if (entry->kind == OPTION_FLAG)
        snprintf(left, sizeof left, "--%s", entry->name);
    else
        snprintf(left, sizeof left, "--%s %s", entry->name, value);
    fprintf(out, "  %-34s%s%s", left,
            strlen(left) > 33 ? "\n                                    " : "", entry->help);
    if (entry->default_text && entry->kind != OPTION_FLAG)
        fprintf(out, " [%s]", entry->default_text);
    fprintf(out, "\n");
}

/* Of two groups that follow one another, perhaps of two rooms. */
static bool same_heading(const option_group *before, const option_group *next) {
    if (!before->heading || !next->heading)
        return before->heading == next->heading;
    return strcmp(before->heading, next->heading) == 0;
}

void option_print_help(const command *self, FILE *out) {
    const option_group *before = NULL;
    fprintf(out, "usage: lockstep %s [OPTION...]%s%s\n\n%s\n", self->name,
            self->usage[0] ? " " : "", self->usage, self->summary);
    if (self->details)
        fprintf(out, "\n%s\n", self->details);
    for (place at = first_option(self); at.entry; at = next_option(at)) {
        /* A heading may go on in the next group. */
        if (!before || !same_heading(before, at.group))
            fprintf(out, "\n%s:\n", at.group->heading ? at.group->heading : "Options");
        before = at.group;
        print_option(at.entry, out);
    }
    if (before && before->heading)
        fprintf(out, "\n");
    fprintf(out, "  %-34s%s\n", "--help", "Show this text and leave.");
}

/* The number, or the word that it stands for. */
static void describe_integer(const option *entry, int64_t number, text_buffer *out) {
    const char *word = entry->choices;
    for (int64_t before = -1; word && before > number; before--)
        word = strchr(word, '|') ? strchr(word, '|') + 1 : NULL;
    if (number < 0 && word)
        text_add(out, "%s=%.*s\n", entry->name, (int)strcspn(word, "|"), word);
    else
        text_add(out, "%s=%" PRId64 "\n", entry->name, number);
}

void option_describe(const command *self, const void *settings, text_buffer *out) {
    for (place at = first_option(self); at.entry; at = next_option(at)) {
        const option *entry = at.entry;
        const void *field = (const char *)settings + at.group->offset + entry->offset;
        const char *text = NULL;
        if (entry->may_differ)
            continue;
        switch (entry->kind) {
        case OPTION_FLAG:
            text_add(out, "%s=%d\n", entry->name, *(const bool *)field);
            break;
        case OPTION_INTEGER:
            describe_integer(entry, *(const int64_t *)field, out);
            break;
        case OPTION_REAL:
            text_add(out, "%s=%.17g\n", entry->name, *(const double *)field);
            break;
        case OPTION_TEXT:
        case OPTION_CHOICE:
            memcpy(&text, field, sizeof text);
            text_add(out, "%s=%s\n", entry->name, text ? text : "");
            break;
        }
    }
}
