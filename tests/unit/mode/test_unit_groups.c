/* Groups of units: what a model says is a block stays together, neighbours join up to the largest
 * block, and all of the array is some group's, in order. */
#include "../check.h"
#include "mode/unit_groups.h"

static unit_groups groups;

static void check_cover(const graph *model) {
    size_t end = 0;
    int unit = 0;
    for (int group = 0; group < groups.count; group++) {
        CHECK(groups.spans[group].first == end, "group %d begins at %zu, not %zu", group,
              groups.spans[group].first, end);
        CHECK(groups.first_unit[group] == unit, "group %d begins with unit %d, not %d", group,
              groups.first_unit[group], unit);
        size_t elements = 0;
        for (; unit < groups.first_unit[group + 1]; unit++) {
            CHECK(groups.of_unit[unit] == group, "unit %d is in group %d", unit,
                  groups.of_unit[unit]);
            elements += model->units[unit].count;
            CHECK(unit == 0 || model->units[unit].block != model->units[unit - 1].block ||
                      groups.of_unit[unit - 1] == group,
                  "a block is cut at unit %d", unit);
        }
        CHECK(elements == groups.spans[group].count, "group %d has %zu elements, its units %zu",
              group, groups.spans[group].count, elements);
        CHECK(elements <= groups.largest, "group %d is larger than the largest block", group);
        end += elements;
    }
    CHECK(end == model->parameter_count && unit == model->unit_count, "%zu elements, %d units", end,
          unit);
}

/* counts: elements of each group. */
static void check(const char *name, int side, int count, const size_t *counts) {
    static graph model;
    ls_error error = {0};
    CHECK(model_build(name, side, side, 3, 1000, &model, &error) == LS_OK, "%s", error.text);
    CHECK(unit_groups_create(&model, &groups, &error) == LS_OK, "%s", error.text);
    check_cover(&model);
    CHECK(groups.count == count, "%s: %d groups, expected %d", name, groups.count, count);
    for (int group = 0; group < count && groups.count == count; group++)
        CHECK(groups.spans[group].count == counts[group], "%s: group %d has %zu elements", name,
              group, groups.spans[group].count);
    unit_groups_destroy(&groups);
    graph_release(&model);
}

int main(void) {
    /* conv1 and conv2; fc1; fc2 */
    check("cnn", 32, 3, (size_t[]){1792 + 73856, 4194816, 513000});
    check_case("the CNN's layers");
    enum { BLOCK = 444864 }; /* vit-ti: patches and embedding; twelve blocks; norm and head */
    size_t vit[14];
    vit[0] = 147648 + 192 + 197 * 192;
    vit[13] = 384 + 193000;
    for (int block = 1; block <= 12; block++)
        vit[block] = BLOCK;
    check("vit-ti16", 224, 14, vit);
    check_case("a transformer's blocks");
    return check_done();
}
