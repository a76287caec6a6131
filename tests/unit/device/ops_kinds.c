/* What a device does with a kind of op that it has not, and with an activation that none fuses. */
#include "device/kinds/join.h"
#include "ops_fixture.h"

#include <string.h>

static const op *const no_kinds[] = {NULL};

/* Of no device. */
static void unknown_kind(subject *s) {
    static const op_kind unknown = {"a kind that nobody has"};
    ls_error error = {0};
    plan *plan = NULL;
    expect(op_prepare(s->device, &unknown, NULL, NULL, &plan, &error) == LS_FAILED && !plan &&
               strstr(error.text, unknown.name) && strstr(error.text, s->device->is->name),
           "said: %s", error.text);
    case_done(s, "a kind that nobody has is refused by name");
}

/* The device without its own kinds: of the host it takes ref's, and its plans say so; else it
 * refuses. */
static void lacking_kind(subject *s) {
    ls_error error = {0};
    device_interface without = *s->device->is;
    device bare = *s->device;
    join_shape shape = {.count = 3, .type = s->type, .activation = ACTIVATION_RELU};
    float a[] = {1, -2, 3}, b[] = {1, 1, -4}, y[3];
    plan *plan = NULL;
    without.kinds = no_kinds;
    bare.is = &without;
    int status = op_prepare(&bare, &op_join, &shape, NULL, &plan, &error);
    if (!s->device->facts.host_addressable) {
        expect(status == LS_FAILED && strstr(error.text, "join") &&
                   strstr(error.text, without.name),
               "said: %s", error.text);
        case_done(s, "a kind that it lacks is refused by name");
        return;
    }
    must(status, &error);
    expect(plan->borrowed && strcmp(plan_describe(plan), "ref:join") == 0, "described: %s",
           plan_describe(plan));
    op_arguments arguments = {.x = {a, b}, .y = y, .training = true};
    must(plan->is->forward(plan, &arguments, &error), &error);
    expect_equal("y", y, (float[]){2, 0, 0}, 3);
    plan_release(plan);
    case_done(s, "a kind that it lacks is ref's, and said to be");
}

static void unfused_activation(subject *s) {
    const struct {
        const op_kind *kind;
        const void *shape;
    } tried[] = {
        {&op_conv2d, &(conv2d_shape){.n = 1,
                                     .height = 4,
                                     .width = 4,
                                     .in_channels = 16,
                                     .out_channels = 16,
                                     .kernel = 3,
                                     .stride = 1,
                                     .padding = 1,
                                     .type = s->type,
                                     .activation = ACTIVATION_GELU}},
        {&op_join, &(join_shape){.count = 4, .type = s->type, .activation = ACTIVATION_GELU}}};
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
        ls_error error = {0};
        plan *plan = NULL;
        expect(op_prepare(s->device, tried[i].kind, tried[i].shape, NULL, &plan, &error) ==
                       LS_FAILED &&
                   !plan && strstr(error.text, "gelu") && strstr(error.text, tried[i].kind->name),
               "%s said: %s", tried[i].kind->name, error.text);
    }
    case_done(s, "an activation that is not fused is refused by name");
}

void test_kinds(subject *s) {
    unknown_kind(s);
    lacking_kind(s);
    unfused_activation(s);
}
