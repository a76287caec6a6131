#include "report_fixture.h"

#include <string.h>

static void change_version(fixture *f) {
    strcpy(f->facts.lockstep_version, "9.9.9");
}
static void change_libraries(fixture *f) {
    f->facts.libraries = "Open MPI 5, HDF5 1";
}
static void change_model(fixture *f) {
    f->facts.model = "resnet18";
}
static void change_init(fixture *f) {
    f->facts.init = "vit-b16";
}
static void change_parameters(fixture *f) {
    f->facts.parameters = 11;
}
static void change_profile(fixture *f) {
    f->facts.profile_steps = 4;
}
static void change_precision(fixture *f) {
    f->facts.precision = "bf16";
}
static void change_grad_comm(fixture *f) {
    f->facts.grad_comm = "bf16";
}
static void change_device(fixture *f) {
    f->facts.device = "ref";
}
static void change_library(fixture *f) {
    f->facts.device_library = "a library 1.3";
}
static void change_device_name(fixture *f) {
    strcpy(f->ranks[1].device, "another CPU");
}
static void change_environment(fixture *f) {
    f->facts.environment = "DNNL_MAX_CPU_ISA=AVX2";
}
static void change_suspension(fixture *f) {
    f->totals.suspended_seconds = 30;
}
static void change_driver(fixture *f) {
    strcpy(f->ranks[0].gpu_uuid, "GPU-1");
    strcpy(f->ranks[0].driver, "580.1");
    strcpy(f->ranks[1].driver, "580.1");
}
static void change_graph(fixture *f) {
    f->facts.graph = "no (--no-graph)";
    f->facts.graph_requested = false;
}
static void change_graph_steps(fixture *f) {
    f->facts.graph_steps = 8;
}
static void change_threads(fixture *f) {
    f->ranks[1].threads = 1;
}
static void change_oversubscription(fixture *f) {
    f->facts.oversubscribed = true;
}
static void change_dataset(fixture *f) {
    strcpy(f->facts.dataset_id, "fedc");
}
static void change_train_images(fixture *f) {
    f->facts.train_images_per_epoch = 999;
}
static void change_test_images(fixture *f) {
    f->facts.test_images = 199;
}
static void change_epochs(fixture *f) {
    f->facts.epochs = 2;
}
static void change_images(fixture *f) {
    f->totals.images = 2999;
}
static void change_seed(fixture *f) {
    f->facts.seed = 8;
}
static void change_optimizer(fixture *f) {
    f->facts.optimizer = "sgd";
}
static void change_learning_rate(fixture *f) {
    f->facts.learning_rate = 2e-3;
}
static void change_momentum(fixture *f) {
    f->facts.momentum = 0.9;
}
static void change_weight_decay(fixture *f) {
    f->facts.weight_decay = 1e-4;
}

static void change_schedule(fixture *f) {
    f->facts.schedule = "cosine to 0";
}
static void change_decay(fixture *f) {
    f->facts.decay = "weights";
}
static void change_clipping(fixture *f) {
    f->facts.clip = "norm at most 1";
}
static void change_average(fixture *f) {
    f->facts.ema = 0.99;
}
static void change_smoothing(fixture *f) {
    f->facts.label_smoothing = 0.1;
}
static void change_dropout(fixture *f) {
    f->facts.dropout = 0.1;
}
static void change_drop_path(fixture *f) {
    f->facts.drop_path = 0.1;
}
static void change_program(fixture *f) {
    strcpy(f->facts.program_hash, "another");
}
static void change_augmentation(fixture *f) {
    f->facts.augment = "crop-flip";
}
static void change_warmup(fixture *f) {
    f->facts.warmup_rule = "none";
}

static void change_lanes(fixture *f) {
    f->facts.strict = true;
    f->facts.lanes = 4;
}
static void change_sync(fixture *f) {
    f->facts.sync_batchnorm = true;
}
static void change_accumulate(fixture *f) {
    f->facts.accumulate = 4;
}
static void change_certificate(fixture *f) {
    f->facts.certificate_version = 1;
    f->facts.certificate_every = 8;
}

const fixture_change fixture_changes[] = {
    {change_lanes, "strict",
     "strictness is 0 in single but 1 in other; number of lanes is not given in single but 4 in "
     "other"},
    {change_sync, "model", "synchronisation of batch norms is 0 in single but 1 in other"},
    {change_accumulate, "accumulate",
     "number of micro-batches is not given in single but 4 in other"},
    {change_certificate, "certificate",
     "steps between hashes is not given in single but 8 in other"},
    {change_version, "version", "lockstep's version is 0.0.0-test in single but 9.9.9 in other"},
    {change_program, "version",
     "hash of the program is fedcba9876543210 in single but another in other"},
    {change_libraries, "libraries",
     "list of libraries is Open MPI 4, HDF5 1 in single but Open MPI 5, HDF5 1 in other"},
    {change_environment, "environment",
     "environment is not given in single but DNNL_MAX_CPU_ISA=AVX2 in other"},
    {change_model, "model", "model is cnn in single but resnet18 in other"},
    {change_parameters, "model", "number of parameters is 4275594 in single but 11 in other"},
    {change_profile, "profile", "number of profiled steps is not given in single but 4 in other"},
    {change_precision, "precision", "precision is fp32 in single but bf16 in other"},
    {change_grad_comm, "grad-comm",
     "type of exchanged gradients is fp32 in single but bf16 in other"},
    {change_device, "device", "device is cpu in single but ref in other"},
    {change_library, "device",
     "device library is a library 1.2 in single but a library 1.3 in other"},
    {change_device_name, "device",
     "set of devices is a CPU in single but a CPU;another CPU in other"},
    {change_driver, "device", "set of GPU drivers is not given in single but 580.1 in other"},
    {change_graph_steps, "graph",
     "number of steps a CUDA graph is not given in single but 8 in other"},
    {change_graph, "graph", "use of a CUDA graph is not given in single but 0 in other"},
    {change_threads, "threads", "number of threads a rank is 2 in single but 1;2 in other"},
    {change_oversubscription, "oversubscription", "oversubscription is 0 in single but 1 in other"},
    {change_dataset, "data", "data set id is 0123456789abcdef in single but fedc in other"},
    {change_train_images, "images", "number of images an epoch is 1000 in single but 999 in other"},
    {change_test_images, "images", "number of test images is 200 in single but 199 in other"},
    {change_epochs, "epochs", "number of epochs is 3 in single but 2 in other"},
    {change_images, "epochs", "number of images trained on is 3000 in single but 2999 in other"},
    {change_augmentation, "augmentation", "augmentation is none in single but crop-flip in other"},
    {change_seed, "seeds", "set of seeds is 7 in single but 8 in other"},
    {change_optimizer, "optimizer", "optimizer is adam in single but sgd in other"},
    {change_learning_rate, "optimizer", "learning rate is 0.001 in single but 0.002 in other"},
    {change_momentum, "optimizer", "momentum is not given in single but 0.9 in other"},
    {change_weight_decay, "optimizer", "weight decay is 0 in single but 0.0001 in other"},
    {change_schedule, "optimizer", "schedule is not given in single but cosine to 0 in other"},
    {change_decay, "optimizer", "decay is not given in single but weights in other"},
    {change_clipping, "optimizer", "clipping is not given in single but norm at most 1 in other"},
    {change_init, "model", "initial weights is not given in single but vit-b16 in other"},
    {change_average, "optimizer", "moving average is not given in single but 0.99 in other"},
    {change_smoothing, "optimizer", "label smoothing is not given in single but 0.1 in other"},
    {change_dropout, "model", "dropout is not given in single but 0.1 in other"},
    {change_drop_path, "model", "stochastic depth is not given in single but 0.1 in other"},
    {change_warmup, "warm-up",
     "warm-up rule is 2 steps of each batch size in single but none in other"},
    {change_suspension, "suspended", "it did not run for 30.0 s of its training time"},
    {NULL, NULL, NULL},
};
