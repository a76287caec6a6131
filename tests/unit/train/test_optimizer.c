/* Schedules against torch.optim.lr_scheduler's rates (PyTorch 2.9, printed to nine digits), what
 * the table of a run holds, and options that belong elsewhere. */
#include "../check.h"
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 20, STEPS_AN_EPOCH = 4 };

typedef struct settings {
    optimizer_settings optimizer;
    schedule_settings schedule;
} settings;

static option_group groups[32];
static command options = {.name = "test", .usage = "", .groups = groups};

static int gather(ls_error *error) {
    option_groups list = {groups, sizeof groups / sizeof groups[0]};
    LS_TRY(optimizer_add_options(&list, offsetof(settings, optimizer), error));
    return schedule_add_options(&list, offsetof(settings, schedule), error);
}

enum { MOST_WORDS = 16 };

/* Of a command line. */
static int parse(const char *line, settings *out, ls_error *error) {
    static char text[256];
    char *words[MOST_WORDS] = {"test"}, *rest = text;
    int count = 1;
    operands operands;
    snprintf(text, sizeof text, "%s", line);
    memset(out, 0, sizeof *out);
    while (count < MOST_WORDS && (words[count] = strtok_r(rest, " ", &rest)))
        count++;
    return option_parse(&options, count, words, out, &operands, error);
}

static int rates_of(const char *line, int64_t epochs, rate_table *out, ls_error *error) {
    settings found;
    LS_TRY(parse(line, &found, error));
    LS_TRY(schedule_check(&found.schedule, error));
    return schedule_rates(&found.schedule, found.optimizer.learning_rate, epochs, STEPS_AN_EPOCH,
                          out, error);
}

typedef struct golden {
    const char *line;
    double rates[STEPS];
} golden;

static const golden goldens[] = {
    /* StepLR by epoch */
    {"--learning-rate 0.4 --schedule step --step-epochs 2 --step-gamma 0.5",
     {0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.2, 0.2,
      0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1}},
    /* CosineAnnealingLR(20, 0.1) */
    {"--learning-rate 0.4 --schedule cosine --least-learning-rate 0.1",
     {0.4,         0.398153251, 0.392658477, 0.383650979, 0.371352549, 0.356066017, 0.338167788,
      0.318098575, 0.296352549, 0.27346517,  0.25,        0.22653483,  0.203647451, 0.181901425,
      0.161832212, 0.143933983, 0.128647451, 0.116349021, 0.107341523, 0.101846749}},
    /* OneCycleLR(0.4, total_steps=20, cycle_momentum=False) */
    {"--learning-rate 0.4 --schedule one-cycle",
     {0.016,       0.0526687371, 0.148668737, 0.267331263,  0.363331263,   0.4,       0.394985602,
      0.380193853, 0.356366471,  0.324698262, 0.286777201,  0.244504809,   0.2000008, 0.155496791,
      0.113224399, 0.0753033384, 0.043635129, 0.0198077472, 0.00501599751, 1.6e-06}},
    /* the same with pct_start=0.5, div_factor=10, final_div_factor=100 */
    {"--learning-rate 0.4 --schedule one-cycle --one-cycle-rise 0.5 --one-cycle-first-divisor 10 "
     "--one-cycle-last-divisor 100",
     {0.04,     0.0508553283, 0.0821120002, 0.13,         0.188743328, 0.251256672, 0.31,
      0.357888, 0.389144672,  0.4,          0.390221092,  0.361841595, 0.317639493, 0.261941595,
      0.2002,   0.138458405,  0.0827605066, 0.0385584045, 0.010178908, 0.0004}},
    /* SequentialLR of LinearLR(0.01, 1, 6) and CosineAnnealingLR(14) */
    {"--learning-rate 0.4 --schedule cosine --warmup-steps 6",
     {0.004,       0.07,        0.136,        0.202,        0.268,        0.334,        0.4,
      0.394985582, 0.380193774, 0.356366296,  0.32469796,   0.286776748,  0.244504187,  0.2,
      0.155495813, 0.113223252, 0.0753020396, 0.0436337035, 0.0198062264, 0.00501441756}},
    {"--learning-rate 0.4 --schedule cosine --warmup-epochs 1.5",
     {0.004,       0.07,        0.136,        0.202,        0.268,        0.334,        0.4,
      0.394985582, 0.380193774, 0.356366296,  0.32469796,   0.286776748,  0.244504187,  0.2,
      0.155495813, 0.113223252, 0.0753020396, 0.0436337035, 0.0198062264, 0.00501441756}},
};

static void compare(const golden *want) {
    ls_error error = {0};
    rate_table table = {0};
    CHECK(rates_of(want->line, STEPS / STEPS_AN_EPOCH, &table, &error) == LS_OK, "%s", error.text);
    CHECK(table.count == STEPS, "%lld rates", (long long)table.count);
    for (int step = 0; step < table.count && step < STEPS; step++)
        /* nine digits, and the rounding to fp32 */
        CHECK(fabs((double)table.rates[step] - want->rates[step]) <=
                  0.5e-8 * want->rates[step] + 0x1p-24 * want->rates[step],
              "step %d: %.9g, PyTorch's %.9g", step, (double)table.rates[step], want->rates[step]);
    free(table.rates);
    check_case(want->line);
}

static void constant_is_one_entry(void) {
    ls_error error = {0};
    rate_table table = {0};
    CHECK(rates_of("--learning-rate 0.1", 1000, &table, &error) == LS_OK, "%s", error.text);
    CHECK(table.count == 1 && table.rates[0] == 0.1f, "%lld entries, the first %g",
          (long long)table.count, (double)table.rates[0]);
    free(table.rates);
    CHECK(rates_of("--warmup-steps 2 --warmup-start 0.5 --learning-rate 1", 1000, &table, &error) ==
              LS_OK,
          "%s", error.text);
    CHECK(table.count == 3 && table.rates[0] == 0.5f && table.rates[1] == 0.75f &&
              table.rates[2] == 1,
          "%lld entries", (long long)table.count);
    free(table.rates);
    check_case("a constant rate takes one entry, after its warm-up");
}

static void refused(const char *line, int64_t epochs, const char *why) {
    ls_error error = {0};
    rate_table table = {0};
    settings found;
    optimizer made;
    int status = parse(line, &found, &error);
    if (status == LS_OK)
        status = optimizer_create(&made, &found.optimizer, false, &error);
    if (status == LS_OK)
        status = rates_of(line, epochs, &table, &error);
    CHECK(status == LS_BAD_INPUT && strstr(error.text, why), "%d: %s", status, error.text);
    CHECK(!strchr(error.text, '\n'), "more than one line");
    check_case(line);
}

static void refusals(void) {
    refused("--momentum 0.9", 5, "--momentum belongs to --optimizer sgd");
    refused("--optimizer adamw --nesterov", 5, "--nesterov belongs to --optimizer sgd");
    refused("--optimizer sgd --beta1 0.8", 5, "--beta1 belongs to --optimizer adam");
    refused("--optimizer sgd --nesterov", 5, "--momentum 0.9");
    refused("--step-gamma 0.5", 5, "--step-gamma belongs to --schedule step");
    refused("--schedule cosine --one-cycle-rise 0.5", 5, "belongs to --schedule one-cycle");
    refused("--schedule one-cycle --warmup-steps 3", 5, "warm-up of its own");
    refused("--warmup-steps 3 --warmup-epochs 1", 5, "contradict");
    refused("--clip-norm 1 --clip-value 1", 5, "contradict");
    refused("--warmup-steps 20", 5, "leaves nothing");
    refused("--schedule cosine", (int64_t)1 << 27, "--epochs");
}

static void accepted(void) {
    static const char *const lines[] = {"--optimizer adamw --beta1 0.8 --weight-decay 0.05",
                                        "--optimizer sgd --momentum 0.9 --nesterov"};
    for (size_t index = 0; index < sizeof lines / sizeof lines[0]; index++) {
        ls_error error = {0};
        settings found;
        optimizer made;
        CHECK(parse(lines[index], &found, &error) == LS_OK, "%s", error.text);
        CHECK(optimizer_create(&made, &found.optimizer, false, &error) == LS_OK, "%s", error.text);
        CHECK(optimizer_moments(&made) == (index == 0 ? 2 : 1), "%d moments",
              optimizer_moments(&made));
        CHECK(isnan(optimizer_momentum(&made)) == (index == 0), "a momentum of %g",
              optimizer_momentum(&made));
        check_case(lines[index]);
    }
}

int main(void) {
    ls_error error = {0};
    if (gather(&error) != LS_OK) {
        printf("Bail out! %s\n", error.text);
        return 1;
    }
    for (size_t index = 0; index < sizeof goldens / sizeof goldens[0]; index++)
        compare(&goldens[index]);
    constant_is_one_entry();
    refusals();
    accepted();
    return check_done();
}
