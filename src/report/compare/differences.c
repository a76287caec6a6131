#include "report/compare/differences.h"

#include "report/compare/sameness.h"
#include "report/read/allow.h"

#include <string.h>

static void add_once(text_buffer *list, const char *names) {
    size_t length = strcspn(names, "|");
    if (!list->bytes || !allow_list_holds(list->bytes, names, length))
        text_add(list, "%s%.*s", list->length ? "," : "", (int)length, names);
}

/* Where it stands, for an addition of "X is A in RUN but B in RUN". */
static text_buffer *place_for(differences *self, const char *allow, const char *names) {
    bool allowed = allow_holds_any(allow, names);
    self->count++;
    if (!allowed)
        add_once(&self->mend, names);
    text_buffer *out = allowed ? &self->allowed : &self->refused;
    text_add(out, "%s", out->length ? "; " : "");
    return out;
}

static const char *or_not_given(const char *value) {
    return value[0] ? value : "not given";
}

void differences_add(differences *self, const char *allow, const char *name, const char *what,
                     const char *a, const configuration *of_a, const char *b,
                     const configuration *of_b) {
    text_buffer *out = place_for(self, allow, name);
    text_add(out, "%s is %s in ", what, or_not_given(a));
    configuration_add_runs(out, of_a);
    text_add(out, " but %s in ", or_not_given(b));
    configuration_add_runs(out, of_b);
}

static void find_rule(differences *self, const column *rule, const configuration *baseline,
                      const configuration *other, const char *allow) {
    text_buffer a = {0}, b = {0};
    if (rule->compared == COMPARED_SEEDS) {
        configuration_add_seeds(&a, baseline);
        configuration_add_seeds(&b, other);
    } else {
        sameness_add_value(&a, baseline->runs[0], rule);
        sameness_add_value(&b, other->runs[0], rule);
    }
    self->refused.failed |= a.failed || b.failed;
    if (!self->refused.failed && !sameness_agrees(rule, a.bytes, b.bytes))
        differences_add(self, allow, rule->allow, rule->called, a.bytes, baseline, b.bytes, other);
    text_free(&a);
    text_free(&b);
}

/* The first run whose clocks were held back, or were not; NULL where none is known to be so. */
static const finished_run *first_run(const configuration *self, const column *rule,
                                     bool held_back) {
    for (size_t index = 0; index < self->count; index++) {
        const char *reasons = finished_run_text(self->runs[index], rule->name);
        if (reasons[0] && (strcmp(reasons, "none") != 0) == held_back)
            return self->runs[index];
    }
    return NULL;
}

static const finished_run *first_of_both(const configuration *a, const configuration *b,
                                         const column *rule, bool held_back) {
    const finished_run *run = first_run(a, rule, held_back);
    return run ? run : first_run(b, rule, held_back);
}

/* Where some runs of the two are known to have been throttled and some are known not to. */
static void find_throttling(differences *self, const column *rule, const configuration *baseline,
                            const configuration *other, const char *allow) {
    const finished_run *held = first_of_both(baseline, other, rule, true);
    const finished_run *free_running = first_of_both(baseline, other, rule, false);
    if (held && free_running)
        text_add(place_for(self, allow, rule->allow), "%s are none in %s but %s in %s",
                 rule->called, free_running->folder, finished_run_text(held, rule->name),
                 held->folder);
}

void differences_find(differences *self, const configuration *baseline, const configuration *other,
                      const char *allow) {
    const column *rule;
    for (sameness_cursor at = {0}; (rule = sameness_next(&at));)
        if (rule->compared == COMPARED_ALL_OR_NONE)
            find_throttling(self, rule, baseline, other, allow);
        else
            find_rule(self, rule, baseline, other, allow);
}

void differences_free(differences *self) {
    text_free(&self->refused);
    text_free(&self->mend);
    text_free(&self->allowed);
}
