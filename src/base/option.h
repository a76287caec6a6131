/* The option tables: a command's are the source of its parsing, its --help and the comparison of
 * the ranks' options. Long options only: --name VALUE or --name=VALUE. */
#ifndef LOCKSTEP_BASE_OPTION_H
#define LOCKSTEP_BASE_OPTION_H

#include "base/error.h"
#include "base/text_buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum {
    OPTION_FLAG,    /* bool */
    OPTION_INTEGER, /* int64_t, between minimum and maximum */
    OPTION_REAL,    /* double, between minimum and maximum */
    OPTION_TEXT,    /* const char *, points into argv or the table */
    OPTION_CHOICE   /* const char *, one of `choices` */
} option_kind;

typedef struct option {
    const char *name; /* without the dashes; NULL ends a table */
    option_kind kind;
    size_t offset;            /* of the value in the command's settings struct */
    const char *placeholder;  /* what --help shows for the value: "N", "DIR" */
    const char *default_text; /* parsed like a value from the command line; NULL: zero / NULL */
    /* OPTION_CHOICE: "single|dp|ddp". OPTION_REAL: "auto" stands for 0, which then is beyond the
     * limits. OPTION_INTEGER: "auto|auto:fast" stand for -1, -2, ..., beyond the limits too. NULL:
     * it takes numbers only. */
    const char *choices;
    double minimum, maximum; /* OPTION_INTEGER, OPTION_REAL; both 0: no limits */
    const char *help;        /* one sentence */
    bool may_differ;         /* ranks may have different values (a log path, say) */
} option;

/* Options that belong together: those of a command, or of a mode, an optimizer, a kind of data,
 * which has its table, its checks and its part of the settings in a file of its own. */
typedef struct option_group {
    const char *heading; /* of its part of --help, that of the group before too; NULL: "Options" */
    const option *options; /* NULL ends a list of groups */
    size_t offset;         /* of the struct that the options' offsets are in, in the settings */
} option_group;

typedef struct command {
    const char *name;           /* "train" */
    const char *usage;          /* the operands: "RUN..." or "" */
    const char *summary;        /* one line for `lockstep --help` */
    const char *details;        /* paragraphs for `lockstep NAME --help`; may be NULL */
    const option_group *groups; /* ended by one without options */
    int operands_minimum, operands_maximum;
    int (*run)(const struct command *self, int argc, char **argv, ls_error *error);
} command;

typedef struct operands {
    int count;
    char **values; /* points into argv */
    bool help;     /* --help was given: print it and leave */
} operands;

/* Fills *settings (defaults first) and *rest from argv[1..]. argv is reordered: operands first,
 * then the options, all of them and in their order. A bad option or value: LS_BAD_INPUT and a line
 * that names it, what was expected and what was found. */
int option_parse(const command *self, int argc, char **argv, void *settings, operands *rest,
                 ls_error *error);

/* Puts a group behind the others of a list that has room for `capacity`, its end included. */
typedef struct option_groups {
    option_group *groups;
    size_t capacity;
} option_groups;
int option_add_group(option_groups *list, option_group group, ls_error *error);

/* The first option of a table whose value in `settings` is another than its default; NULL: none. */
const char *option_changed(const option *table, const void *settings);

/* True where the user gave --name on this command line (to tell a default from a choice). */
bool option_given(int argc, char **argv, const char *name);

/* The text of `lockstep NAME --help`, made from the table. */
void option_print_help(const command *self, FILE *out);

/* Adds every setting that must be equal on all ranks as "name=value\n" lines. */
void option_describe(const command *self, const void *settings, text_buffer *out);

#endif
