/* The option table: what is parsed, what is refused, descriptions, groups. */
#include "../check.h"
#include "base/option.h"

#include <stdlib.h>
#include <string.h>

typedef struct settings {
    bool force;
    int64_t epochs;
    double rate;
    const char *data, *mode;
    int64_t batch;
} settings;

static const option table[] = {
    {"force", OPTION_FLAG, offsetof(settings, force), NULL, NULL, NULL, 0, 0, "Force.", false},
    {"epochs", OPTION_INTEGER, offsetof(settings, epochs), "N", "10", NULL, 1, 100, "Epochs.",
     false},
    {"learning-rate", OPTION_REAL, offsetof(settings, rate), "X", "1e-3", NULL, 0, 10, "Rate.",
     false},
    {"data", OPTION_TEXT, offsetof(settings, data), "DIR", NULL, NULL, 0, 0, "Data.", true},
    {"mode", OPTION_CHOICE, offsetof(settings, mode), NULL, "single", "single|dp|ddp", 0, 0,
     "Mode.", false},
    {"batch", OPTION_INTEGER, offsetof(settings, batch), "N|most|best", NULL, "most|best", 1, 64,
     "Batch.", false},
    {0}};
static const command tested = {.name = "test",
                               .usage = "RUN...",
                               .summary = "Tests.",
                               .groups = (const option_group[]){{NULL, table, 0}, {0}},
                               .operands_maximum = 2};

/* Parses a copy of the words; *count is what they are. */
static int parse(settings *out, operands *rest, ls_error *error, int count,
                 const char *const *words) {
    static char *argv[16];
    *out = (settings){0};
    *error = (ls_error){0};
    argv[0] = (char *)(uintptr_t) "test";
    for (int index = 0; index < count; index++)
        argv[index + 1] = (char *)(uintptr_t)words[index];
    return option_parse(&tested, count + 1, argv, out, rest, error);
}

#define PARSE(...)                                                                                 \
    parse(&given, &rest, &error, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),    \
          (const char *[]){__VA_ARGS__})

static void test_options_good(void) {
    settings given;
    operands rest;
    ls_error error;
    CHECK(parse(&given, &rest, &error, 0, NULL) == LS_OK);
    CHECK(!given.force && given.epochs == 10 && given.rate == 1e-3 && !given.data);
    CHECK(strcmp(given.mode, "single") == 0);
    CHECK(PARSE("a", "--epochs=3", "--force", "--data", "-x-", "b", "--mode", "ddp") == LS_OK);
    CHECK(given.force && given.epochs == 3 && strcmp(given.data, "-x-") == 0);
    CHECK(strcmp(given.mode, "ddp") == 0 && rest.count == 2);
    CHECK(strcmp(rest.values[0], "a") == 0 && strcmp(rest.values[1], "b") == 0);
    CHECK(PARSE("--batch", "most") == LS_OK && given.batch == -1);
    CHECK(PARSE("--batch=best") == LS_OK && given.batch == -2);
    CHECK(PARSE("--batch", "8") == LS_OK && given.batch == 8);
    CHECK(PARSE("--", "--force") == LS_OK && rest.count == 1 && !given.force);
    CHECK(PARSE("--help") == LS_OK && rest.help);
    check_case("options: defaults, both spellings, operands in between, --, --help");
}

static void test_options_bad(void) {
    static const struct {
        const char *words[2];
        const char *expected;
    } cases[] = {
        {{"--nothing"}, "'--nothing'"},
        {{"--epochs"}, "--epochs: expected N"},
        {{"--epochs", "ten"}, "'ten'"},
        {{"--epochs", "3.5"}, "'3.5'"},
        {{"--epochs", ""}, "''"},
        {{"--epochs", "0"}, "between 1 and 100"},
        {{"--batch", "-1"}, "most|best or a whole number between 1 and 64, found '-1'"},
        {{"--batch", "mos"}, "most|best or a whole number, found 'mos'"},
        {{"--epochs", "99999999999999999999"}, "whole number"},
        {{"--learning-rate", "nan"}, "'nan'"},
        {{"--learning-rate", "11"}, "between 0 and 10"},
        {{"--mode", "zero"}, "single|dp|ddp"},
        {{"--mode", "d"}, "single|dp|ddp"},
        {{"--mode="}, "single|dp|ddp"},
        {{"--mode"}, "--mode: expected one of single|dp|ddp, found nothing"},
        {{"--force=1"}, "--force: takes no value"},
        {{"--data", ""}, "--data: expected DIR"},
        {{"-f"}, "'-f'"},
        {{"--epoch", "3"}, "'--epoch'"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        settings given;
        operands rest;
        ls_error error;
        int status =
            parse(&given, &rest, &error, cases[index].words[1] ? 2 : 1, cases[index].words);
        CHECK(status == LS_BAD_INPUT && strstr(error.text, cases[index].expected), "%s %s: %d '%s'",
              cases[index].words[0], cases[index].words[1] ? cases[index].words[1] : "", status,
              error.text);
    }
    settings given;
    operands rest;
    ls_error error;
    CHECK(PARSE("a", "b", "c") == LS_BAD_INPUT && strstr(error.text, "'c'"));
    check_case("options: each bad one is named with what was expected");
}

/* Parsing moves the operands; which options were given must be known after it too. */
static void test_option_given(void) {
    char *words[] = {"test", "--epochs=5", "a", "--mode", "ddp", "b", "--force"};
    settings given = {0};
    operands rest;
    ls_error error = {0};
    CHECK(option_given(7, words, "epochs") && !option_given(7, words, "epoch"));
    CHECK(option_parse(&tested, 7, words, &given, &rest, &error) == LS_OK && rest.count == 2);
    CHECK(strcmp(rest.values[0], "a") == 0 && strcmp(rest.values[1], "b") == 0);
    CHECK(given.epochs == 5 && given.force && strcmp(given.mode, "ddp") == 0);
    CHECK(option_given(7, words, "epochs") && option_given(7, words, "mode") &&
          option_given(7, words, "force") && !option_given(7, words, "data"));
    check_case("options: which were given is known before and after parsing");
}

static void test_describe(void) {
    settings given;
    operands rest;
    ls_error error;
    text_buffer text = {0};
    CHECK(PARSE("--data", "somewhere", "--epochs", "5") == LS_OK);
    option_describe(&tested, &given, &text);
    CHECK(strcmp(text.bytes, "force=0\nepochs=5\nlearning-rate=0.001\nmode=single\nbatch=0\n") == 0,
          "%s", text.bytes);
    text_free(&text);
    CHECK(PARSE("--batch", "best") == LS_OK);
    option_describe(&tested, &given, &text);
    CHECK(strstr(text.bytes, "\nbatch=best\n"), "%s", text.bytes);
    text_free(&text);
    check_case("options: the description leaves out what may differ");
}

/* A rule with options of its own, as a mode or an optimizer has them. */
typedef struct rule_settings {
    double momentum;
    bool nesterov;
} rule_settings;
typedef struct grouped_settings {
    settings first;
    rule_settings rule;
} grouped_settings;
static const option rule_options[] = {{"momentum", OPTION_REAL, offsetof(rule_settings, momentum),
                                       "X", "0.9", NULL, 0, 1, "Momentum.", false},
                                      {"nesterov", OPTION_FLAG, offsetof(rule_settings, nesterov),
                                       NULL, NULL, NULL, 0, 0, "Nesterov.", false},
                                      {0}};

static void test_groups(void) {
    static const option none[] = {{0}};
    static const option_group groups[] = {
        {"First", table, offsetof(grouped_settings, first)},
        {"Empty", none, 0},
        {"Rule", rule_options, offsetof(grouped_settings, rule)},
        {0},
    };
    const command grouped = {
        .name = "test", .usage = "", .summary = "Tests.", .groups = groups, .operands_maximum = 0};
    char *words[] = {"test", "--nesterov", "--epochs", "7"};
    grouped_settings given = {0};
    operands rest;
    ls_error error = {0};
    text_buffer text = {0};
    char *help = NULL;
    size_t length = 0;
    CHECK(option_parse(&grouped, 4, words, &given, &rest, &error) == LS_OK, "%s", error.text);
    CHECK(given.first.epochs == 7 && given.rule.momentum == 0.9 && given.rule.nesterov);
    option_describe(&grouped, &given, &text);
    CHECK(strstr(text.bytes, "epochs=7\n") && strstr(text.bytes, "momentum=0.9") &&
              strstr(text.bytes, "nesterov=1\n"),
          "%s", text.bytes);
    text_free(&text);
    FILE *out = open_memstream(&help, &length);
    option_print_help(&grouped, out);
    fclose(out);
    const char *first = strstr(help, "\nFirst:\n"), *rule = strstr(help, "\nRule:\n");
    CHECK(first && rule && strstr(first, "--epochs N") < rule && strstr(rule, "--nesterov"), "%s",
          help);
    CHECK(!strstr(help, "Empty"), "%s", help);
    free(help);
    check_case("options: groups with settings of their own, each under its heading");
}

int main(void) {
    test_options_good();
    test_options_bad();
    test_option_given();
    test_describe();
    test_groups();
    return check_done();
}
