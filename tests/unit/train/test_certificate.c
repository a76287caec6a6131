/* What a run certifies (train/certificate.h): the samples that its steps were fed, added up over
 * ranks, and its parameters. `test_certificate` alone; under mpirun it looks for a rank that
 * drifted. The feed is no more than what is read of it. */
#include "../comm/comm_fixture.h"
#include "input/sampler.h"
#include "launch/lifeline.h"
#include "mode/store_memory.h"
#include "report/certify/certify.h"
#include "train/certificate.h"

#include "../check.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IMAGES = 105, BATCH = 24, BATCHES = 5, PARAMETERS = 1000, SEED = 9 };

static device *ref;
static launch here = {.size = 1};

/* One rank's run, as far as a certificate sees it. */
typedef struct subject {
    samples data;
    store *store;
    feed feed;
    step_state state;
    int64_t order[IMAGES]; /* this rank's, batch after batch */
    int64_t start[BATCHES + 1];
    float *parameters; /* the store's */
    step_certificate certificate;
} subject;

/* As rank `rank` of `size` would have it; `resident`: the order lies in device memory. */
static subject *subject_with(int rank, int size, bool resident, int64_t every,
                             const store_settings *held) {
    subject *self = calloc(1, sizeof *self);
    sampler order;
    self->data.facts.samples = IMAGES;
    CHECK(store_create(held, &self->store, &error) == LS_OK &&
              store_hold_whole(self->store, STORE_PARAMETERS, &error) == LS_OK &&
              store_hold_whole(self->store, STORE_BUFFERS, &error) == LS_OK &&
              store_update_whole(self->store, &error) == LS_OK,
          "%s", error.text);
    self->parameters = store_at(self->store, STORE_PARAMETERS, 0, PARAMETERS);
    self->feed = (feed){.data = &self->data, .batches = BATCHES, .host_state = &self->state};
    self->feed.last = IMAGES - (BATCHES - 1) * BATCH;
    self->feed.settings = (feed_settings){
        .rank = rank, .size = size, .global_batch = BATCH, .seed = SEED, .training = true};
    self->feed.order = resident ? self->order : NULL;
    sampler_start(&order, IMAGES, SEED, 1, 1);
    for (int64_t index = 0; index < BATCHES; index++) {
        share mine = share_of(feed_batch_samples(&self->feed, index), rank, size);
        self->start[index + 1] = self->start[index] + mine.count;
        for (int64_t k = 0; k < mine.count; k++)
            self->order[self->start[index] + k] =
                sampler_index(&order, index * BATCH + mine.first + k);
    }
    self->state.cursor = self->start[BATCHES];
    for (int i = 0; i < PARAMETERS; i++)
        self->parameters[i] = (float)i;
    certificate_settings settings = {.rank = here.rank,
                                     .size = here.size,
                                     .control = control,
                                     .device = ref,
                                     .store = self->store,
                                     .feed = &self->feed,
                                     .logs = true,
                                     .every = every,
                                     .folder = "."};
    CHECK(step_certificate_open(&self->certificate, &settings, &error) == LS_OK, "%s", error.text);
    return self;
}

static subject *subject_new(int rank, int size, bool resident, int64_t every) {
    store_settings held = {.device = ref, .parameter_count = PARAMETERS, .rows = 1};
    return subject_with(rank, size, resident, every, &held);
}

/* That keeps an average and buffers too, which hold 1, 2, ... */
static subject *subject_of_more(int64_t every) {
    enum { BUFFERS = 10 };
    store_settings held = {.device = ref,
                           .parameter_count = PARAMETERS,
                           .buffer_count = BUFFERS,
                           .averages = true,
                           .rows = 1};
    subject *self = subject_with(here.rank, here.size, false, every, &held);
    float *average = store_at(self->store, STORE_AVERAGE, 0, PARAMETERS);
    float *buffers = store_at(self->store, STORE_BUFFERS, 0, BUFFERS);
    for (int i = 0; i < PARAMETERS; i++)
        average[i] = (float)(i + 1);
    for (int i = 0; i < BUFFERS; i++)
        buffers[i] = (float)(i + 1);
    return self;
}

static uint64_t hash_of_numbers(uint64_t count) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++)
        sum += fingerprint_term(i, fingerprint_bits((float)(i + 1)));
    return sum;
}

static void subject_free(subject *self) {
    step_certificate_close(&self->certificate);
    store_destroy(self->store);
    free(self);
}

/* An epoch whose step number i adds i to every parameter; `drift`: and 1 more to the last one. */
static int run_epoch(subject *self, int64_t drift, ls_error *error) {
    for (int64_t index = 0; index < BATCHES; index++) {
        input_batch batch = {.loaded = (int)(self->start[index + 1] - self->start[index]),
                             .first = self->start[index],
                             .from.ids = self->order + self->start[index]};
        step_certificate_batch(&self->certificate, index, &batch);
        for (int i = 0; i < PARAMETERS; i++)
            self->parameters[i] += (float)(index + 1);
        self->parameters[PARAMETERS - 1] += index + 1 == drift;
        LS_TRY(step_certificate_step(&self->certificate, index, index + 1, error));
    }
    return step_certificate_epoch(&self->certificate, 1, BATCHES, error);
}

/* The samples' hashes of the whole run are what its ranks' parts add up to, in any number. */
static void test_parts(void) {
    subject *whole = subject_new(0, 1, false, 2);
    CHECK(run_epoch(whole, 0, &error) == LS_OK, "%s", error.text);
    const certificate *want = &whole->certificate.log;
    CHECK(want->steps == BATCHES, "%" PRId64 " steps", want->steps);
    for (int size = 1; size <= 4; size++)
        for (int resident = 0; resident < 2; resident++) {
            uint64_t sums[BATCHES] = {0};
            for (int rank = 0; rank < size; rank++) {
                subject *part = subject_new(rank, size, resident, 2);
                CHECK(run_epoch(part, 0, &error) == LS_OK, "%s", error.text);
                for (int index = 0; index < BATCHES; index++)
                    sums[index] += part->certificate.log.samples[index];
                subject_free(part);
            }
            CHECK(memcmp(sums, want->samples, sizeof sums) == 0,
                  "%d ranks, resident %d: other samples than one rank's", size, resident);
        }
    for (int a = 0; a < BATCHES; a++)
        for (int b = 0; b < a; b++)
            CHECK(want->samples[a] != want->samples[b], "steps %d and %d look alike", a, b);
    subject_free(whole);
    check_case("the ranks' parts add up to the whole, from host and from device memory");
}

static void test_parameters(void) {
    static const int64_t steps[] = {2, 4, 5};
    subject *self = subject_new(0, 1, false, 2);
    CHECK(run_epoch(self, 0, &error) == LS_OK, "%s", error.text);
    const certificate *log = &self->certificate.log;
    CHECK(log->parameter_count == 3, "%zu hashes", log->parameter_count);
    for (size_t k = 0; k < log->parameter_count && k < 3; k++) {
        uint64_t want = 0;
        float added = (float)(steps[k] * (steps[k] + 1) / 2);
        for (uint64_t i = 0; i < PARAMETERS; i++)
            want += fingerprint_term(i, fingerprint_bits((float)i + added));
        CHECK(log->parameters[k].step == steps[k] && log->parameters[k].print.hash == want,
              "hash %zu: after step %" PRId64, k, log->parameters[k].step);
    }
    subject_free(self);
    check_case("parameters every 2 steps and at the end");
}

static void fails(subject *self, const char *text, const char *name) {
    ls_error found = {0};
    CHECK(run_epoch(self, 0, &found) == LS_FAILED && strstr(found.text, text), "found '%s'",
          found.text);
    subject_free(self);
    check_case(name);
}

/* A loader that exchanged two samples of a batch, or gave the same one twice; an order in device
 * memory that another wrote to; steps that did not come to its end. */
static void test_faults(void) {
    subject *self = subject_new(1, 2, false, 0);
    int64_t kept = self->order[13];
    self->order[13] = self->order[14];
    self->order[14] = kept;
    fails(self, "was fed other samples in step 2 of epoch 1", "two samples exchanged");
    self = subject_new(0, 2, false, 0);
    self->order[40] = self->order[0];
    fails(self, "was fed other samples in step 4 of epoch 1", "a sample of another batch");
    self = subject_new(0, 1, true, 0);
    self->order[100] ^= 1;
    fails(self, "was fed other samples in step 5 of epoch 1", "an order that was written to");
    self = subject_new(0, 1, true, 0);
    self->state.cursor -= BATCH;
    fails(self, "have taken 81 images of the epoch's order, which has 105", "a step left out");
}

/* --- the file */

static finished_run run_of(const certificate *log, const char *hash) {
    static char text[512];
    finished_run run = {.folder = "."};
    snprintf(text, sizeof text,
             "steps,certificate_version,certificate_hash,parameters_hash\n%" PRId64
             ",%d,%s,%016" PRIx64 "\n",
             log->steps, CERTIFICATE_VERSION, hash,
             log->parameters[log->parameter_count - 1].print.hash);
    CHECK(csv_parse(&run.summary, "summary.csv", text, strlen(text), &error) == LS_OK, "parse");
    return run;
}

static void check_file(subject *self, const char *name) {
    char hash[17];
    certificate back;
    CHECK(run_epoch(self, 0, &error) == LS_OK, "%s", error.text);
    CHECK(step_certificate_finish(&self->certificate, hash, &error) == LS_OK, "%s", error.text);
    const certificate *log = &self->certificate.log;
    finished_run run = run_of(log, hash);
    CHECK(certificate_read(&back, &run, &error) == LS_OK, "%s", error.text);
    CHECK(back.steps == log->steps && back.parameter_count == log->parameter_count &&
              memcmp(back.samples, log->samples, sizeof(uint64_t) * BATCHES) == 0 &&
              memcmp(back.epochs, log->epochs, sizeof(int) * BATCHES) == 0 &&
              memcmp(back.has, log->has, sizeof back.has) == 0 &&
              memcmp(back.parameters, log->parameters,
                     sizeof *back.parameters * back.parameter_count) == 0,
          "read back, it is not what was written");
    certificate_free(&back);
    csv_free(&run.summary);
    subject_free(self);
    unlink(CERTIFICATE_FILE);
    check_case(name);
}

static void test_file(void) {
    check_file(subject_new(0, 1, false, 2), "written and read back");
    check_file(subject_of_more(2), "with an average and buffers too");
}

/* What stands beside the parameters, and where two runs part in that alone. */
static void test_more(void) {
    subject *self = subject_of_more(2);
    CHECK(run_epoch(self, 0, &error) == LS_OK, "%s", error.text);
    certificate *log = &self->certificate.log;
    CHECK(log->has[CERTIFIED_AVERAGE] && log->has[CERTIFIED_BUFFERS], "not logged");
    CHECK(log->parameters[1].others[CERTIFIED_AVERAGE] == hash_of_numbers(PARAMETERS) &&
              log->parameters[1].others[CERTIFIED_BUFFERS] == hash_of_numbers(10),
          "other hashes");
    certificate other = {0};
    CHECK(certificate_add_epoch(&other, 1, log->samples, BATCHES, log->parameters,
                                log->parameter_count, &error) == LS_OK,
          "%s", error.text);
    certificate_comparison found = certificate_compare(log, &other);
    CHECK(certificate_is_identical(&found) && found.other_hashes[CERTIFIED_AVERAGE] == 0,
          "a run without an average has nothing to compare");
    memcpy(other.has, log->has, sizeof other.has);
    other.parameters[1].others[CERTIFIED_AVERAGE]++;
    found = certificate_compare(log, &other);
    CHECK(found.other_part[CERTIFIED_AVERAGE] == 4 && found.other_part[CERTIFIED_BUFFERS] == 0 &&
              found.parameters_part == 0 && !certificate_is_identical(&found),
          "the average parts at %" PRId64, found.other_part[CERTIFIED_AVERAGE]);
    certificate_free(&other);
    subject_free(self);
    check_case("average and buffers, compared where both runs have them");
}

/* --- two runs: part first in samples, first in parameters, logged at unlike steps */

static certificate made(const uint64_t *samples, int64_t steps, const int64_t *hashed,
                        const uint64_t *hashes, size_t count) {
    certificate out = {0};
    certified_parameters *parameters = calloc(count + 1, sizeof *parameters);
    for (size_t index = 0; index < count; index++) {
        parameters[index].step = hashed[index];
        parameters[index].print.hash = hashes[index];
    }
    CHECK(certificate_add_epoch(&out, 1, samples, steps, parameters, count, &error) == LS_OK,
          "add");
    free(parameters);
    return out;
}

static void test_comparison(void) {
    static const uint64_t samples[] = {11, 12, 13, 14, 15, 16}, others[] = {11, 12, 3, 14, 5};
    static const int64_t twos[] = {2, 4, 6}, threes[] = {3, 4, 6};
    static const uint64_t hashes[] = {1, 2, 3}, moved[] = {9, 2, 4};
    certificate a = made(samples, 6, twos, hashes, 3), b = made(samples, 6, threes, moved, 3);
    certificate c = made(others, 5, twos, hashes, 2);
    certificate_comparison self = certificate_compare(&a, &a), ab = certificate_compare(&a, &b),
                           ca = certificate_compare(&c, &a);
    CHECK(certificate_is_identical(&self) && self.steps == 6 && self.hashes == 3, "with itself");
    CHECK(ab.samples_part == 0 && ab.hashes == 2 && ab.parameters_part == 6 &&
              ab.parameters_equal == 4,
          "parameters part at %" PRId64 ", equal at %" PRId64 ", %zu compared", ab.parameters_part,
          ab.parameters_equal, ab.hashes);
    CHECK(ca.steps == 5 && ca.samples_part == 3 && ca.hashes == 2 && ca.parameters_part == 0,
          "samples part at %" PRId64, ca.samples_part);
    CHECK(!certificate_is_identical(&ab) && !certificate_is_identical(&ca), "identical?");
    certificate_free(&a), certificate_free(&b), certificate_free(&c);
    check_case("where two runs part");
}

/* --- ranks */

static void test_drift(void) {
    ls_error found = {0};
    subject *self = subject_new(here.rank, here.size, false, 1);
    CHECK(run_epoch(self, 0, &found) == LS_OK, "%s", found.text);
    subject_free(self);
    self = subject_new(here.rank, here.size, false, 1);
    int status = run_epoch(self, here.rank == here.size - 1 ? 3 : 0, &found);
    char want[96];
    snprintf(want, sizeof want, "rank %d has other parameters than rank 0 after step 3",
             here.size - 1);
    CHECK(status == LS_FAILED && strstr(found.text, want), "found '%s'", found.text);
    subject_free(self);
    self = subject_of_more(1);
    found = (ls_error){0};
    float *average = store_at(self->store, STORE_AVERAGE, 0, PARAMETERS);
    float *buffers = store_at(self->store, STORE_BUFFERS, 0, 1);
    *buffers += (float)here.rank; /* rank 0's are the run's */
    CHECK(run_epoch(self, 0, &found) == LS_OK, "%s", found.text);
    average[5] += (float)(here.rank == here.size - 1);
    status = run_epoch(self, 0, &found);
    snprintf(want, sizeof want, "rank %d has another moving average than rank 0 after step 1",
             here.size - 1);
    CHECK(status == LS_FAILED && strstr(found.text, want), "found '%s'", found.text);
    subject_free(self);
    check_case("a rank that drifted is named, and the step");
}

int main(int argc, char **argv) {
    device_request request = {.local_size = 1, .threads = 1};
    char folder[] = "/tmp/lockstep-certificate-XXXXXX";
    CHECK(lifeline_install_signals(&error) == LS_OK, "%s", error.text);
    if (device_open("ref", &request, &ref, &error) != LS_OK || !mkdtemp(folder) || chdir(folder))
        return 1;
    if (argc > 1) {
        if (comm_fixture_open(argv[1], &here, &error) != LS_OK)
            return 1;
        test_drift();
        comm_fixture_close();
        if (launch_finish(&here, &error) != LS_OK)
            return 1;
    } else {
        comm_settings alone = {.size = 1, .host = "here"};
        if (comm_open("auto", &alone, &control, &error) != LS_OK)
            return 1;
        test_parts();
        test_parameters();
        test_faults();
        test_file();
        test_more();
        test_comparison();
        comm_close(control);
    }
    device_close(ref);
    rmdir(folder);
    return here.rank == 0 ? check_done() : check_failures != 0;
}
