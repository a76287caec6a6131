#include "doctor/doctor.h"

#include <string.h>

static const char *const levels[] = {"skipped", "ok", "warning", "failure"};

static void add_title(const launch *me, text_buffer *out) {
    text_add(out, "lockstep %s doctor", LOCKSTEP_VERSION);
    if (me)
        text_add(out, ": %d rank%s on %d node%s, started by %s", me->size, me->size == 1 ? "" : "s",
                 me->node_count, me->node_count == 1 ? "" : "s",
                 strcmp(me->launcher, "alone") == 0 ? "hand" : me->launcher);
    text_add(out, "\n");
}

void findings_print(const findings *self, const launch *me, text_buffer *out) {
    add_title(me, out);
    for (int index = 0; index < self->count; index++) {
        const finding *each = &self->list[index];
        text_add(out, "%-8s %-14s %s\n", levels[each->level], each->check, each->found);
        if (each->mend[0])
            text_add(out, "%24s%s\n", "", each->mend);
    }
    int good = self->count - self->skipped - self->warnings - self->failures;
    text_add(out, "%d ok, %d warning%s, %d failure%s, %d skipped (%.2f s)\n", good, self->warnings,
             self->warnings == 1 ? "" : "s", self->failures, self->failures == 1 ? "" : "s",
             self->skipped, self->seconds);
}

static void add_member(text_buffer *out, const char *name, const char *text, const char *after) {
    text_add(out, "\"%s\": ", name);
    text_add_json(out, text);
    text_add(out, "%s", after);
}

void findings_print_json(const findings *self, const launch *me, text_buffer *out) {
    text_add(out, "{");
    add_member(out, "version", LOCKSTEP_VERSION, ", ");
    if (me) {
        add_member(out, "launcher", me->launcher, ", ");
        text_add(out, "\"ranks\": %d, \"nodes\": %d, ", me->size, me->node_count);
    }
    text_add(out, "\"seconds\": %.3f, \"warnings\": %d, \"failures\": %d,\n \"checks\": [",
             self->seconds, self->warnings, self->failures);
    for (int index = 0; index < self->count; index++) {
        const finding *each = &self->list[index];
        text_add(out, "%s\n  {", index ? "," : "");
        add_member(out, "check", each->check, ", ");
        add_member(out, "level", levels[each->level], ", ");
        add_member(out, "found", each->found, ", ");
        add_member(out, "mend", each->mend, "}");
    }
    text_add(out, "]}\n");
}
