/* The option table: one table a command is the source of its parsing, its --help and the
 * comparison of the ranks' options. Long options only: --name VALUE or --name=VALUE. */
#ifndef LOCKSTEP_BASE_OPTION_H
#define LOCKSTEP_BASE_OPTION_H

#include "base/error.h"

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
     * limits; NULL: it takes numbers only. */
    const char *choices;
    double minimum, maximum; /* OPTION_INTEGER, OPTION_REAL; both 0: no limits */
    const char *help;        /* one sentence */
    bool may_differ;         /* ranks may have different values (a log path, say) */
} option;

typedef struct command {
    const char *name;    /* "train" */
    const char *usage;   /* the operands: "RUN..." or "" */
    const char *summary; /* one line for `lockstep --help` */
    const char *details; /* paragraphs for `lockstep NAME --help`; may be NULL */
    const option *options;
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

/* True where the user gave --name on this command line (to tell a default from a choice). */
bool option_given(int argc, char **argv, const char *name);

/* The text of `lockstep NAME --help`, made from the table. */
void option_print_help(const command *self, FILE *out);

/* Every setting that must be equal on all ranks as "name=value\n" lines. Returns the length
 * without the terminator, as snprintf does. */
size_t option_describe(const command *self, const void *settings, char *out, size_t capacity);

#endif
