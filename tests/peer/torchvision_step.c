/* A training step of a model on a device against torchvision's, tensor by tensor: logits and loss,
 * each parameter's gradient, the running statistics after it, and the logits of an evaluation with
 * these. Of each the norm of the difference over the norm of torchvision's.
 *
 *   torchvision_step MODEL WEIGHTS FILE DEVICE (both files from resnet_step.py or vit_step.py) */
#include "../unit/check.h"
#include "cnn_step.h"
#include "model/state_dict.h"
#include "safetensors/safetensors.h"
#include "weights/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double ALLOWED = 1e-4;

static ls_error error;

static void must(int status) {
    if (status == LS_OK)
        return;
    printf("Bail out! %s\n", error.text);
    exit(1);
}

static void *memory(size_t bytes) {
    void *made = calloc(1, bytes + 1);
    if (!made)
        abort();
    return made;
}

static const safetensors_tensor *tensor_of(const safetensors *file, const char *kind,
                                           const char *name) {
    char whole[160];
    snprintf(whole, sizeof whole, "%s%s", kind, name);
    const safetensors_tensor *found = safetensors_find(file, whole);
    if (!found) {
        printf("Bail out! no tensor %s\n", whole);
        exit(1);
    }
    return found;
}

static float *floats_of(const safetensors *file, const char *kind, const char *name) {
    const safetensors_tensor *tensor = tensor_of(file, kind, name);
    float *out = memory((size_t)tensor->elements * sizeof *out);
    must(safetensors_read_floats(file, tensor, out, &error));
    return out;
}

typedef struct worst {
    double apart;
    char name[128];
} worst;

static double sum_of_squares(const float *values, size_t count) {
    double total = 0;
    for (size_t i = 0; i < count; i++)
        total += (double)values[i] * (double)values[i];
    return total;
}

/* Of the norm of `want`, or of `least` where that is more. */
static void compare(const char *name, const float *got, const float *want, size_t count,
                    double least, worst *worst) {
    double difference = 0, norm = fmax(sqrt(sum_of_squares(want, count)), least);
    for (size_t i = 0; i < count; i++) {
        double apart = (double)got[i] - (double)want[i];
        difference += apart * apart;
    }
    double apart = sqrt(difference) / norm;
    CHECK(norm > 0, "%s is zero", name);
    CHECK(apart <= ALLOWED, "%s differs by %.2g of its norm", name, apart); /* nor is it NaN */
    if (apart > worst->apart) {
        worst->apart = apart;
        snprintf(worst->name, sizeof worst->name, "%s", name);
    }
}

static void end_case(const char *what, const worst *worst) {
    printf("# %s: at most %.2g of the norm apart, %s\n", what, worst->apart, worst->name);
    check_case(what);
}

/* A hundred-thousandth of the norm of all gradients: what is 0 but for rounding (the shift of a sum
 * that nothing but norms read) is compared with that. */
static double least_norm(const graph *graph, const safetensors *golden) {
    double total = 0;
    for (int record = 0; record < graph->record_count; record++) {
        const graph_parameter *of = &graph->parameters[record];
        if (!of->trained)
            continue;
        float *gradient = floats_of(golden, "grad.", of->name);
        total += sum_of_squares(gradient, of->count);
        free(gradient);
    }
    return 1e-5 * sqrt(total);
}

/* Our array in their order against theirs: all records that are trained, or all that are not. */
static void compare_records(const graph *graph, const safetensors *golden, bool trained,
                            const float *ours, worst *worst) {
    double least = trained ? least_norm(graph, golden) : 0;
    for (int record = 0; record < graph->record_count; record++) {
        const graph_parameter *of = &graph->parameters[record];
        if (of->trained != trained)
            continue;
        float *there = memory(of->count * sizeof *there);
        float *want = floats_of(golden, trained ? "grad." : "after.", of->name);
        state_dict_export(graph, record, ours + of->first, there);
        compare(of->name, there, want, of->count, least, worst);
        free(there), free(want);
    }
}

static void load_weights(cnn_step *step, const char *path) {
    weights_source from;
    const graph *graph = &step->graph;
    float *parameters = memory(graph->parameter_count * sizeof *parameters);
    float *buffers = memory(graph->buffer_count * sizeof *buffers);
    must(weights_source_open(path, &from, &error));
    must(weights_load(graph, &from, (weights_rules){0}, parameters, buffers, NULL, &error));
    must(cnn_step_load(step, parameters, &error));
    must(cnn_step_load_buffers(step, buffers, &error));
    weights_source_close(&from);
    free(parameters), free(buffers);
}

/* Images and labels into the batch, forward, and its logits against theirs of that name. */
static void forward(cnn_step *step, const input_batch *batch, const safetensors *golden,
                    const char *theirs, worst *worst) {
    size_t count = (size_t)step->batch * (size_t)step->model.classes;
    float *logits = memory(count * sizeof *logits), *want = floats_of(golden, "", theirs);
    must(step_clock_begin(step->mode->clock, false, &error));
    must(batch_stage(batch, step->stream, &error));
    must(mode_begin(step->mode, batch, 0, &error));
    must(mode_forward(step->mode, batch, &error));
    must(step->device->is->copy(step->device, step->stream, logits,
                                pass_logits(network_pass(step->network, step->batch)),
                                count * sizeof *logits, COPY_DEVICE_TO_HOST, &error));
    must(step->device->is->stream_synchronize(step->device, step->stream, &error));
    compare(theirs, logits, want, count, 0, worst);
    free(logits), free(want);
}

static void compare_loss(cnn_step *step, const safetensors *golden, worst *worst) {
    loss_totals totals;
    must(cnn_step_take_totals(step, &totals, &error));
    float loss = (float)(totals.loss_sum / step->batch), *want = floats_of(golden, "", "loss");
    printf("# loss %.7f, torchvision's %.7f\n", (double)loss, (double)*want);
    compare("loss", &loss, want, 1, 0, worst);
    free(want);
}

static float *read_array(cnn_step *step, store_kind kind) {
    float *out = memory(store_length(step->mode->store, kind) * sizeof *out);
    must(cnn_step_read(step, kind, out, &error));
    return out;
}

static void run(cnn_step *step, const safetensors *golden, const uint8_t *images,
                const int32_t *labels) {
    worst outputs = {0}, gradients = {0}, statistics = {0};
    input_batch batch = cnn_step_batch(step, (sample_place){.samples = images, .labels = labels});
    optimizer_begin(&step->optimizer, batch.state, batch.loaded);
    forward(step, &batch, golden, "logits", &outputs);
    must(mode_loss(step->mode, &batch, &error));
    must(mode_backward(step->mode, &error));
    must(step->mode->is->finish(step->mode, &error));
    must(step->device->is->stream_synchronize(step->device, step->stream, &error));
    compare_loss(step, golden, &outputs);
    end_case("logits and loss", &outputs);
    float *got = read_array(step, STORE_GRADIENTS);
    compare_records(&step->graph, golden, true, got, &gradients);
    end_case("every gradient", &gradients);
    free(got);
    got = read_array(step, STORE_BUFFERS);
    compare_records(&step->graph, golden, false, got, &statistics);
    end_case("running statistics", &statistics);
    free(got);
}

/* From their weights anew, for the step above updated ours, with their statistics after the step.
 */
static void evaluate(cnn_step *step, const safetensors *golden, const char *weights,
                     const uint8_t *images, const int32_t *labels) {
    worst worst = {0};
    input_batch batch = cnn_step_batch(step, (sample_place){.samples = images, .labels = labels});
    float *statistics = read_array(step, STORE_BUFFERS);
    load_weights(step, weights);
    must(cnn_step_load_buffers(step, statistics, &error));
    batch.training = false;
    forward(step, &batch, golden, "eval", &worst);
    free(statistics);
    statistics = read_array(step, STORE_BUFFERS);
    compare_records(&step->graph, golden, false, statistics, &worst); /* it left them alone */
    end_case("an evaluation with them", &worst);
    free(statistics);
}

int main(int argc, char **argv) {
    static cnn_step step;
    safetensors *golden;
    if (argc != 5) {
        fprintf(stderr, "torchvision_step: expected MODEL, WEIGHTS, FILE and DEVICE\n");
        return 2;
    }
    must(safetensors_open(argv[3], &golden, &error));
    const safetensors_tensor *shape = tensor_of(golden, "", "images");
    int batch = (int)shape->dims[0];
    int classes = (int)tensor_of(golden, "", "logits")->dims[1];
    cnn_step_model model = {argv[1], (int)shape->dims[1], (int)shape->dims[2], (int)shape->dims[3],
                            classes};
    float *pixels = floats_of(golden, "", "images");
    uint8_t *images = memory((size_t)shape->elements);
    int64_t *theirs = memory((size_t)batch * sizeof *theirs);
    int32_t *labels = memory((size_t)batch * sizeof *labels);
    must(safetensors_read_integers(golden, tensor_of(golden, "", "labels"), theirs, &error));
    for (int64_t i = 0; i < shape->elements; i++)
        images[i] = (uint8_t)pixels[i];
    for (int i = 0; i < batch; i++)
        labels[i] = (int32_t)theirs[i];
    must(cnn_step_open_model(&step, &model, argv[4], PRECISION_FP32, 1, batch, "--optimizer sgd",
                             1 << 20, &error));
    load_weights(&step, argv[2]);
    run(&step, golden, images, labels);
    evaluate(&step, golden, argv[2], images, labels);
    cnn_step_close(&step);
    safetensors_close(golden);
    free(pixels), free(images), free(theirs), free(labels);
    return check_done();
}
