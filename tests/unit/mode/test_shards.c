/* Shards: each element is one rank's, borders lie on grains of their unit, parts are equal but for
 * that. */
#include "../check.h"
#include "mode/shards.h"
#include "model/layers.h"

#include <stdlib.h>

static graph model;

/* Units of 1792, 73856, 4194816 and 5130 elements. */
static void build(void) {
    int x = graph_input(&model, 32, 32, 3);
    x = graph_conv2d(&model, "conv1", x, 64, 3, 1, 1, ACTIVATION_RELU);
    x = graph_maxpool2d(&model, "pool1", x, 2, 2, 0);
    x = graph_conv2d(&model, "conv2", x, 128, 3, 1, 1, ACTIVATION_RELU);
    x = graph_maxpool2d(&model, "pool2", x, 2, 2, 0);
    x = graph_linear(&model, "fc1", x, 512, ACTIVATION_RELU);
    x = graph_linear(&model, "fc2", x, 10, ACTIVATION_NONE);
    ls_error error = {0};
    CHECK(graph_finish(&model, x, &error) == LS_OK, "%s", error.text);
}

static bool is_border(size_t element) {
    for (int unit = 0; unit < model.unit_count; unit++) {
        const graph_unit *at = &model.units[unit];
        if (element >= at->first && element < at->first + at->count)
            return (element - at->first) % SHARD_GRAIN == 0;
    }
    return element == model.parameter_count;
}

static shards make(const store_span *blocks, int count, int size) {
    ls_error error = {0};
    shards made;
    CHECK(shards_create(&model, blocks, count, size, &made, &error) == LS_OK, "%s", error.text);
    return made;
}

static void check_block(const shards *made, const store_span *block, int index) {
    size_t at = block->first, even = block->count / (size_t)made->size;
    for (int place = 0; place < made->size; place++) {
        store_span part = shards_part(made, index, place);
        CHECK(part.first == at, "part %d of block %d begins at %zu, expected %zu", place, index,
              part.first, at);
        CHECK(is_border(at), "%zu is no border", at);
        CHECK(shards_lengths(made, index)[place] == (int64_t)part.count, "lengths are the parts'");
        CHECK(part.count + SHARD_GRAIN >= even && part.count <= even + SHARD_GRAIN + 1,
              "part %d of %zu has %zu", place, block->count, part.count);
        at += part.count;
    }
    CHECK(at == block->first + block->count, "the parts of block %d end at %zu", index, at);
}

/* All of the array, as buckets are cut: from its end. */
static void test_parts(void) {
    size_t middle = shards_border(&model, 2000000), end = model.parameter_count;
    store_span blocks[] = {{middle, end - middle}, {1792, middle - 1792}, {0, 1792}};
    for (int size = 1; size <= 8; size++) {
        shards made = make(blocks, 3, size);
        size_t held = 0;
        for (int block = 0; block < 3; block++)
            check_block(&made, &blocks[block], block);
        for (int place = 0; place < size; place++) {
            store_span spans[3];
            int count = shards_held(&made, place, spans);
            for (int span = 0; span < count; span++) {
                held += spans[span].count;
                CHECK(spans[span].count > 0, "an empty span");
                CHECK(span == 0 ||
                          spans[span].first > spans[span - 1].first + spans[span - 1].count,
                      "ascending, apart");
            }
        }
        CHECK(held == end, "%d ranks hold %zu of %zu", size, held, end);
        shards_destroy(&made);
    }
    check_case("every element is one rank's");
}

static void test_neighbours(void) {
    store_span blocks[] = {{75648, 4194816}, {0, 75648}}, spans[2];
    shards made = make(blocks, 2, 1);
    CHECK(shards_held(&made, 0, spans) == 1 && spans[0].first == 0 && spans[0].count == 4270464,
          "neighbours are one span");
    shards_destroy(&made);
    check_case("one rank has one span");
}

static void test_borders(void) {
    CHECK(shards_border(&model, 0) == 0 && shards_border(&model, 1) == 1024, "up to a grain");
    CHECK(shards_border(&model, 1024) == 1024, "a border is its own");
    CHECK(shards_border(&model, 1025) == 1792, "a unit ends a grain");
    CHECK(shards_border(&model, 1793) == 1792 + 1024, "counted from where the unit begins");
    CHECK(shards_border(&model, model.parameter_count) == model.parameter_count, "the end");
    check_case("borders");
}

int main(void) {
    build();
    test_parts();
    test_neighbours();
    test_borders();
    return check_done();
}
