/* Random numbers against the published vectors, the option table, atomic files. */
#include "../check.h"
#include "base/atomic_file.h"
#include "base/far_copy.h"
#include "base/leftover.h"
#include "base/option.h"
#include "base/random.h"
#include "base/row_file.h"
#include "base/share.h"
#include "base/utf8.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Philox4x32-10 of Random123's tests/kat_vectors, as its counter and key are put together here:
 * counter words 0 and 1 are `low`, 2 and 3 `high` with the purpose in the top byte. Counters whose
 * top byte is no purpose in use are reached by casting. */
static void test_philox(void) {
    static const struct {
        uint64_t seed;
        uint32_t top;
        uint64_t high, low;
        uint32_t expected[4];
    } cases[] = {
        {0, 0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {0xffffffffffffffff,
         0xff,
         0x00ffffffffffffff,
         0xffffffffffffffff,
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822,
         0x03,
         0x0070734413198a2e,
         0x85a308d3243f6a88,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int index = 0; index < 3; index++) {
        uint32_t found[4];
        random_block(cases[index].seed, (random_purpose)cases[index].top, cases[index].high,
                     cases[index].low, found);
        for (int word = 0; word < 4; word++)
            CHECK(found[word] == cases[index].expected[word], "vector %d word %d: %08x", index,
                  word, found[word]);
    }
    check_case("Philox gives Random123's known answers");
}

static void test_streams(void) {
    uint32_t a[4], b[4];
    random_block(7, RANDOM_SHUFFLE, 1, 2, a);
    random_block(7, RANDOM_AUGMENTATION, 1, 2, b);
    CHECK(memcmp(a, b, sizeof a) != 0);
    random_block(7, RANDOM_SHUFFLE, 2, 1, b);
    CHECK(memcmp(a, b, sizeof a) != 0);
    random_block(7, RANDOM_SHUFFLE, 1, 2, b);
    CHECK(memcmp(a, b, sizeof a) == 0);
    CHECK(random_unit(0) == 0.0f && random_unit(0xFFFFFFFFu) < 1.0f);
    check_case("purposes and counters have streams of their own");
}

typedef struct settings {
    bool force;
    int64_t epochs;
    double rate;
    const char *data, *mode;
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
    CHECK(strcmp(text.bytes, "force=0\nepochs=5\nlearning-rate=0.001\nmode=single\n") == 0, "%s",
          text.bytes);
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

static int entries(const char *folder) {
    int count = 0;
    DIR *stream = opendir(folder);
    for (struct dirent *entry; (entry = readdir(stream));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(stream);
    return count;
}

static void test_atomic(const char *folder) {
    char path[512], text[32] = "";
    ls_error error = {0};
    snprintf(path, sizeof path, "%s/whole", folder);
    CHECK(atomic_file_write(path, "first", 5, &error) == LS_OK, "%s", error.text);
    CHECK(atomic_file_write(path, "second", 6, &error) == LS_OK, "%s", error.text);
    FILE *file = fopen(path, "r");
    CHECK(file && fread(text, 1, sizeof text, file) == 6 && memcmp(text, "second", 6) == 0);
    if (file)
        fclose(file);
    CHECK(entries(folder) == 1, "%d", entries(folder));
    unlink(path);
    check_case("atomic files: whole, replaced, nothing left beside them");
}

static void leave_file(const char *folder, const char *name, int days_old) {
    char path[1024];
    struct timespec times[2] = {{.tv_sec = time(NULL) - days_old * 86400L}};
    times[1] = times[0];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    CHECK(file && fclose(file) == 0);
    CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
}

static bool is_there(const char *folder, const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static pid_t ended_process(void) {
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    return child;
}

/* Whoever begins a file next removes what is nobody's, and nothing else. */
static void test_left_over(const char *parent) {
    char folder[512], own[256], dead[256], later[256], path[600], place[9];
    unsigned long long started = 0;
    atomic_file file;
    ls_error error = {0};
    snprintf(folder, sizeof folder, "%s/left", parent);
    CHECK(mkdir(folder, 0777) == 0);
    leftover_name("shard", own, sizeof own);
    CHECK(sscanf(own, ".shard.%*d-%llu-%8s", &started, place) == 2 && started > 0, "%s", own);
    snprintf(dead, sizeof dead, ".shard.%ld-%llu-%s.tmp", (long)ended_process(), started, place);
    snprintf(later, sizeof later, ".shard.%ld-%llu-%s.tmp", (long)getpid(), started - 1, place);
    const char *const stay[] = {own,
                                ".shard.1-1-00000000.tmp",
                                ".other.77.tmp",
                                "mine.1-1-00000000.tmp",
                                ".1-1-00000000.tmp",
                                ".shard.1-1-0000000g.tmp"};
    const char *const go[] = {dead, later, ".old.1-1-00000000.tmp"};
    for (int index = 0; index < 6; index++)
        leave_file(folder, stay[index], index > 1 ? 9 : 0);
    for (int index = 0; index < 3; index++)
        leave_file(folder, go[index], index > 1 ? 9 : 0);
    snprintf(path, sizeof path, "%s/other-shard", folder);
    CHECK(atomic_file_begin(&file, path, &error) == LS_OK, "%s", error.text);
    for (int index = 0; index < 6; index++)
        CHECK(is_there(folder, stay[index]), "%s was removed", stay[index]);
    for (int index = 0; index < 3; index++)
        CHECK(!is_there(folder, go[index]), "%s was left", go[index]);
    atomic_file_discard(&file);
    for (int index = 0; index < 6; index++) {
        snprintf(path, sizeof path, "%s/%s", folder, stay[index]);
        unlink(path);
    }
    rmdir(folder);
    check_case("atomic files: what a killed process left is removed, what lives is not");
}

static void test_utf8(void) {
    char shown[32];
    static const char *const valid[] = {"",
                                        "cat",
                                        "caf\xc3\xa9",
                                        "\xe2\x82\xac",
                                        "\xf0\x9f\x90\x88",
                                        "\xed\x9f\xbf",
                                        "\xf4\x8f\xbf\xbf"};
    static const char *const invalid[] = {"caf\xe9",
                                          "\xc3",
                                          "\x80",
                                          "\xc0\xaf",
                                          "\xe0\x80\x80",
                                          "\xed\xa0\x80",
                                          "\xf5\x80\x80\x80",
                                          "\xf4\x90\x80\x80",
                                          "\xe2\x82",
                                          "\xff"};
    for (size_t index = 0; index < sizeof valid / sizeof valid[0]; index++)
        CHECK(utf8_valid(valid[index]), "%zu", index);
    for (size_t index = 0; index < sizeof invalid / sizeof invalid[0]; index++)
        CHECK(!utf8_valid(invalid[index]), "%zu", index);
    utf8_escape("caf\xe9 \xc3\xa9", shown, sizeof shown);
    CHECK(strcmp(shown, "caf\\xE9 \xc3\xa9") == 0, "%s", shown);
    utf8_escape("abc\xe9", shown, 6);
    CHECK(strcmp(shown, "abc") == 0, "%s", shown);
    check_case("UTF-8 is told from what is not, and shown");
}

static void test_long_name(const char *folder) {
    char path[512];
    ls_error error = {0};
    snprintf(path, sizeof path, "%s/%0250d", folder, 7);
    CHECK(atomic_file_write(path, "x", 1, &error) == LS_OK, "%s", error.text);
    unlink(path);
    check_case("atomic files: a name as long as any");
}

/* A file size limit stands for a full disk. */
static void test_atomic_failure(const char *folder) {
    static char bytes[65536];
    char path[512];
    ls_error error = {0};
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){1000, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    snprintf(path, sizeof path, "%s/large", folder);
    int status = atomic_file_write(path, bytes, sizeof bytes, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    CHECK(status == LS_FAILED && strstr(error.text, "large"), "%d %s", status, error.text);
    CHECK(entries(folder) == 0, "%d", entries(folder));
    error = (ls_error){0};
    snprintf(path, sizeof path, "%s/absent/file", folder);
    CHECK(atomic_file_write(path, "x", 1, &error) == LS_FAILED && strstr(error.text, "absent"));
    check_case("atomic files: a failed write leaves nothing and names the file");
}

static void test_discard_all(const char *folder) {
    enum { FILES = 200 };
    static atomic_file files[FILES];
    ls_error error = {0};
    for (int index = 0; index < FILES; index++) {
        char path[512];
        snprintf(path, sizeof path, "%s/file-%d", folder, index);
        CHECK(atomic_file_begin(&files[index], path, &error) == LS_OK, "%s", error.text);
        FILE *file = fopen(files[index].temporary, "w");
        CHECK(file);
        if (file)
            fclose(file);
    }
    CHECK(atomic_file_commit(&files[100], &error) == LS_OK, "%s", error.text);
    atomic_file_discard(&files[0]);
    CHECK(entries(folder) == FILES - 1);
    atomic_file_discard_all();
    CHECK(entries(folder) == 1, "%d", entries(folder));
    unlink(files[100].path);
    check_case("atomic files: what is unfinished can be removed at once, 200 files too");
}

static void test_folder(const char *folder) {
    char path[512];
    ls_error error = {0};
    struct stat found;
    snprintf(path, sizeof path, "%s/a/b/c", folder);
    CHECK(folder_create(path, &error) == LS_OK && folder_create(path, &error) == LS_OK);
    CHECK(stat(path, &found) == 0 && S_ISDIR(found.st_mode));
    rmdir(path);
    FILE *file = fopen(path, "w");
    if (file)
        fclose(file);
    CHECK(folder_create(path, &error) == LS_BAD_INPUT && strstr(error.text, "found a file"));
    error = (ls_error){0};
    strcat(path, "/d");
    CHECK(folder_create(path, &error) == LS_BAD_INPUT, "%s", error.text);
    check_case("folders: made with their parents; a file in the way is named");
}

static void test_errors(void) {
    ls_error error = {0};
    CHECK(ls_fail(&error, LS_BAD_INPUT, "bad\nname\x1b[31m") == LS_BAD_INPUT);
    CHECK(strcmp(error.text, "bad?name?[31m") == 0, "%s", error.text);
    CHECK(ls_fail(&error, LS_FAILED, "later") == LS_BAD_INPUT && error.text[0] == 'b');
    check_case("errors: one line without control characters; the first is kept");
}

/* Rows of many lengths, also longer than a block: whole, in order, none over a block's border but
 * those that were longer than what came before. */
static void test_rows(void) {
    enum { ROWS = 400 };
    static char row[6000], line[12000];
    row_file *file = NULL;
    ls_error error = {0};
    size_t at = 0;
    int crossed = 0, count = 0;
    CHECK(row_file_create("rows.csv", "a,b\n", 4, &file, &error) == LS_OK, "%s", error.text);
    for (int index = 0; index < ROWS; index++) {
        int wide = index == 200 ? 5000 : 100 + index * 37 % 90;
        int length = snprintf(row, sizeof row, "%0*d,%s\n", wide, index, index % 2 ? "0" : "2.5");
        CHECK(row_file_add(file, row, (size_t)length, &error) == LS_OK, "%s", error.text);
    }
    CHECK(row_file_sync(file, &error) == LS_OK, "%s", error.text);
    FILE *found = fopen("rows.csv", "re");
    while (found && fgets(line, sizeof line, found)) {
        size_t length = strlen(line);
        crossed += at / ROW_FILE_BLOCK != (at + length - 1) / ROW_FILE_BLOCK;
        at += length;
        if (count++ == 0)
            continue;
        double cell = strtod(strchr(line, ',') + 1, NULL), expected = count % 2 ? 0 : 2.5;
        CHECK(atoi(line) == count - 2 && cell == expected && line[length - 1] == '\n',
              "row %d is %.200s", count - 2, line);
    }
    CHECK(count == ROWS + 1 && crossed == 1, "%d lines, %d of them over a border", count, crossed);
    if (found)
        fclose(found);
    rename("rows.csv", "elsewhere.csv");
    CHECK(row_file_add(file, "1,1\n", 4, &error) == LS_FAILED && strstr(error.text, "rows.csv"),
          "a file that was moved away grows on: %s", error.text);
    row_file_close(file);
    check_case("rows: whole, none over a block's border, and a file that was moved is missed");
}

/* Each offset of either side within a line, and each length: not a byte beside it. */
static void test_far_copy(void) {
    static unsigned char from[640], to[640], expected[640];
    for (int at = 0; at < 640; at++)
        from[at] = (unsigned char)(at * 7 + 1);
    int wrong = 0;
    for (size_t source = 0; source < 64; source += 3)
        for (size_t target = 0; target < 64; target++)
            for (size_t length = 0; length < 400; length += 1 + length / 5) {
                memset(to, 0, sizeof to);
                memset(expected, 0, sizeof expected);
                far_copy(to + target, from + source, length);
                memcpy(expected + target, from + source, length);
                wrong += memcmp(to, expected, sizeof to) != 0;
            }
    CHECK(wrong == 0, "%d copies are wrong", wrong);
    check_case("a copy past the caches");
}

int main(void) {
    char folder[] = "/tmp/lockstep-base-XXXXXX", command[600];
    if (!mkdtemp(folder))
        return 1;
    test_philox();
    test_far_copy();
    test_streams();
    test_options_good();
    test_options_bad();
    test_option_given();
    test_describe();
    test_groups();
    test_errors();
    test_atomic(folder);
    test_left_over(folder);
    test_long_name(folder);
    test_utf8();
    test_atomic_failure(folder);
    test_discard_all(folder);
    test_folder(folder);
    if (chdir(folder) == 0)
        test_rows();
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 || check_done();
}
