/* The CNN's training steps on a device against PyTorch's, tensor by tensor: losses, the first
 * step's gradients, the parameters after the first step and after the last.
 *
 *   golden_step FILE DEVICE (FILE from golden_step.py) */
#include "../unit/check.h"
#include "cnn_step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGE = CNN_HEIGHT * CNN_WIDTH * CNN_CHANNELS };

typedef struct golden {
    int32_t batch, steps;
    int64_t count;
    uint8_t *images;
    int32_t *labels;
    float *initial, *gradients, *after_first, *after_last;
    double *losses;
} golden;

static void must(int status, const ls_error *error) {
    if (status == LS_OK)
        return;
    printf("Bail out! %s\n", error->text);
    exit(1);
}

static void *read_array(FILE *file, size_t bytes) {
    void *made = malloc(bytes);
    if (!made || fread(made, 1, bytes, file) != bytes) {
        printf("Bail out! the golden file is too short\n");
        exit(1);
    }
    return made;
}

static golden read_golden(const char *path) {
    golden self;
    FILE *file = fopen(path, "rb");
    if (!file) {
        printf("Bail out! %s cannot be opened\n", path);
        exit(1);
    }
    int32_t *sizes = read_array(file, 8);
    int64_t *count = read_array(file, 8);
    self.batch = sizes[0], self.steps = sizes[1], self.count = *count;
    size_t flat = (size_t)self.count * sizeof(float);
    self.images = read_array(file, (size_t)self.batch * IMAGE);
    self.labels = read_array(file, (size_t)self.batch * sizeof(int32_t));
    self.initial = read_array(file, flat), self.gradients = read_array(file, flat);
    self.after_first = read_array(file, flat), self.after_last = read_array(file, flat);
    self.losses = read_array(file, (size_t)self.steps * sizeof(double));
    fclose(file), free(sizes), free(count);
    return self;
}

static void golden_free(golden *self) {
    free(self->images), free(self->labels), free(self->initial), free(self->gradients);
    free(self->after_first), free(self->after_last), free(self->losses);
}

/* Gradients: the norm of the difference over PyTorch's norm, and no element further off than that
 * many of the largest. Both sum in fp32, over up to 4,096 products here, and Winograd's transforms
 * round on their way: 2e-6 was seen. */
static const double ROUNDING = 1e-5;

static double largest_of(const float *values, size_t count) {
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)values[i]));
    return largest;
}

static void compare_gradients(const char *name, const float *got, const float *want, size_t count) {
    double largest = largest_of(want, count), worst = 0, squares = 0, difference = 0;
    for (size_t i = 0; i < count; i++) {
        double apart = (double)got[i] - (double)want[i];
        worst = fmax(worst, fabs(apart));
        difference += apart * apart;
        squares += (double)want[i] * (double)want[i];
    }
    printf("# %s: gradients differ by %.2g of their norm, at most by %.2g of the largest\n", name,
           sqrt(difference / squares), worst / largest);
    CHECK(largest > 0, "%s has no gradient", name);
    CHECK(difference <= ROUNDING * ROUNDING * squares, "%s", name);
    CHECK(worst <= ROUNDING * largest, "%s", name);
}

/* A step of Adam goes up to a learning rate (1e-3) in the sign of the gradient, whatever its size.
 * So where PyTorch's first gradient stands above what rounding may be, all parameters must be
 * within a hundredth of a step for each step done. Below, rounding decides on a whole step, as
 * Winograd's does where the gradient is exactly 0: there they must be no further apart than two
 * trainings can get, and no more than 1% of the tensor apart at all (0.3% was seen). */
static void compare_parameters(const char *name, const float *got, const float *want,
                               const float *gradients, size_t count, int steps) {
    const double rate = 1e-3, close = 0.01 * rate * steps;
    const double apart_at_most = 2 * 1.01 * rate * steps; /* a step's mean over its root: 1.004 */
    double least = ROUNDING * largest_of(gradients, count), farthest = 0;
    size_t wrong = 0, small = 0, small_apart = 0;
    for (size_t i = 0; i < count; i++) {
        double apart = fabs((double)got[i] - (double)want[i]);
        bool is_small = fabs((double)gradients[i]) <= least;
        wrong += !(apart <= (is_small ? apart_at_most : close));
        small += is_small;
        small_apart += is_small && !(apart <= close);
        farthest = is_small ? fmax(farthest, apart) : farthest;
    }
    printf(
        "# %s: after %d step(s) %zu of %zu are wrong; of %zu of next to no gradient %zu are apart, "
        "by up to %.2g steps\n",
        name, steps, wrong, count, small, small_apart, farthest / rate);
    CHECK(wrong == 0, "%s", name);
    CHECK((double)small_apart <= 0.01 * (double)count, "%s", name);
}

static void each_tensor(const graph *graph, const golden *want, const float *gradients,
                        const float *after_first, const float *after_last) {
    for (int record = 0; record < graph->record_count; record++) {
        const graph_parameter *of = &graph->parameters[record];
        if (!of->trained)
            continue;
        size_t first = of->first;
        compare_gradients(of->name, gradients + first, want->gradients + first, of->count);
        compare_parameters(of->name, after_first + first, want->after_first + first,
                           want->gradients + first, of->count, 1);
        compare_parameters(of->name, after_last + first, want->after_last + first,
                           want->gradients + first, of->count, want->steps);
        check_case(of->name);
    }
}

static float *read_flat(cnn_step *step, store_kind kind) {
    ls_error error = {0};
    float *out = calloc(step->graph.parameter_count, sizeof *out);
    if (!out)
        abort();
    must(cnn_step_read(step, kind, out, &error), &error);
    return out;
}

static void run_step(cnn_step *step, const golden *want, int number) {
    ls_error error = {0};
    loss_totals totals;
    must(cnn_step_run(step, want->images, want->labels, &error), &error);
    must(cnn_step_take_totals(step, &totals, &error), &error);
    double loss = totals.loss_sum / want->batch;
    printf("# step %d: loss %.7f, PyTorch's %.7f\n", number + 1, loss, want->losses[number]);
    /* The first differs by rounding only; later ones by what the parameters are apart. */
    CHECK(fabs(loss - want->losses[number]) <= (number ? 1e-3 : 1e-5) * want->losses[number],
          "step %d", number + 1);
}

int main(int argc, char **argv) {
    static cnn_step step;
    ls_error error = {0};
    if (argc != 3) {
        fprintf(stderr, "golden_step: expected FILE and DEVICE\n");
        return 2;
    }
    golden want = read_golden(argv[1]);
    must(cnn_step_open(&step, argv[2], PRECISION_FP32, 1, want.batch, &error), &error);
    CHECK((int64_t)step.graph.parameter_count == want.count, "%zu parameters, PyTorch has %lld",
          step.graph.parameter_count, (long long)want.count);
    must(cnn_step_load(&step, want.initial, &error), &error);
    run_step(&step, &want, 0);
    float *gradients = read_flat(&step, STORE_GRADIENTS);
    float *after_first = read_flat(&step, STORE_PARAMETERS);
    for (int number = 1; number < want.steps; number++)
        run_step(&step, &want, number);
    float *after_last = read_flat(&step, STORE_PARAMETERS);
    check_case("losses");
    each_tensor(&step.graph, &want, gradients, after_first, after_last);
    free(gradients), free(after_first), free(after_last);
    cnn_step_close(&step);
    golden_free(&want);
    return check_done();
}
