/* Each value that NVML gives, in its unit; each that it does not give, alone; and no NVML.
 *     test_nvml STAND-IN OLD-DRIVER NOT-NVML */
#include "check.h"
#include "fixture.h"
#include "monitor/nvml.h"

#include <math.h>
#include <string.h>

static nvml *open_or_say(const char *uuid) {
    nvml *gpu = NULL;
    ls_error error = {0};
    CHECK(nvml_open(uuid, &gpu, &error) == LS_OK, "%s", error.text);
    return gpu;
}

static void values_and_units(const char *path) {
    nvml_stand_in_state *state = use_stand_in(path);
    nvml *gpu = open_or_say(STAND_IN_UUID);
    nvml_reading first = {0}, second = {0};
    if (gpu) {
        nvml_read(gpu, &first);
        nvml_read(gpu, &second);
    }
    CHECK(first.utilisation == 0.8, "%g", first.utilisation);
    CHECK(first.memory_bytes == 2e9, "%g", first.memory_bytes);
    CHECK(first.power_watts == 250, "%g", first.power_watts);
    CHECK(first.sm_clock_hertz == 1980e6 && first.memory_clock_hertz == 2619e6, "%g, %g",
          first.sm_clock_hertz, first.memory_clock_hertz);
    CHECK(first.temperature_celsius == 60, "%g", first.temperature_celsius);
    CHECK(first.throttle_known && first.throttle_reasons == 5, "%d", first.throttle_known);
    CHECK(first.energy_joules > 0 && second.energy_joules >= first.energy_joules &&
              second.energy_joules < first.energy_joules + 250 * 60,
          "%g, %g", first.energy_joules, second.energy_joules);
    nvml_close(gpu);
    CHECK(state->inits == 1 && state->shutdowns == 1, "%d inits, %d shutdowns", state->inits,
          state->shutdowns);
    check_case("values and their units");
}

static int missing(const nvml_reading *found) {
    return isnan(found->power_watts) << ASKED_POWER | isnan(found->energy_joules) << ASKED_ENERGY |
           isnan(found->utilisation) << ASKED_UTILISATION |
           isnan(found->memory_bytes) << ASKED_MEMORY |
           isnan(found->temperature_celsius) << ASKED_TEMPERATURE |
           !found->throttle_known << ASKED_THROTTLE |
           (isnan(found->sm_clock_hertz) && isnan(found->memory_clock_hertz)) << ASKED_CLOCK;
}

static void each_value_alone(const char *path) {
    nvml_stand_in_state *state = use_stand_in(path);
    nvml *gpu = open_or_say(STAND_IN_UUID);
    for (int kind = 0; gpu && kind < ASKED_KINDS; kind++) {
        nvml_reading found;
        memset(state->status, 0, sizeof state->status);
        state->status[kind] = 3;
        nvml_read(gpu, &found);
        CHECK(missing(&found) == 1 << kind, "kind %d not supported: missing are %x", kind,
              missing(&found));
    }
    nvml_close(gpu);
    check_case("a value that is not supported is missing, alone");
}

static void an_older_driver(const char *path) {
    use_stand_in(path);
    nvml *gpu = open_or_say(STAND_IN_UUID);
    nvml_reading found = {0};
    if (gpu)
        nvml_read(gpu, &found);
    CHECK(missing(&found) == 1 << ASKED_ENERGY && found.throttle_reasons == 5, "missing are %x",
          missing(&found));
    nvml_close(gpu);
    check_case("an older driver: throttle reasons by their old name, no energy counter");
}

static void part_of_a_gpu(const char *path) {
    use_stand_in(path);
    nvml_close(open_or_say("GPU-a-part"));
    check_case("a part of a GPU, by the name that CUDA gives it");
}

static void refused(const char *uuid, const char *expected) {
    nvml *gpu = NULL;
    ls_error error = {0};
    CHECK(nvml_open(uuid, &gpu, &error) == LS_FAILED && !gpu, "it was opened");
    CHECK(strstr(error.text, expected), "expected '%s', found '%s'", expected, error.text);
    nvml_close(gpu);
}

static void no_nvml(const char *path, const char *not_nvml) {
    nvml_stand_in_state *state = use_stand_in(path);
    refused("GPU-another", "NVML: GPU-another: Not Found (6)");
    CHECK(state->inits == 1 && state->shutdowns == 1, "%d inits, %d shutdowns", state->inits,
          state->shutdowns);
    state->init_status = 9;
    refused(STAND_IN_UUID, "NVML: nvmlInit_v2: Driver Not Loaded (9)");
    CHECK(state->shutdowns == 1, "what was never started was shut down");
    use_stand_in(not_nvml);
    refused(STAND_IN_UUID, "has no nvmlInit_v2");
    setenv("LOCKSTEP_NVML", "/nowhere/libnvidia-ml.so.1", 1);
    refused(STAND_IN_UUID, "/nowhere/libnvidia-ml.so.1");
    check_case("no library, no driver, no such GPU: one line says why");
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    values_and_units(argv[1]);
    each_value_alone(argv[1]);
    an_older_driver(argv[2]);
    part_of_a_gpu(argv[1]);
    no_nvml(argv[1], argv[3]);
    return check_done();
}
