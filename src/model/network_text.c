/* What a network says of itself: its plans as text, and their hash. */
#include "base/hash.h"
#include "model/network_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Whoever takes the lines of a network's plans, one after the other: a text of any length is never
 * held as a whole where only its hash is wanted. */
typedef struct reader {
    void (*line)(struct reader *self, const char *text);
    text_buffer *out; /* add_line, add_reference */
    uint64_t hash;    /* hash_line */
} reader;

static void read_plan(reader *to, const graph_layer *layer, int n, const char *kind, plan *plan) {
    text_buffer line = {0};
    text_add(&line, "%s n=%d%s", layer->name, n, kind);
    if (layer->is->describe) {
        text_add(&line, " ");
        layer->is->describe(layer, &line);
    }
    text_add(&line, ": %s\n", plan_describe(plan));
    if (line.bytes)
        to->line(to, line.bytes);
    text_free(&line);
}

static void read_gathered(const network *self, reader *to) {
    for (int index = 0; index < self->gathered_count; index++) {
        const gathered_plan *at = &self->gathered[index];
        read_plan(to, at->layer, at->rows, " gathered", at->plan);
    }
}

static void read_all(const network *self, reader *to) {
    for (int index = 0; index < self->pass_count; index++)
        for (int layer = 0; layer < self->graph->layer_count; layer++) {
            const layer_pass *at = &self->passes[index]->layers[layer];
            if (at->plan)
                read_plan(to, at->layer, self->passes[index]->n, "", at->plan);
        }
    read_gathered(self, to);
}

static void add_line(reader *self, const char *text) {
    text_add(self->out, "%s", text);
}

void network_describe(const network *self, text_buffer *out) {
    reader to = {.line = add_line, .out = out};
    read_all(self, &to);
}

/* An implementation's name is a word of its own, or part of one: "ref:any", "gemm:ref". A lone
 * "ref" is the device of that name. */
static void add_reference(reader *self, const char *text) {
    for (const char *found = text; (found = strstr(found, "ref")); found += 3) {
        bool part = found > text && found[-1] == ':';
        bool word = part || (found > text && found[-1] == ' ');
        if ((word && found[3] == ':') || (part && strchr(" \n", found[3]))) {
            add_line(self, text);
            return;
        }
    }
}

void network_describe_references(const network *self, text_buffer *out) {
    reader to = {.line = add_reference, .out = out};
    read_all(self, &to);
}

/* Without what stands in parentheses: where a choice came from. */
static void hash_line(reader *self, const char *text) {
    int depth = 0;
    for (; *text; text++) {
        depth += *text == '(';
        if (depth == 0)
            self->hash = hash_bytes(self->hash, text, 1);
        depth -= *text == ')' && depth > 0;
    }
}

/* Over the device's libraries, with their versions and what they use of the processor, and the text
 * of network_describe, without its remarks. */
void network_plan_id(const network *self, char out[17]) {
    const char *library = self->device->facts.library;
    reader to = {.line = hash_line, .hash = hash_bytes(HASH_START, library, strlen(library))};
    read_all(self, &to);
    snprintf(out, 17, "%016" PRIx64, to.hash);
}

uint64_t network_gathered_hash(const network *self) {
    reader to = {.line = hash_line, .hash = HASH_START};
    read_gathered(self, &to);
    return to.hash;
}
