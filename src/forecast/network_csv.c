/* network.csv, written and read back. */
#include "forecast/interconnect.h"

#include "report/text/csv.h"

#include <math.h>
#include <string.h>

static const char *const kind_types[] = {"fp32", "bf16", "fp32"};

/* ---- writing */

static void put_row(text_buffer *out, const measured_link *link, const network_origin *origin,
                    const char *call, const char *type, const link_point *point) {
    csv_row row = {0};
    csv_put_text(&row, "call", call);
    csv_put_text(&row, "type", type);
    csv_put_integer(&row, "ranks", link->ranks);
    csv_put_integer(&row, "nodes", link->nodes);
    csv_put_text(&row, "hosts", origin->hosts);
    csv_put_text(&row, "comm", origin->comm);
    csv_put_text(&row, "device", origin->device);
    csv_put_integer(&row, "bytes", (int64_t)point->bytes);
    csv_put_number(&row, "seconds", point->seconds);
    csv_put_number(&row, "following_seconds", point->following_seconds);
    csv_put_number(&row, "progress", point->overlap.progress);
    csv_put_number(&row, "slowdown", point->overlap.slowdown);
    if (out->length == 0)
        text_add(out, "%s\n", row.names.bytes ? row.names.bytes : "");
    text_add(out, "%s\n", row.values.bytes ? row.values.bytes : "");
    out->failed |= row.names.failed || row.values.failed;
    csv_row_free(&row);
}

void network_write(const measured_link *link, const network_origin *origin, text_buffer *out) {
    for (int kind = 0; kind < LINK_KINDS; kind++)
        for (int index = 0; index < link->kinds[kind].count; index++)
            put_row(out, link, origin, link_call_name(link_kind_call((link_kind)kind)),
                    kind_types[kind], &link->kinds[kind].points[index]);
    if (link->cast_seconds_per_byte > 0) {
        link_point cast = {.bytes = 1 << 24};
        cast.seconds = link->cast_seconds_per_byte * (double)cast.bytes;
        cast.following_seconds = cast.seconds;
        cast.overlap.progress = 0;
        put_row(out, link, origin, "cast", "bf16", &cast);
    }
}

/* ---- reading */

typedef struct reader {
    const char *path;
    csv_table table;
    size_t row;
} reader;

static int get(const reader *self, const char *column, double minimum, double *out,
               ls_error *error) {
    const char *text = csv_get(&self->table, self->row, column);
    char *end = NULL;
    *out = parse_plain(text, &end);
    if (end == text || *end != '\0' || !isfinite(*out) || *out < minimum)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: row %zu: %s: expected a number of at least %g, found '%.40s'",
                       self->path, self->row + 1, column, minimum, text);
    return LS_OK;
}

static int get_point(const reader *self, link_point *out, ls_error *error) {
    double bytes;
    LS_TRY(get(self, "bytes", 1, &bytes, error));
    LS_TRY(get(self, "seconds", 1e-9, &out->seconds, error));
    LS_TRY(get(self, "following_seconds", 0, &out->following_seconds, error));
    LS_TRY(get(self, "progress", 0, &out->overlap.progress, error));
    LS_TRY(get(self, "slowdown", 0, &out->overlap.slowdown, error));
    const link_overlap *overlap = &out->overlap;
    if (bytes != floor(bytes) || bytes > 1e15 ||
        overlap->progress > (1 + overlap->slowdown) * (1 + 1e-6)) /* as rounded in the file */
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: row %zu: expected whole bytes and progress of at most 1 + slowdown, "
                       "found '%.40s', and '%.40s' with '%.40s'",
                       self->path, self->row + 1, csv_get(&self->table, self->row, "bytes"),
                       csv_get(&self->table, self->row, "progress"),
                       csv_get(&self->table, self->row, "slowdown"));
    out->bytes = (size_t)bytes;
    return LS_OK;
}

static int add_point(const reader *self, link_table *table, const link_point *point,
                     ls_error *error) {
    if (table->count == LINK_MOST_POINTS)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected at most %d sizes a call, found more",
                       self->path, LINK_MOST_POINTS);
    if (table->count > 0 && table->points[table->count - 1].bytes >= point->bytes)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: row %zu: bytes: expected more than the row before has, found %zu",
                       self->path, self->row + 1, point->bytes);
    table->points[table->count++] = *point;
    return LS_OK;
}

/* All rows tell of the same ranks. */
static int take_place(const reader *self, measured_link *out, ls_error *error) {
    double ranks, nodes;
    LS_TRY(get(self, "ranks", 2, &ranks, error));
    LS_TRY(get(self, "nodes", 1, &nodes, error));
    if (self->row > 0 && (ranks != out->ranks || nodes != out->nodes))
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: row %zu: expected %d ranks on %d nodes as in the first row, found %g "
                       "on %g",
                       self->path, self->row + 1, out->ranks, out->nodes, ranks, nodes);
    if (ranks > 1e6 || nodes > ranks)
        return ls_fail(error, LS_BAD_INPUT, "%s: row %zu: %g ranks on %g nodes cannot be",
                       self->path, self->row + 1, ranks, nodes);
    out->ranks = (int)ranks;
    out->nodes = (int)nodes;
    return LS_OK;
}

static int take_row(const reader *self, measured_link *out, ls_error *error) {
    const char *call = csv_get(&self->table, self->row, "call");
    const char *type = csv_get(&self->table, self->row, "type");
    link_point point;
    LS_TRY(take_place(self, out, error));
    LS_TRY(get_point(self, &point, error));
    if (strcmp(call, "cast") == 0) {
        out->cast_seconds_per_byte = point.seconds / (double)point.bytes;
        return LS_OK;
    }
    for (int kind = 0; kind < LINK_KINDS; kind++)
        if (strcmp(call, link_call_name(link_kind_call((link_kind)kind))) == 0 &&
            strcmp(type, kind_types[kind]) == 0)
            return add_point(self, &out->kinds[kind], &point, error);
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: row %zu: expected allreduce of fp32 or bf16, allgather of fp32, or cast, "
                   "found '%.40s' of '%.40s'",
                   self->path, self->row + 1, call, type);
}

static int read_rows(reader *self, measured_link *out, ls_error *error) {
    static const char *const columns[] = {
        "call",     "type",    "ranks", "nodes", "bytes", "seconds", "following_seconds",
        "progress", "slowdown"};
    for (size_t index = 0; index < sizeof columns / sizeof columns[0]; index++)
        if (self->table.rows == 0 || !csv_get(&self->table, 0, columns[index]))
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: expected what lockstep forecast --measure-network wrote: %s '%s'",
                           self->path, self->table.rows ? "no column" : "no row under",
                           columns[index]);
    for (; self->row < self->table.rows; self->row++)
        LS_TRY(take_row(self, out, error));
    for (int kind = 0; kind < LINK_KINDS; kind++)
        if (out->kinds[kind].count == 1 || out->kinds[LINK_SUM_F32].count == 0)
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: expected %s of %s at two sizes or more, found %d", self->path,
                           link_call_name(link_kind_call((link_kind)kind)), kind_types[kind],
                           out->kinds[kind].count);
    return network_fit(out, error);
}

int network_read(const char *path, measured_link *out, ls_error *error) {
    reader self = {.path = path};
    *out = (measured_link){0};
    format_plain(out->name, sizeof out->name, "%.500s", path);
    LS_TRY(csv_read(&self.table, path, error));
    int status = read_rows(&self, out, error);
    csv_free(&self.table);
    return status;
}
