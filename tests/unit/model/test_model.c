/* What needs no device: planned memory never shared by what lives together, the CNN's records. */
#include "../check.h"
#include "base/random.h"
#include "model/arena.h"
#include "model/graph.h"

#include <stdio.h>
#include <string.h>

static void check_arena(void) {
    for (int trial = 0; trial < 200; trial++) {
        arena_buffer buffers[24];
        uint32_t block[4];
        size_t largest_alive = 0;
        for (int index = 0; index < 24; index++) {
            random_block(5, RANDOM_SYNTHETIC, (uint64_t)trial, (uint64_t)index, block);
            buffers[index].bytes = block[0] % 5000;
            buffers[index].first = (int)(block[1] % 30);
            buffers[index].last = buffers[index].first + (int)(block[2] % 10);
        }
        ls_error error = {0};
        size_t total = 0;
        CHECK(arena_plan(buffers, 24, &total, &error) == LS_OK, "%s", error.text);
        for (int moment = 0; moment < 40; moment++) {
            size_t alive = 0;
            for (int index = 0; index < 24; index++)
                if (buffers[index].first <= moment && moment <= buffers[index].last)
                    alive += (buffers[index].bytes + 255) & ~(size_t)255;
            largest_alive = alive > largest_alive ? alive : largest_alive;
        }
        CHECK(total >= largest_alive && total < 2 * largest_alive + 1, "%zu for %zu", total,
              largest_alive);
        for (int a = 0; a < 24; a++)
            for (int b = 0; b < a; b++) {
                bool live =
                    buffers[a].first <= buffers[b].last && buffers[b].first <= buffers[a].last;
                bool share = buffers[a].offset < buffers[b].offset + buffers[b].bytes &&
                             buffers[b].offset < buffers[a].offset + buffers[a].bytes;
                CHECK(!(live && share), "buffers %d and %d share memory", a, b);
            }
    }
}

/* Records: PyTorch's names, one block a unit, nothing between them. */
static void check_records(const graph *g) {
    static const char *const names[] = {"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                        "fc1.weight",   "fc1.bias",   "fc2.weight",   "fc2.bias"};
    size_t end = 0;
    CHECK(g->record_count == 8 && g->buffer_count == 0, "%d records", g->record_count);
    for (int record = 0; record < g->record_count && record < 8; record++) {
        const graph_parameter *p = &g->parameters[record];
        bool weight = record % 2 == 0;
        CHECK(strcmp(p->name, names[record]) == 0, "%s for %s", p->name, names[record]);
        CHECK(p->trained && p->decays == weight && p->unit == record / 2, "%s", p->name);
        CHECK(p->dim_count == (weight ? (record < 4 ? 4 : 2) : 1), "%s: %d dims", p->name,
              p->dim_count);
        CHECK(p->first == end, "%s begins at %zu", p->name, p->first);
        if (weight)
            CHECK(g->units[p->unit].first == p->first, "%s opens its unit", p->name);
        else
            CHECK(g->units[p->unit].first + g->units[p->unit].count == p->first + p->count,
                  "%s ends its unit", p->name);
        end = p->first + p->count;
    }
    CHECK(end == g->parameter_count, "the records end at %zu", end);
}

static void check_model(void) {
    static graph g;
    ls_error error = {0};
    CHECK(model_build("cnn", 32, 32, 3, 10, &g, &error) == LS_OK, "%s", error.text);
    CHECK(g.parameter_count == 4275594, "%zu parameters", g.parameter_count);
    check_records(&g);
    graph_release(&g);
    CHECK(model_build("cnn", 2, 2, 3, 10, &g, &error) == LS_BAD_INPUT, "%s", error.text);
    error.code = LS_OK;
    graph_release(&g);
    CHECK(model_build("none", 32, 32, 3, 10, &g, &error) == LS_BAD_INPUT, "%s", error.text);
}

/* Every tensor of the flat array of every model begins at a multiple of 256 bytes, as a GPU's
 * widest loads and cuBLASLt's fastest algorithms want it, whatever data it is built for: what is
 * odd (a bias of 10 classes) is last. The store keeps that in memory: a held range and a row begin
 * as they do in the whole array. */
static void check_alignment(void) {
    enum { ALIGNED = 256 / sizeof(float) };
    static const int data[][4] = {/* height, width, channels, classes */
                                  {32, 32, 3, 10}, {32, 32, 3, 100}, {28, 28, 1, 10},
                                  {64, 48, 3, 7},  {33, 31, 4, 2},   {224, 224, 3, 1000}};
    char names[256], *rest = names;
    snprintf(names, sizeof names, "%s", model_choices);
    for (char *name = strsep(&rest, "|"); name; name = strsep(&rest, "|"))
        for (size_t i = 0; i < sizeof data / sizeof data[0]; i++) {
            static graph g;
            ls_error error = {0};
            const int *d = data[i];
            CHECK(model_build(name, d[0], d[1], d[2], d[3], &g, &error) == LS_OK, "%s", error.text);
            for (int record = 0; record < g.record_count; record++) {
                const graph_parameter *p = &g.parameters[record];
                CHECK(!p->trained || p->first % ALIGNED == 0,
                      "%s for [%d, %d, %d], %d classes: %s begins at element %zu", name, d[0], d[1],
                      d[2], d[3], p->name, p->first);
            }
            graph_release(&g);
        }
}

int main(void) {
    check_arena();
    check_case("buffers that live together share no memory");
    check_model();
    check_case("the CNN has 4,275,594 parameters; a model that does not fit is refused");
    check_alignment();
    check_case("every tensor begins at a multiple of 256 bytes");
    return check_done();
}
