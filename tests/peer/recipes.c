/* Optimizers, schedules, clipping, smoothing, accumulation and the moving average against
 * PyTorch's, step by step: the loss of every step, and that of the first batch at the end,
 * evaluated.
 *
 *   recipes FILE DEVICE (FILE from recipes.py) */
#include "../unit/check.h"
#include "cnn_step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGE = CNN_HEIGHT * CNN_WIDTH * CNN_CHANNELS, OPTIONS_BYTES = 256 };

static ls_error error;

static void must(int status) {
    if (status == LS_OK)
        return;
    printf("Bail out! %s\n", error.text);
    exit(1);
}

static void read_into(FILE *file, void *out, size_t bytes) {
    if (fread(out, 1, bytes, file) == bytes)
        return;
    printf("Bail out! the file of recipes is too short\n");
    exit(1);
}

static void *read_array(FILE *file, size_t bytes) {
    void *made = malloc(bytes);
    if (!made)
        abort();
    read_into(file, made, bytes);
    return made;
}

typedef struct peer {
    int32_t batch, batches, steps, recipes;
    int64_t parameters;
    char model[32];
    /* Relative: both sum in fp32, in other orders, and what that changes grows from step to step.
     * PyTorch's own distance between fp32 and float64 is printed beside ours. */
    double tolerance;
    uint8_t *images;
    int32_t *labels;
    float *initial;
} peer;

static peer read_peer(FILE *file) {
    peer self;
    int32_t sizes[4];
    read_into(file, sizes, sizeof sizes);
    self.batch = sizes[0], self.batches = sizes[1], self.steps = sizes[2], self.recipes = sizes[3];
    read_into(file, &self.parameters, sizeof self.parameters);
    read_into(file, self.model, sizeof self.model);
    self.model[sizeof self.model - 1] = '\0';
    read_into(file, &self.tolerance, sizeof self.tolerance);
    size_t images = (size_t)self.batch * (size_t)self.batches;
    self.images = read_array(file, images * IMAGE);
    self.labels = read_array(file, images * sizeof(int32_t));
    self.initial = read_array(file, (size_t)self.parameters * sizeof(float));
    return self;
}

static double mean_loss(cnn_step *step) {
    loss_totals totals;
    must(cnn_step_take_totals(step, &totals, &error));
    return totals.loss_sum / (double)totals.samples;
}

static double apart(double got, double want) {
    return fabs(got - want) / fabs(want);
}

/* want: [steps + 2], the losses of the steps, the evaluated one, PyTorch's own distance. */
static void repeat(const peer *of, const char *device, const char *options, const double *want) {
    static cnn_step step;
    double worst = 0;
    const cnn_step_model model = {of->model, CNN_HEIGHT, CNN_WIDTH, CNN_CHANNELS, CNN_CLASSES};
    must(cnn_step_open_model(&step, &model, device, PRECISION_FP32, 1, of->batch, options,
                             of->steps, &error));
    CHECK((int64_t)step.graph.parameter_count == of->parameters, "%zu parameters, PyTorch has %lld",
          step.graph.parameter_count, (long long)of->parameters);
    must(cnn_step_load(&step, of->initial, &error));
    for (int number = 0; number < of->steps; number++) {
        size_t first = (size_t)(number % of->batches) * (size_t)of->batch;
        must(cnn_step_run(&step, of->images + first * IMAGE, of->labels + first, &error));
        double loss = mean_loss(&step);
        worst = fmax(worst, apart(loss, want[number]));
        CHECK(apart(loss, want[number]) <= of->tolerance, "step %d: loss %.9g, PyTorch's %.9g",
              number + 1, loss, want[number]);
    }
    must(cnn_step_evaluate(&step, of->images, of->labels, &error));
    double last = mean_loss(&step);
    CHECK(apart(last, want[of->steps]) <= of->tolerance, "evaluated: loss %.9g, PyTorch's %.9g",
          last, want[of->steps]);
    printf("# %d steps from a loss of %.4f to %.4f: at most %.2g apart; evaluated %.2g; PyTorch's "
           "fp32 from its float64 %.2g\n",
           of->steps, want[0], want[of->steps - 1], worst, apart(last, want[of->steps]),
           want[of->steps + 1]);
    check_case(options);
    cnn_step_close(&step);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "recipes: expected FILE and DEVICE\n");
        return 2;
    }
    FILE *file = fopen(argv[1], "rb");
    if (!file) {
        printf("Bail out! %s cannot be opened\n", argv[1]);
        return 1;
    }
    peer of = read_peer(file);
    double *losses = calloc((size_t)of.steps + 2, sizeof *losses);
    if (!losses)
        abort();
    for (int recipe = 0; recipe < of.recipes; recipe++) {
        char options[OPTIONS_BYTES];
        read_into(file, options, sizeof options);
        read_into(file, losses, ((size_t)of.steps + 2) * sizeof *losses);
        options[OPTIONS_BYTES - 1] = '\0';
        repeat(&of, argv[2], options, losses);
    }
    free(losses), free(of.images), free(of.labels), free(of.initial);
    fclose(file);
    return check_done();
}
