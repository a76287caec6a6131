/* The thread: it samples, keeps to its units, takes no signal, waits for no slow NVML.
 *     test_monitor STAND-IN OLD-DRIVER */
#include "base/clock.h"
#include "check.h"
#include "fixture.h"
#include "monitor/monitor.h"

#include <dirent.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CAPACITY = 64 };

static void pause_for(double seconds) {
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)(1e9 * (seconds - (double)time.tv_sec));
    nanosleep(&time, NULL);
}

static monitor *start(const char *uuid, const int *unit) {
    monitor_settings settings = {.gpu_uuid = uuid,
                                 .interval_seconds = 0.02,
                                 .capacity = CAPACITY,
                                 .processing_units = unit,
                                 .processing_unit_count = unit ? 1 : 0};
    monitor *self = NULL;
    ls_error error = {0};
    CHECK(monitor_open(&settings, &self, &error) == LS_OK, "%s", error.text);
    return self;
}

static size_t count(const usage_sample *samples) {
    size_t found = 0;
    while (found < CAPACITY && !isnan(samples[found].seconds))
        found++;
    return found;
}

/* Two windows of training; `least` and `most` seconds of it, by this thread's clock. */
static void train_twice(monitor *self, double *least, double *most) {
    *least = *most = 0;
    for (int window = 0; window < 2; window++) {
        double outer = clock_seconds();
        monitor_start(self);
        double inner = clock_seconds();
        pause_for(0.2);
        *least += clock_seconds() - inner;
        monitor_stop(self);
        *most += clock_seconds() - outer;
        pause_for(0.1);
    }
}

/* Power is always 250 W: whatever the moments of the samples, the energy is 250 J a second. */
static void constant_power(const char *old_driver) {
    double least, most;
    gpu_usage found, again;
    use_stand_in(old_driver); /* no energy counter */
    monitor *self = start(STAND_IN_UUID, NULL);
    CHECK(!monitor_note(self)[0], "%s", monitor_note(self));
    train_twice(self, &least, &most);
    double so_far, memory;
    monitor_peek(self, &so_far, &memory);
    CHECK(fabs(so_far - 0.8) < 1e-9 && memory == 2e9, "%g, %g", so_far, memory);
    pause_for(0.25);
    monitor_peek(self, &so_far, &memory);
    CHECK(isnan(so_far) && memory == 2e9, "no training since: %g, %g", so_far, memory);
    monitor_finish(self, &found);
    CHECK(found.measured && fabs(found.utilisation - 0.8) < 1e-9, "%g", found.utilisation);
    CHECK(found.energy_joules >= 250 * least * 0.999 && found.energy_joules <= 250 * most * 1.001,
          "%g J in %g to %g s", found.energy_joules, least, most);
    CHECK(fabs(found.mean_power_watts - 250) < 1e-6, "%g W", found.mean_power_watts);
    CHECK(found.peak_memory_bytes == 2e9 && found.maximum_temperature_celsius == 60, "%g, %g",
          found.peak_memory_bytes, found.maximum_temperature_celsius);
    CHECK(found.throttle_known && found.throttle_reasons == 5, "%lx",
          (unsigned long)found.throttle_reasons);
    CHECK(found.host_cpu_utilisation >= 0 && found.host_cpu_utilisation <= 1, "%g",
          found.host_cpu_utilisation);
    monitor_finish(self, &again);
    CHECK(memcmp(&found, &again, sizeof found) == 0, "a second call gives other totals");
    const usage_sample *samples = monitor_samples(self);
    size_t rows = count(samples);
    CHECK(rows >= 4 && samples[0].seconds < 0, "%zu samples, the first at %g", rows,
          samples[0].seconds);
    bool outside = false, inside = false;
    for (size_t index = 0; index < rows; index++) {
        CHECK(index == 0 || samples[index].seconds > samples[index - 1].seconds, "row %zu", index);
        inside |= samples[index].training;
        outside |= !samples[index].training;
    }
    CHECK(inside && outside, "marks are not seen in the samples");
    monitor_close(self);
    check_case("two windows at a constant power");
}

static void energy_counter(const char *path) {
    double least, most;
    gpu_usage found;
    nvml_stand_in_state *state = use_stand_in(path);
    state->status[ASKED_POWER] = 3; /* the counter alone, which counts 250 W of real time */
    monitor *self = start(STAND_IN_UUID, NULL);
    train_twice(self, &least, &most);
    monitor_finish(self, &found);
    CHECK(found.energy_joules > 125 * least && found.energy_joules < 500 * most,
          "%g J in %g to %g s", found.energy_joules, least, most);
    CHECK(isnan(monitor_samples(self)[0].power_watts), "power is not supported");
    monitor_close(self);
    CHECK(state->inits == 1 && state->shutdowns == 1, "%d inits, %d shutdowns", state->inits,
          state->shutdowns);
    check_case("the GPU's energy counter");
}

static void expect_host_alone(monitor *self, const char *note) {
    double least, most;
    gpu_usage found;
    CHECK(strstr(monitor_note(self), note) && !monitor_note(self)[0] == !note[0],
          "expected '%s', found '%s'", note, monitor_note(self));
    train_twice(self, &least, &most);
    monitor_finish(self, &found);
    CHECK(found.measured && isnan(found.utilisation) && isnan(found.peak_memory_bytes) &&
              isnan(found.energy_joules) && isnan(found.mean_power_watts) &&
              isnan(found.maximum_temperature_celsius) && !found.throttle_known,
          "a GPU that nobody saw has values");
    CHECK(found.host_cpu_utilisation >= 0, "the host's is there: %g", found.host_cpu_utilisation);
    const usage_sample *samples = monitor_samples(self);
    CHECK(count(samples) > 2 && isnan(samples[1].gpu_utilisation) &&
              isnan(samples[1].gpu_memory_bytes) && isnan(samples[1].sm_clock_hertz),
          "samples of it have values");
    monitor_close(self);
}

static void no_nvml(void) {
    setenv("LOCKSTEP_NVML", "/nowhere/libnvidia-ml.so.1", 1);
    expect_host_alone(start(STAND_IN_UUID, NULL), "/nowhere/libnvidia-ml.so.1");
    expect_host_alone(start("", NULL), "");
    gpu_usage none = {.measured = true};
    monitor_start(NULL);
    monitor_stop(NULL);
    double utilisation, memory;
    monitor_peek(NULL, &utilisation, &memory);
    CHECK(isnan(utilisation) && isnan(memory), "%g, %g", utilisation, memory);
    monitor_finish(NULL, &none);
    CHECK(!none.measured && !monitor_samples(NULL) && !monitor_note(NULL)[0], "of no monitor");
    monitor_close(NULL);
    check_case("without NVML the values are empty, not zero");
}

static void lost_in_the_middle(const char *old_driver) {
    gpu_usage found;
    nvml_stand_in_state *state = use_stand_in(old_driver);
    state->fail_after = 4;
    monitor *self = start(STAND_IN_UUID, NULL);
    monitor_start(self);
    for (int tries = 0; tries < 1000; tries++) {
        pause_for(0.01);
        if (__atomic_load_n(&state->power_questions, __ATOMIC_RELAXED) > 12)
            break;
    }
    monitor_stop(self);
    monitor_finish(self, &found);
    CHECK(isnan(found.energy_joules), "%g J were not all", found.energy_joules);
    CHECK(fabs(found.utilisation - 0.8) < 1e-9, "the other values go on: %g", found.utilisation);
    monitor_close(self);
    check_case("a value that fails from some moment on");
}

/* Of the monitor's thread: a line of its /proc status. */
static void status_of_thread(const char *field, char *out, size_t capacity) {
    char path[300], line[512];
    out[0] = '\0';
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        if (task->d_name[0] == '.' || strtol(task->d_name, NULL, 10) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *file = fopen(path, "re");
        while (file && fgets(line, sizeof line, file))
            if (strncmp(line, field, strlen(field)) == 0)
                snprintf(out, capacity, "%s", line + strlen(field));
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
}

static void its_place(const char *path) {
    char text[512];
    cpu_set_t mask;
    use_stand_in(path);
    sched_getaffinity(0, sizeof mask, &mask);
    int last = 0;
    for (int unit = 0; unit < CPU_SETSIZE; unit++)
        last = CPU_ISSET(unit, &mask) ? unit : last;
    monitor *self = start(STAND_IN_UUID, &last);
    status_of_thread("SigBlk:", text, sizeof text);
    unsigned long long blocked = strtoull(text, NULL, 16);
    CHECK(blocked >> (SIGINT - 1) & blocked >> (SIGTERM - 1) & 1, "it blocks only %s", text);
    status_of_thread("Cpus_allowed_list:", text, sizeof text);
    CHECK(strtol(text, NULL, 10) == last && !strpbrk(text, ",-"), "it runs on %s", text);
    monitor_close(self);
    check_case("its thread takes no signals and stays where it may run");
}

static void a_slow_nvml(const char *path) {
    gpu_usage found;
    nvml_stand_in_state *state = use_stand_in(path);
    monitor *self = start(STAND_IN_UUID, NULL);
    state->slow_seconds = 1;
    pause_for(0.1); /* it is in there now */
    double before = clock_seconds();
    monitor_start(self);
    monitor_stop(self);
    CHECK(clock_seconds() - before < 0.5, "marks waited %g s", clock_seconds() - before);
    state->slow_seconds = 0;
    monitor_finish(self, &found);
    monitor_close(self);
    self = start(STAND_IN_UUID, NULL);
    state->slow_seconds = 6;
    monitor_start(self);
    pause_for(0.1);
    monitor_stop(self);
    before = clock_seconds();
    monitor_finish(self, &found);
    CHECK(clock_seconds() - before < 5, "the end waited %g s", clock_seconds() - before);
    CHECK(isnan(found.energy_joules), "%g J, without the end", found.energy_joules);
    monitor_close(self);
    check_case("a slow NVML holds nothing up, not even the end");
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    constant_power(argv[2]);
    energy_counter(argv[1]);
    no_nvml();
    lost_in_the_middle(argv[2]);
    its_place(argv[1]);
    a_slow_nvml(argv[1]);
    return check_done();
}
