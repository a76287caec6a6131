/* What a network says of itself: its plans as text, and their hash. */
#include "base/hash.h"
#include "model/network_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One line at out + used, as far as there is room; returns the length with it. */
static size_t add(char *out, size_t capacity, size_t used, const network *self,
                  const graph_layer *layer, int n, const char *kind, const plan *plan) {
    size_t room = used < capacity ? capacity - used : 0;
    return used + (size_t)snprintf(room ? out + used : NULL, room, "%s n=%d%s: %s\n", layer->name,
                                   n, kind, self->device->is->ops->plan_describe(plan));
}

static size_t add_gathered(char *out, size_t capacity, size_t used, const network *self) {
    for (int index = 0; index < self->gathered_count; index++) {
        const gathered_plan *at = &self->gathered[index];
        used = add(out, capacity, used, self, at->layer, at->rows, " gathered", at->plan);
    }
    return used;
}

size_t network_describe(const network *self, char *out, size_t capacity) {
    size_t used = 0;
    if (capacity)
        out[0] = '\0';
    for (int index = 0; index < self->pass_count; index++)
        for (int layer = 0; layer < self->graph->layer_count; layer++) {
            const layer_pass *at = &self->passes[index]->layers[layer];
            if (!at->plan)
                continue;
            used = add(out, capacity, used, self, at->layer, self->passes[index]->n, "", at->plan);
        }
    for (int index = 0; index < self->gathered_count; index++) {
        const gathered_plan *at = &self->gathered[index];
        used = add(out, capacity, used, self, at->layer, at->rows, " gathered", at->plan);
    }
    return used;
}

/* An implementation's name is a word of its own, or follows what it is part of ("gemm:ref:any"). */
static bool names_reference(const char *line) {
    const char *found = strstr(line, "ref:");
    return found && found > line && (found[-1] == ' ' || found[-1] == ':');
}

size_t network_describe_references(const network *self, char *out, size_t capacity) {
    char text[16384], *rest = text;
    size_t used = 0;
    if (capacity)
        out[0] = '\0';
    network_describe(self, text, sizeof text);
    for (char *line = strtok_r(rest, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        size_t room = used < capacity ? capacity - used : 0;
        if (names_reference(line))
            used += (size_t)snprintf(room ? out + used : NULL, room, "%s\n", line);
    }
    return used;
}

/* Leaves out what stands in parentheses, in place. */
static void drop_remarks(char *text) {
    char *to = text;
    int depth = 0;
    for (const char *from = text; *from; from++) {
        depth += *from == '(';
        if (depth == 0)
            *to++ = *from;
        depth -= *from == ')' && depth > 0;
    }
    *to = '\0';
}

/* Over the device's libraries, with their versions and what they use of the processor, and the text
 * of network_describe, without its remarks. */
void network_plan_id(const network *self, char out[17]) {
    char text[16384];
    const char *library = self->device->facts.library;
    network_describe(self, text, sizeof text);
    drop_remarks(text);
    uint64_t hash = hash_bytes(HASH_START, library, strlen(library));
    hash = hash_bytes(hash, text, strlen(text));
    snprintf(out, 17, "%016" PRIx64, hash);
}

uint64_t network_gathered_hash(const network *self) {
    char text[4096] = "";
    add_gathered(text, sizeof text, 0, self);
    drop_remarks(text);
    return hash_bytes(HASH_START, text, strlen(text));
}
