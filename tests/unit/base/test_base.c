/* Random numbers against the published vectors, UTF-8, errors, rows of a file, copies. */
#include "../check.h"
#include "base/error.h"
#include "base/far_copy.h"
#include "base/random.h"
#include "base/row_file.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    test_errors();
    test_utf8();
    if (chdir(folder) == 0)
        test_rows();
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 || check_done();
}
