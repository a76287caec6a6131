/* The folder of checkpoints: which is the last, the best, what goes and what stays; who writes what
 * of the arrays; and where two checkpoints differ. */
#include "../check.h"
#include "checkpoint_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static int count_entries(void) {
    checkpoint_entry *list;
    ls_error error = {0};
    int count = -1;
    if (checkpoint_list(dir, &list, &count, &error) == LS_OK)
        free(list);
    return count;
}

static void publishes(void) {
    char name[CHECKPOINT_FOLDER_BYTES], path[400];
    ls_error error = {0};
    fixture_folder(dir);
    CHECK(fixture_write(dir, 1, 7, 0, name, &error) == LS_OK, "%s", error.text);
    CHECK(strcmp(name, "step-0000000007") == 0, "%s", name);
    CHECK(fixture_write(dir, 2, 7, 0, name, &error) == LS_OK, "%s", error.text);
    CHECK(strcmp(name, "step-0000000007.2") == 0, "%s", name);
    /* What a killed writer left is no checkpoint, and goes. */
    snprintf(path, sizeof path, "%s/.step-0000000009.x-3.tmp", dir);
    CHECK(mkdir(path, 0777) == 0);
    CHECK(count_entries() == 2);
    checkpoint_sweep(dir);
    CHECK(access(path, F_OK) != 0 && count_entries() == 2);
    check_case("a folder is complete or is not there");
}

static void points(void) {
    char name[CHECKPOINT_FOLDER_BYTES], found[CHECKPOINT_FOLDER_BYTES], path[4096], where[400];
    ls_error error = {0};
    fixture_folder(dir);
    CHECK(checkpoint_pointed(dir, CHECKPOINT_LAST, found, &error) == LS_OK && !found[0]);
    CHECK(fixture_write(dir, 1, 7, 0, name, &error) == LS_OK);
    CHECK(checkpoint_point(dir, CHECKPOINT_LAST, name, &error) == LS_OK, "%s", error.text);
    CHECK(checkpoint_pointed(dir, CHECKPOINT_LAST, found, &error) == LS_OK &&
          strcmp(found, name) == 0);
    CHECK(checkpoint_resolve(dir, path, sizeof path, &error) == LS_OK && strstr(path, name));
    snprintf(where, sizeof where, "%s/last", dir);
    CHECK(checkpoint_resolve(where, path, sizeof path, &error) == LS_OK && strstr(path, name));
    snprintf(where, sizeof where, "%s/%s/", dir, name);
    CHECK(checkpoint_resolve(where, path, sizeof path, &error) == LS_OK && strstr(path, name));
    static const char *const bad[] = {"../etc", "", "step-1", "step-0000000007x",
                                      "step-00000000077."};
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        error = (ls_error){0};
        CHECK(checkpoint_point(dir, CHECKPOINT_LAST, bad[index], &error) == LS_OK);
        CHECK(checkpoint_pointed(dir, CHECKPOINT_LAST, found, &error) == LS_BAD_INPUT, "%s",
              bad[index]);
    }
    check_case("last names a folder, and nothing else is believed");
}

static void prunes(void) {
    char name[CHECKPOINT_FOLDER_BYTES], path[400];
    ls_error error = {0};
    checkpoint_entry *list;
    int count;
    fixture_folder(dir);
    for (int serial = 1; serial <= 5; serial++) {
        CHECK(fixture_write(dir, serial, 10 * serial, 0, name, &error) == LS_OK);
        if (serial == 2)
            CHECK(checkpoint_point(dir, CHECKPOINT_BEST, name, &error) == LS_OK);
    }
    CHECK(checkpoint_point(dir, CHECKPOINT_LAST, name, &error) == LS_OK);
    snprintf(path, sizeof path, "%s/step-0000000030/manifest.h5", dir);
    CHECK(truncate(path, 100) == 0); /* the user's to look at */
    CHECK(checkpoint_prune(dir, "another run", 1, &error) == LS_OK && count_entries() == 5);
    CHECK(checkpoint_prune(dir, "0123456789abcdef0123456789abcdef", 2, &error) == LS_OK, "%s",
          error.text);
    CHECK(checkpoint_list(dir, &list, &count, &error) == LS_OK && count == 4);
    CHECK(list[0].step == 50 && list[1].step == 40 && list[2].step == 20 && !list[3].readable);
    CHECK(strcmp(list[3].name, "step-0000000030") == 0 && strstr(list[3].text, "damaged"), "%s",
          list[3].text);
    free(list);
    check_case("the newest, the best and the damaged stay");
}

/* The newest cannot be read when a run goes on, and can be later on. */
static void hides(void) {
    static const char id[] = "0123456789abcdef0123456789abcdef";
    char name[CHECKPOINT_FOLDER_BYTES], path[400], away[410];
    ls_error error = {0};
    checkpoint_entry *list;
    int64_t last;
    int count;
    fixture_folder(dir);
    for (int serial = 1; serial <= 3; serial++)
        CHECK(fixture_write(dir, serial, 10 * serial, 0, name, &error) == LS_OK);
    CHECK(checkpoint_last_serial(dir, id, &last, &error) == LS_OK && last == 3);
    snprintf(path, sizeof path, "%s/%s/manifest.h5", dir, name);
    snprintf(away, sizeof away, "%s.away", path);
    CHECK(rename(path, away) == 0);
    CHECK(checkpoint_last_serial(dir, id, &last, &error) == LS_OK && last > 1000);
    CHECK(fixture_write(dir, last + 1, 25, 0, name, &error) == LS_OK, "%s", error.text);
    CHECK(rename(away, path) == 0);
    CHECK(checkpoint_list(dir, &list, &count, &error) == LS_OK && count == 4);
    CHECK(list[0].step == 25 && list[1].step == 30, "%lld %lld", (long long)list[0].step,
          (long long)list[1].step);
    free(list);
    CHECK(checkpoint_last_serial(dir, id, &last, &error) == LS_OK && last > 1000);
    CHECK(checkpoint_prune(dir, id, 1, &error) == LS_OK && count_entries() == 1);
    CHECK(checkpoint_last_serial(dir, "another run", &last, &error) == LS_OK && last == 0);
    check_case("one that could not be read for a while is not the newest again");
}

static void shares(void) {
    static const checkpoint_range whole[] = {{0, 0, 100}, {1, 0, 100}},
                                  low[] = {{0, 0, 100}, {1, 0, 40}},
                                  high[] = {{0, 0, 100}, {1, 40, 60}}, none[] = {{0, 0, 0}};
    static const struct {
        checkpoint_holding held[3];
        int size;
        int64_t elements[3];
    } cases[] = {{{{whole, 2}}, 1, {200}},
                 {{{whole, 2}, {whole, 2}}, 2, {100, 100}},
                 {{{low, 2}, {high, 2}}, 2, {90, 110}},
                 {{{whole, 2}, {none, 0}, {none, 0}}, 3, {200, 0, 0}},
                 {{{whole, 2}, {whole, 1}, {whole, 1}}, 3, {133, 33, 34}}};
    const checkpoint_array arrays[] = {{"a", 100}, {"b", 100}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        checkpoint_range all[32];
        int found = 0;
        ls_error error = {0};
        for (int rank = 0; rank < cases[index].size; rank++) {
            checkpoint_range *own;
            int count;
            int64_t elements = 0;
            CHECK(checkpoint_share(cases[index].held, cases[index].size, rank, &own, &count,
                                   &error) == LS_OK);
            for (int at = 0; at < count; at++) {
                all[found++] = own[at];
                elements += own[at].count;
            }
            CHECK(elements == cases[index].elements[rank], "case %zu, rank %d: %lld", index, rank,
                  (long long)elements);
            free(own);
        }
        CHECK(checkpoint_check_cover(arrays, 2, all, found, &error) == LS_OK, "%s", error.text);
        CHECK(checkpoint_check_cover(arrays, 2, all, found - 1, &error) == LS_FAILED);
    }
    check_case("every element is written once, and what many hold is shared out");
}

static void compares(void) {
    char name[CHECKPOINT_FOLDER_BYTES], path[400];
    ls_error error = {0};
    checkpoint a, b;
    checkpoint_difference found;
    fixture_folder(dir);
    CHECK(fixture_write(dir, 1, 7, 0, name, &error) == LS_OK);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK(checkpoint_open(&a, path, &error) == LS_OK);
    CHECK(fixture_write(dir, 2, 7, 2, name, &error) == LS_OK);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK(checkpoint_open(&b, path, &error) == LS_OK);
    CHECK(checkpoint_compare(&a, &a, &found, &error) == LS_OK && found.different == 0 &&
          found.compared == 2 * FIXTURE_PARAMETERS + FIXTURE_BUFFERS);
    CHECK(checkpoint_compare(&a, &b, &found, &error) == LS_OK, "%s", error.text);
    CHECK(found.different == 2 && strcmp(found.array, "parameters") == 0 &&
              strcmp(found.tensor, "fc1.bias") == 0 && found.element == 4,
          "%s %s %lld", found.array, found.tensor, (long long)found.element);
    CHECK(fabs(found.second - found.first - 1) < 1e-3 && fabs(found.largest - 1) < 1e-3);
    checkpoint_close(&a);
    checkpoint_close(&b);
    check_case("diff names the first element that differs");
}

int main(void) {
    publishes();
    points();
    prunes();
    hides();
    shares();
    compares();
    return check_done();
}
