#include "base/option.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const option *find(const option *table, const char *name, size_t length) {
    for (const option *entry = table; entry->name; entry++)
        if (strlen(entry->name) == length && memcmp(entry->name, name, length) == 0)
            return entry;
    return NULL;
}

static bool is_choice(const char *choices, const char *value) {
    size_t length = strlen(value);
    for (const char *choice = choices; choice; choice = strchr(choice, '|')) {
        if (*choice == '|')
            choice++;
        size_t choice_length = strcspn(choice, "|");
        if (choice_length == length && memcmp(choice, value, length) == 0)
            return true;
    }
    return false;
}

static int out_of_range(const option *entry, const char *value, ls_error *error) {
    if (entry->kind == OPTION_INTEGER)
        return ls_fail(error, LS_BAD_INPUT,
                       "--%s: expected a whole number between %.0f and %.0f, found '%s'",
                       entry->name, entry->minimum, entry->maximum, value);
    return ls_fail(error, LS_BAD_INPUT, "--%s: expected %s%sa number between %g and %g, found '%s'",
                   entry->name, entry->choices ? entry->choices : "", entry->choices ? " or " : "",
                   entry->minimum, entry->maximum, value);
}

static int store_integer(const option *entry, const char *value, void *field, ls_error *error) {
    char *end = NULL;
    errno = 0;
    int64_t number = strtoll(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0)
        return ls_fail(error, LS_BAD_INPUT, "--%s: expected a whole number, found '%s'",
                       entry->name, value);
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

static int store(const option *entry, const char *value, void *settings, ls_error *error) {
    void *field = (char *)settings + entry->offset;
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
    const option *entry = find(self->options, name, length);
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
    return store(entry, value, settings, error);
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
    for (const option *entry = self->options; entry->name; entry++)
        if (entry->default_text)
            LS_TRY(store(entry, entry->default_text, settings, error));
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

bool option_given(int argc, char **argv, const char *name) {
    size_t length = strlen(name);
    for (int index = 1; index < argc; index++)
        if (strncmp(argv[index], "--", 2) == 0 && strncmp(argv[index] + 2, name, length) == 0 &&
            (argv[index][2 + length] == '\0' || argv[index][2 + length] == '='))
            return true;
    return false;
}

void option_print_help(const command *self, FILE *out) {
    fprintf(out, "usage: lockstep %s [OPTION...]%s%s\n\n%s\n", self->name,
            self->usage[0] ? " " : "", self->usage, self->summary);
    if (self->details)
        fprintf(out, "\n%s\n", self->details);
    fprintf(out, "\nOptions:\n");
    for (const option *entry = self->options; entry->name; entry++) {
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
    fprintf(out, "  %-34s%s\n", "--help", "Show this text and leave.");
}

size_t option_describe(const command *self, const void *settings, char *out, size_t capacity) {
    size_t used = 0;
    if (capacity)
        out[0] = '\0';
    for (const option *entry = self->options; entry->name; entry++) {
        if (entry->may_differ)
            continue;
        const void *field = (const char *)settings + entry->offset;
        size_t room = used < capacity ? capacity - used : 0;
        char *end = room ? out + used : NULL;
        int length = 0;
        const char *text = NULL;
        switch (entry->kind) {
        case OPTION_FLAG:
            length = snprintf(end, room, "%s=%d\n", entry->name, *(const bool *)field);
            break;
        case OPTION_INTEGER:
            length = snprintf(end, room, "%s=%" PRId64 "\n", entry->name, *(const int64_t *)field);
            break;
        case OPTION_REAL:
            length = snprintf(end, room, "%s=%.17g\n", entry->name, *(const double *)field);
            break;
        case OPTION_TEXT:
        case OPTION_CHOICE:
            memcpy(&text, field, sizeof text);
            length = snprintf(end, room, "%s=%s\n", entry->name, text ? text : "");
            break;
        }
        used += (size_t)length;
    }
    return used;
}
