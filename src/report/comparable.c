#include "report/comparable.h"

#include <stdlib.h>
#include <string.h>

typedef enum {
    SAME_VALUE,
    SAME_SET,         /* a value a rank, with semicolons between: the same ones, however often */
    SAME_SET_ON_HOST, /* as SAME_SET, where the host's threads do the computing */
    SAME_VERSIONS,    /* "Name version, Name version": what both name has one version */
    /* These may differ between the repeats of a configuration: */
    SAME_SEEDS, /* all repeats together have the same ones */
    ALL_OR_NONE /* clocks were held back in all runs or in none */
} sameness;

/* What makes two runs the same work on the same kind of machine. */
static const struct {
    const char *column;
    const char *allow; /* the names of which one lets it differ: "a|b" */
    const char *name;  /* for the line that says what differs */
    sameness rule;
    const char *missing; /* what a summary of an older version, without the column, stands for */
} rules[] = {
    {"lockstep_version", "version", "lockstep's version", SAME_VALUE, ""},
    {"program_hash", "version", "hash of the program", SAME_VALUE, ""},
    {"libraries", "libraries", "list of libraries", SAME_VERSIONS, ""},
    {"environment", "environment", "environment", SAME_VALUE, ""},
    {"model", "model", "model", SAME_VALUE, ""},
    {"parameters", "model", "number of parameters", SAME_VALUE, ""},
    {"precision", "precision", "precision", SAME_VALUE, ""},
    {"grad_comm", "grad-comm", "type of exchanged gradients", SAME_VALUE, ""},
    {"strict", "strict", "strictness", SAME_VALUE, "0"},
    {"lanes", "strict", "number of lanes", SAME_VALUE, ""},
    {"device", "device", "device", SAME_VALUE, ""},
    {"device_library", "device", "device library", SAME_VALUE, ""},
    {"rank_devices", "device", "set of devices", SAME_SET, ""},
    {"rank_gpu_drivers", "device", "set of GPU drivers", SAME_SET, ""},
    {"graph_requested", "graph", "use of a CUDA graph", SAME_VALUE, ""},
    {"rank_threads", "threads", "number of threads a rank", SAME_SET_ON_HOST, ""},
    {"oversubscribed", "oversubscription", "oversubscription", SAME_VALUE, ""},
    {"dataset_id", "data", "data set id", SAME_VALUE, ""},
    {"train_images_per_epoch", "images", "number of images an epoch", SAME_VALUE, ""},
    {"test_images", "images", "number of test images", SAME_VALUE, ""},
    {"epochs", "epochs", "number of epochs", SAME_VALUE, ""},
    {"images", "epochs|images", "number of images trained on", SAME_VALUE, ""},
    {"augment", "augmentation", "augmentation", SAME_VALUE, ""},
    {"seed", "seeds", "set of seeds", SAME_SEEDS, ""},
    {"optimizer", "optimizer", "optimizer", SAME_VALUE, ""},
    {"learning_rate", "optimizer", "learning rate", SAME_VALUE, ""},
    {"momentum", "optimizer", "momentum", SAME_VALUE, ""},
    {"weight_decay", "optimizer", "weight decay", SAME_VALUE, ""},
    {"warmup_rule", "warm-up", "warm-up rule", SAME_VALUE, ""},
    {"certificate_every", "certificate", "steps between hashes", SAME_VALUE, ""},
    {"profile_steps", "profile", "number of profiled steps", SAME_VALUE, ""},
    {"gpu_clocks_held_back_by", "throttling", "throttled clocks", ALL_OR_NONE, ""},
};
enum { RULES = sizeof rules / sizeof rules[0] };

static bool is_on_host(const finished_run *run) {
    return strcmp(finished_run_text(run, "device"), "cuda") != 0;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum { LARGEST_SET = 4096 };

/* "b;a;b" as "a;b". Ranks beyond LARGEST_SET stay unsorted: never merged, so never called equal
 * by mistake. */
static void add_set(text_buffer *out, const char *list) {
    char *copy = strdup(list);
    char **values = copy ? calloc(LARGEST_SET, sizeof *values) : NULL;
    out->failed |= !values;
    size_t count = 0;
    char *rest = copy;
    while (values && rest && count < LARGEST_SET - 1)
        values[count++] = strsep(&rest, ";");
    if (values)
        qsort(values, count, sizeof *values, by_text);
    for (size_t index = 0; values && index < count; index++)
        if (index == 0 || strcmp(values[index], values[index - 1]) != 0)
            text_add(out, "%s%s", index ? ";" : "", values[index]);
    if (rest)
        text_add(out, ";%s", rest);
    free(values);
    free(copy);
}

/* What a rule compares of one run, where that is one text. */
static void add_value(text_buffer *out, const finished_run *run, size_t rule) {
    const char *value = csv_get(&run->summary, 0, rules[rule].column);
    bool set = rules[rule].rule == SAME_SET || rules[rule].rule == SAME_SET_ON_HOST;
    if (!value)
        value = rules[rule].missing;
    if (rules[rule].rule == SAME_SET_ON_HOST && !is_on_host(run))
        text_add(out, "%s", "");
    else if (set)
        add_set(out, value);
    else
        text_add(out, "%s", value);
}

/* The part of "Name 1.2, Other 3.4" that begins at `list` and ends before the comma. */
static size_t entry_length(const char *list) {
    const char *comma = strstr(list, ", ");
    return comma ? (size_t)(comma - list) : strlen(list);
}

/* The length of an entry's name: all but its last word. */
static size_t name_length(const char *entry, size_t length) {
    while (length > 0 && entry[length - 1] != ' ')
        length--;
    return length;
}

/* A run that was started alone has no MPI to name: only libraries that both used can differ. */
static bool same_versions(const char *a, const char *b) {
    for (; *a; a += entry_length(a), a += *a ? 2 : 0) {
        size_t length_a = entry_length(a), name = name_length(a, length_a);
        for (const char *at = b; *at; at += entry_length(at), at += *at ? 2 : 0) {
            size_t length_b = entry_length(at);
            bool same_name =
                name > 0 && name_length(at, length_b) == name && memcmp(a, at, name) == 0;
            if (same_name && (length_a != length_b || memcmp(a, at, length_a) != 0))
                return false;
        }
    }
    return true;
}

static bool agree(size_t rule, const char *a, const char *b) {
    return rules[rule].rule == SAME_VERSIONS ? same_versions(a, b) : strcmp(a, b) == 0;
}

/* ---- names of --allow */

/* "a, b" or "a,b": is one of the words `name`? */
static bool list_holds(const char *list, const char *name, size_t length) {
    while (*list) {
        size_t word = strcspn(list, ", |");
        if (word == length && memcmp(list, name, length) == 0)
            return true;
        list += word;
        list += strspn(list, ", |");
    }
    return false;
}

bool allow_holds(const char *list, const char *name) {
    return list && list_holds(list, name, strlen(name));
}

int allow_check(const char *list, ls_error *error) {
    const char *word = list;
    while (word) {
        size_t length = strcspn(word, ",");
        if (length == 0 || !list_holds(COMPARABLE_NAMES, word, length))
            return ls_fail(error, LS_BAD_INPUT, "--allow: expected some of %s; found '%.*s'",
                           COMPARABLE_NAMES, (int)(length < 80 ? length : 80), word);
        word = word[length] ? word + length + 1 : NULL;
    }
    return LS_OK;
}

/* Some name of "a|b" is in the list. */
static bool is_allowed(const char *list, const char *names) {
    for (;;) {
        size_t length = strcspn(names, "|");
        if (list && list_holds(list, names, length))
            return true;
        if (!names[length])
            return false;
        names += length + 1;
    }
}

/* ---- differences */

void comparable_add_key(text_buffer *out, const finished_run *run) {
    for (size_t rule = 0; rule < RULES; rule++) {
        if (rules[rule].rule != SAME_SEEDS && rules[rule].rule != ALL_OR_NONE)
            add_value(out, run, rule);
        text_add(out, "\x1f");
    }
}

void comparable_add_traits(text_buffer *out, const finished_run *run, const finished_run *other) {
    for (size_t rule = 0; rule < RULES; rule++) {
        text_buffer a = {0}, b = {0};
        add_value(&a, run, rule);
        add_value(&b, other, rule);
        out->failed |= a.failed || b.failed;
        bool own = rules[rule].rule != SAME_SEEDS && rules[rule].rule != ALL_OR_NONE;
        if (!out->failed && own && !agree(rule, a.bytes, b.bytes))
            text_add(out, "; %s %s", rules[rule].name, a.bytes[0] ? a.bytes : "-");
        text_free(&a);
        text_free(&b);
    }
}

static void add_once(text_buffer *list, const char *names) {
    size_t length = strcspn(names, "|");
    if (!list->bytes || !list_holds(list->bytes, names, length))
        text_add(list, "%s%.*s", list->length ? "," : "", (int)length, names);
}

/* Where it stands, for an addition of "X is A in RUN but B in RUN". */
static text_buffer *place_for(differences *self, const char *allow, const char *names) {
    bool allowed = is_allowed(allow, names);
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

void comparable_add_seeds(text_buffer *out, const configuration *self) {
    text_buffer list = {0};
    for (size_t index = 0; index < self->count; index++)
        text_add(&list, "%s%s", index ? ";" : "", finished_run_text(self->runs[index], "seed"));
    if (list.bytes)
        add_set(out, list.bytes);
    out->failed |= list.failed;
    text_free(&list);
}

static void find_rule(differences *self, size_t rule, const configuration *baseline,
                      const configuration *other, const char *allow) {
    text_buffer a = {0}, b = {0};
    if (rules[rule].rule == SAME_SEEDS) {
        comparable_add_seeds(&a, baseline);
        comparable_add_seeds(&b, other);
    } else {
        add_value(&a, baseline->runs[0], rule);
        add_value(&b, other->runs[0], rule);
    }
    self->refused.failed |= a.failed || b.failed;
    if (!self->refused.failed && !agree(rule, a.bytes, b.bytes))
        differences_add(self, allow, rules[rule].allow, rules[rule].name, a.bytes, baseline,
                        b.bytes, other);
    text_free(&a);
    text_free(&b);
}

/* The first run whose clocks were held back, or were not; NULL where none is known to be so. */
static const finished_run *first_run(const configuration *self, size_t rule, bool held_back) {
    for (size_t index = 0; index < self->count; index++) {
        const char *reasons = finished_run_text(self->runs[index], rules[rule].column);
        if (reasons[0] && (strcmp(reasons, "none") != 0) == held_back)
            return self->runs[index];
    }
    return NULL;
}

static const finished_run *first_of_both(const configuration *a, const configuration *b,
                                         size_t rule, bool held_back) {
    const finished_run *run = first_run(a, rule, held_back);
    return run ? run : first_run(b, rule, held_back);
}

/* Where some runs of the two are known to have been throttled and some are known not to. */
static void find_throttling(differences *self, size_t rule, const configuration *baseline,
                            const configuration *other, const char *allow) {
    const finished_run *held = first_of_both(baseline, other, rule, true);
    const finished_run *free_running = first_of_both(baseline, other, rule, false);
    if (held && free_running)
        text_add(place_for(self, allow, rules[rule].allow), "%s are none in %s but %s in %s",
                 rules[rule].name, free_running->folder,
                 finished_run_text(held, rules[rule].column), held->folder);
}

void differences_find(differences *self, const configuration *baseline, const configuration *other,
                      const char *allow) {
    for (size_t rule = 0; rule < RULES; rule++)
        if (rules[rule].rule == ALL_OR_NONE)
            find_throttling(self, rule, baseline, other, allow);
        else
            find_rule(self, rule, baseline, other, allow);
}

void differences_free(differences *self) {
    text_free(&self->refused);
    text_free(&self->mend);
    text_free(&self->allowed);
}
