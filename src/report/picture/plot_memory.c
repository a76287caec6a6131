#include "report/picture/plot_kinds.h"

#include "report/compare/modes.h"

#include <math.h>

/* Kinds of memory_kinds[], two in one part where both are small as a rule: there are no more
 * colours that are told apart. What all have, the program, is grey. */
enum { PARTS = 8 };
static const struct {
    plot_part is;
    int kinds[2]; /* the second -1: none */
} groups[PARTS] = {
    {{"parameters", 0}, {0, -1}},        {{"gradients", 1}, {1, -1}},
    {{"optimizer", 2}, {2, -1}},         {{"packed weights", 6}, {3, -1}},
    {{"activations", 5}, {4, -1}},       {{"workspace, comm.", 4}, {5, 6}},
    {{"loader, checkpoint", 3}, {7, 8}}, {{"program", 7}, {9, -1}},
};

/* In bytes; their sum. */
static double fill(double *out, const configuration *self) {
    double sum = 0;
    for (int part = 0; part < PARTS; part++) {
        out[part] = 0;
        for (int index = 0; index < 2 && groups[part].kinds[index] >= 0; index++) {
            double bytes =
                configuration_median(self, memory_kinds[groups[part].kinds[index]].column);
            out[part] += isnan(bytes) ? 0 : bytes;
        }
        sum += out[part];
    }
    return sum;
}

static bool is_planned(const configuration *self) {
    return !isnan(configuration_median(self, "memory_planned_bytes"));
}

/* From bytes to GB; to MB, and true, where no bar would have 2 GB. */
static bool to_unit(const bar_room *room, size_t count) {
    double most = 0;
    for (size_t bar = 0; bar < count; bar++)
        most = fmax(most, room->bars[bar].total);
    double unit = most < 2e9 ? 1e6 : 1e9;
    for (size_t bar = 0; bar < count; bar++) {
        room->bars[bar].total /= unit;
        room->bars[bar].limit /= unit;
        for (int part = 0; part < PARTS; part++)
            room->parts[bar * PARTS + (size_t)part] /= unit;
    }
    return unit < 1e9;
}

static int draw(picture *out, const configuration_list *configurations, bar_room *room,
                ls_error *error) {
    plot_part parts[PARTS];
    bool limited = false;
    size_t count = 0;
    for (int part = 0; part < PARTS; part++)
        parts[part] = groups[part].is;
    for (size_t index = 0; index < configurations->count; index++) {
        const configuration *self = &configurations->items[index];
        double *values = &room->parts[count * PARTS];
        if (!is_planned(self))
            continue;
        add_plot_name(&room->names[count], configurations, index);
        LS_TRY(text_buffer_check(&room->names[count], error));
        double limit = configuration_median(self, "memory_limit_bytes");
        limited |= !isnan(limit);
        room->bars[count] = (plot_bar){.name = room->names[count].bytes,
                                       .total = fill(values, self),
                                       .parts = values,
                                       .limit = limit};
        count++;
    }
    bool small = to_unit(room, count);
    return picture_of_bars(out,
                           &(plot_bars){.title = "Memory of a rank, by kind",
                                        .subtitle = "as planned before it is taken, of the rank "
                                                    "that holds most",
                                        .across = small ? "MB" : "GB",
                                        .unit = small ? "MB" : "GB",
                                        .limit = limited ? "what it may hold" : NULL,
                                        .parts = parts,
                                        .part_count = PARTS,
                                        .bars = room->bars,
                                        .count = count},
                           error);
}

int add_memory_picture(picture_list *out, const configuration_list *configurations,
                       ls_error *error) {
    bar_room room;
    bool any = false;
    for (size_t index = 0; index < configurations->count; index++)
        any |= is_planned(&configurations->items[index]);
    if (!any)
        return LS_OK;
    picture *added = pictures_add(out, "memory", error);
    if (!added)
        return LS_FAILED;
    LS_TRY(bar_room_open(&room, configurations->count, PARTS, error));
    int status = draw(added, configurations, &room, error);
    bar_room_free(&room);
    return status;
}
