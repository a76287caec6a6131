/* How results are written: durations, numbers, CSV out and in, tables. */
#include "../check.h"
#include "report/text/csv.h"
#include "report/text/duration.h"
#include "report/text/table.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void durations(void) {
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {
        {0, "0.00 s"},
        {0.84, "0.84 s"},
        {59.95, "59.95 s"},
        {59.994, "59.99 s"},
        {59.996, "1 min 0 s"},
        {60.4, "1 min 0 s"},
        {119.4, "1 min 59 s"},
        {119.96, "2 min 0 s"},
        {120, "2 min 0 s"},
        {3599.4, "59 min 59 s"},
        {3599.6, "1 h 0 min 0 s"},
        {3723, "1 h 2 min 3 s"},
        {90061, "25 h 1 min 1 s"},
        {NAN, "-"},
        {INFINITY, "-"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++)
        CHECK(strcmp(duration(cases[index].seconds).text, cases[index].text) == 0,
              "%g: expected '%s', found '%s'", cases[index].seconds, cases[index].text,
              duration(cases[index].seconds).text);
    check_case("durations are rounded before they are split");
}

/* The row's text as a file has it. */
static text_buffer file_of(const csv_row *row) {
    text_buffer file = {0};
    text_add(&file, "%s\n%s\n", row->names.bytes, row->values.bytes);
    return file;
}

static void csv_round_trip(void) {
    static const char *const values[] = {
        "plain", "a,b", "say \"no\"", "two\nlines", "\r\n",
        "",      "\"",  " spaces ",   "ends with,", "Z\xc3\xbcrich"};
    enum { COUNT = sizeof values / sizeof values[0] };
    csv_row row = {0};
    char name[32];
    for (int index = 0; index < COUNT; index++) {
        snprintf(name, sizeof name, "column, \"%d\"", index);
        csv_put_text(&row, name, values[index]);
    }
    text_buffer file = file_of(&row);
    csv_table table;
    ls_error error = {0};
    int status = csv_parse(&table, "test", file.bytes, file.length, &error);
    CHECK(status == LS_OK, "%s", error.text);
    CHECK(table.rows == 1 && table.columns == COUNT, "%zu rows", table.rows);
    for (int index = 0; status == LS_OK && index < COUNT; index++) {
        snprintf(name, sizeof name, "column, \"%d\"", index);
        const char *found = csv_get(&table, 0, name);
        CHECK(found && strcmp(found, values[index]) == 0, "value %d", index);
    }
    CHECK(csv_get(&table, 0, "absent") == NULL, "a column that is not there");
    csv_free(&table);
    text_free(&file);
    csv_row_free(&row);
    check_case("CSV values come back: commas, quotes, line breaks");
}

static void csv_numbers(void) {
    csv_row row = {0};
    csv_put_number(&row, "third", 1.0 / 3);
    csv_put_number(&row, "not_measured", NAN);
    csv_put_number(&row, "rate", 1e-3);
    csv_put_integer(&row, "big", INT64_MAX);
    CHECK(strcmp(row.names.bytes, "third,not_measured,rate,big") == 0, "%s", row.names.bytes);
    CHECK(strcmp(row.values.bytes, "0.333333333,,0.001,9223372036854775807") == 0, "%s",
          row.values.bytes);
    csv_row_free(&row);
    check_case("CSV numbers: nine digits, nothing for what was not measured");
}

static void csv_as_others_write_it(void) {
    static const char text[] = "\xef\xbb\xbf"
                               "a,b\r\n1,\"2\"\r\n3,4\r\n";
    csv_table table;
    ls_error error = {0};
    int status = csv_parse(&table, "test", text, sizeof text - 1, &error);
    CHECK(status == LS_OK && table.rows == 2, "%s", error.text);
    if (status == LS_OK) {
        CHECK(strcmp(csv_get(&table, 0, "a"), "1") == 0, "after a byte-order mark");
        CHECK(strcmp(csv_get(&table, 1, "b"), "4") == 0, "before CRLF");
        csv_free(&table);
    }
    check_case("CSV with CRLF and a byte-order mark is read");
}

static void csv_refusals(void) {
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", "empty"},
        {"a,b\n1\n", "line 2: expected 2 values, found 1"},
        {"a,b\n1,2,3\n", "line 2: expected 2 values, found 3"},
        {"a,b\n\"1,2\n", "a quote has no end"},
        {"a,b\n\"1\"x,2\n", "text after a closing quote"},
        {"a,b\n1\"x,2\n", "a quote inside a value"},
        {"a,a\n1,2\n", "column 'a' stands twice"},
        {"a,b\n1,2", "cut"},
        {"a,b\n1,\"2\"", "cut"},
        {"a,b\n1,2\rx\n", "carriage return"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        csv_table table;
        ls_error error = {0};
        int status =
            csv_parse(&table, "FILE", cases[index].text, strlen(cases[index].text), &error);
        CHECK(status == LS_BAD_INPUT, "'%s' was taken", cases[index].text);
        CHECK(strstr(error.text, cases[index].expected) && strstr(error.text, "FILE"),
              "expected '%s', found '%s'", cases[index].expected, error.text);
        if (status == LS_OK)
            csv_free(&table);
    }
    ls_error error = {0};
    csv_table table;
    CHECK(csv_parse(&table, "FILE", "a\0b\n", 4, &error) == LS_BAD_INPUT, "a NUL byte was taken");
    check_case("CSV that is broken is refused by file and line");
}

/* Every prefix of a file, in a heap block of its own size: the sanitisers see a read past it. */
static void csv_prefixes(void) {
    static const char text[] = "a,\"b\"\"c\"\n\"1\n2\",3\r\n";
    for (size_t length = 0; length < sizeof text; length++) {
        char *copy = malloc(length + 1);
        memcpy(copy, text, length);
        csv_table table;
        ls_error error = {0};
        int status = csv_parse(&table, "FILE", copy, length, &error);
        bool whole_rows = length == 9 || length == sizeof text - 1;
        if (length < sizeof text - 1 || whole_rows)
            CHECK((status == LS_OK) == whole_rows, "%zu bytes: %s", length, error.text);
        if (status == LS_OK)
            csv_free(&table);
        free(copy);
    }
    check_case("CSV cut anywhere but after a row is refused");
}

static void locales(void) {
    /* Whatever comma locale there is; the "C" locale shows nothing. */
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    const char *chosen = NULL;
    for (size_t index = 0; !chosen && index < sizeof names / sizeof names[0]; index++)
        chosen = setlocale(LC_ALL, names[index]);
    csv_row row = {0};
    csv_put_number(&row, "half", 0.5);
    CHECK(strcmp(row.values.bytes, "0.5") == 0, "%s", row.values.bytes);
    CHECK(parse_plain("1.25", NULL) == 1.25, "a point is read");
    csv_row_free(&row);
    setlocale(LC_ALL, "C");
    check_case(chosen ? "numbers have a point in a locale with commas"
                      : "numbers have a point (# SKIP no locale with commas is installed)");
}

static void tables(void) {
    static const table_column columns[] = {{"Name", true}, {"Value", false}, {"Note", true}};
    table self = {.columns = columns, .column_count = 3};
    const char *cells[] = {"Z\xc3\xbcrich", "1.5", "", "a|b", "10", "two\nlines", "c,d", "", "x"};
    for (int index = 0; index < 9; index++)
        table_cell(&self, "%s", cells[index]);
    static const char *const expected[] = {
        "> Name    Value  Note\n"
        "> Z\xc3\xbcrich    1.5\n"
        "> a|b        10  two?lines\n"
        "> c,d            x\n",
        ("| Name | Value | Note |\n|---|---:|---|\n| Z\xc3\xbcrich | 1.5 |  |\n"
         "| a\\|b | 10 | two?lines |\n| c,d |  | x |\n"),
        "Name,Value,Note\nZ\xc3\xbcrich,1.5,\na|b,10,\"two\nlines\"\n\"c,d\",,x\n",
    };
    for (int format = TABLE_TEXT; format <= TABLE_CSV; format++) {
        text_buffer out = {0};
        table_print(&self, (table_format)format, "> ", &out);
        CHECK(strcmp(out.bytes, expected[format]) == 0, "format %d:\n%s", format, out.bytes);
        text_free(&out);
    }
    table_free(&self);
    check_case("tables as text, Markdown and CSV");
}

int main(void) {
    durations();
    csv_round_trip();
    csv_numbers();
    csv_as_others_write_it();
    csv_refusals();
    csv_prefixes();
    locales();
    tables();
    return check_done();
}
