/* A forecast in words and figures. */
#include "forecast/forecast.h"

#include "report/text/csv.h"
#include "report/text/number.h"
#include "report/text/table.h"

#include <inttypes.h>

static const char *const titles[CHOICES] = {
    [CHOICE_PLAIN] = "plain: one all-reduce after backward",
    [CHOICE_BUCKETS] = "buckets: all-reduced as backward writes them",
    [CHOICE_BUCKETS_BF16] = "buckets-bf16: the same in bf16 (--grad-comm bf16)",
    [CHOICE_FACTORS] = ("factors: buckets, and linear layers as factors where cheaper "
                        "(--factor-comm auto)"),
    [CHOICE_ZERO] = "zero: a part of each bucket, updated and gathered (--mode zero1, zero2)",
    [CHOICE_FSDP] = "fsdp: parameters gathered for each use (--mode fsdp)",
};

static void add_table(text_buffer *out, const char *title, const forecast_table *self, bool best) {
    static const table_column columns[] = {
        {"ranks", false},      {"nodes", false},    {"global batch", false},
        {"step ms", false},    {"images/s", false}, {"speedup", false},
        {"efficiency", false}, {"exposed", false},  {"choice", true}};
    table lines = {.columns = columns, .column_count = sizeof columns / sizeof columns[0] - !best};
    for (int index = 0; index < self->count; index++) {
        const forecast_line *line = &self->lines[index];
        table_cell(&lines, "%d", line->ranks);
        table_cell(&lines, "%d", line->nodes);
        table_cell(&lines, "%" PRId64, line->global_batch);
        table_cell(&lines, "%s", number(line->seconds * 1e3, 3).text);
        table_cell(&lines, "%s", number(line->images_per_second, 1).text);
        table_cell(&lines, "%sx", number(line->speedup, 2).text);
        table_cell(&lines, "%s", percent(line->efficiency, 1).text);
        table_cell(&lines, "%s", percent(line->exposed, 1).text);
        if (best)
            table_cell(&lines, "%s", line->ranks == 1 ? "-" : comm_choice_names[line->choice]);
    }
    text_add(out, "\n%s\n", title);
    table_print(&lines, TABLE_TEXT, "", out);
    out->failed |= lines.failed;
    table_free(&lines);
}

static void add_link(text_buffer *out, const char *where, const measured_link *link) {
    const link_cost *fit = &link->kinds[LINK_SUM_F32].fit;
    text_add(out, "%s%s: %s us a hop, %s GB/s (%s", where, link->name,
             number(fit->latency_seconds * 1e6, 1).text,
             number(fit->bytes_per_second / 1e9, 3).text, link->nominal ? "nominal" : "measured");
    if (!link->nominal)
        text_add(out, " on %d ranks, %d node%s", link->ranks, link->nodes,
                 link->nodes == 1 ? "" : "s");
    text_add(out, ")\n");
}

static void add_step(text_buffer *out, const step_model *step) {
    double seconds = 0;
    for (size_t row = 0; row < step->row_count; row++)
        seconds += step_row_seconds(step, &step->rows[row], step->batch);
    text_add(out, "step      %s on %s, %s, batch %" PRId64 ": %s ms on one rank", step->model,
             step->device, step->precision, step->batch, number(seconds * 1e3, 3).text);
    if (step->batch_count > 1) {
        text_add(out, "; rows measured at batches");
        for (int run = 0; run < step->batch_count; run++)
            text_add(out, "%s %" PRId64, run ? "," : "", step->batches[run]);
    }
    text_add(out, "\ngradient  %s MB in fp32, buckets ",
             number(4e-6 * (double)step->parameters, 2).text);
}

void forecast_text(const forecast *self, const step_model *step, const forecast_network *network,
                   int64_t bucket_bytes, text_buffer *out) {
    bool inside = network->ranks_per_node > 1;
    text_add(out, "Forecast, not measured: %s scaling\n", self->strong ? "strong" : "weak");
    add_step(out, step);
    if (bucket_bytes > 0)
        text_add(out, "of at most %s MiB\n", number((double)bucket_bytes / 1048576, 3).text);
    else
        text_add(out, "by the network\n");
    add_link(out, "network   ", &network->between);
    if (inside)
        add_link(out, "in a node ", &network->inside);
    if (inside)
        text_add(out, "nodes     %d ranks each, all-reduces %s\n", network->ranks_per_node,
                 network->two_level ? "in two levels" : "in one ring");
    if (self->strong && step->batch_count == 1)
        text_add(out,
                 "assumed   rows shrink with the batch, but for optimizer and other (give runs "
                 "at several batches to measure it)\n");
    for (int choice = 0; choice < CHOICES; choice++)
        add_table(out, titles[choice], &self->choices[choice], false);
    add_table(out, "best of them", &self->best, true);
}

void network_text(const measured_link *link, const network_origin *origin, text_buffer *out) {
    static const table_column columns[] = {
        {"call", true},      {"type", true},       {"bytes", false},
        {"ms", false},       {"ms behind", false}, {"beside", false},
        {"slowdown", false}, {"us a hop", false},  {"GB/s", false}};
    table lines = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    for (int kind = 0; kind < LINK_KINDS; kind++)
        for (int index = 0; index < link->kinds[kind].count; index++) {
            const link_point *point = &link->kinds[kind].points[index];
            const link_cost *fit = &link->kinds[kind].fit;
            table_cell(&lines, "%s", link_call_name(link_kind_call((link_kind)kind)));
            table_cell(&lines, "%s", dtype_name(link_kind_type((link_kind)kind)));
            table_cell(&lines, "%zu", point->bytes);
            table_cell(&lines, "%s", number(point->seconds * 1e3, 3).text);
            table_cell(&lines, "%s", number(point->following_seconds * 1e3, 3).text);
            table_cell(&lines, "%s", number(point->overlap.progress, 2).text);
            table_cell(&lines, "%s", number(point->overlap.slowdown, 2).text);
            table_cell(&lines, "%s", index ? "" : number(fit->latency_seconds * 1e6, 1).text);
            table_cell(&lines, "%s", index ? "" : number(fit->bytes_per_second / 1e9, 3).text);
        }
    text_add(out, "%d ranks on %d node%s (%s), comm %s, device %s\n\n", link->ranks, link->nodes,
             link->nodes == 1 ? "" : "s", origin->hosts, origin->comm, origin->device);
    table_print(&lines, TABLE_TEXT, "", out);
    text_add(out,
             "ms: alone; ms behind: right behind another; beside: of a collective's time, what "
             "passes in a second of\ncomputing; slowdown: how much longer a second of computing "
             "takes meanwhile; us a hop, GB/s: the ring's fit\n");
    out->failed |= lines.failed;
    table_free(&lines);
}

static void add_lines(text_buffer *out, const forecast *self, const forecast_table *from,
                      const char *name) {
    for (int index = 0; index < from->count; index++) {
        const forecast_line *line = &from->lines[index];
        csv_row row = {0};
        csv_put_text(&row, "choice", name);
        csv_put_text(&row, "as", comm_choice_names[line->choice]);
        csv_put_text(&row, "scaling", self->strong ? "strong" : "weak");
        csv_put_integer(&row, "ranks", line->ranks);
        csv_put_integer(&row, "nodes", line->nodes);
        csv_put_integer(&row, "global_batch", line->global_batch);
        csv_put_number(&row, "step_seconds", line->seconds);
        csv_put_number(&row, "images_per_second", line->images_per_second);
        csv_put_number(&row, "speedup", line->speedup);
        csv_put_number(&row, "efficiency", line->efficiency);
        csv_put_number(&row, "exposed", line->exposed);
        csv_put_integer(&row, "collectives", line->collectives);
        csv_put_integer(&row, "factored_layers", line->factored_layers);
        if (out->length == 0)
            text_add(out, "%s\n", row.names.bytes ? row.names.bytes : "");
        text_add(out, "%s\n", row.values.bytes ? row.values.bytes : "");
        out->failed |= row.names.failed || row.values.failed;
        csv_row_free(&row);
    }
}

void forecast_csv(const forecast *self, text_buffer *out) {
    for (int choice = 0; choice < CHOICES; choice++)
        add_lines(out, self, &self->choices[choice], comm_choice_names[choice]);
    add_lines(out, self, &self->best, "best");
}
