/* The arithmetic of the monitor, with times that the test makes: training time, energy, means,
 * what is missing, the thinning of samples. */
#include "check.h"
#include "monitor/series.h"
#include "monitor/totals.h"
#include "monitor/windows.h"

#include <math.h>

static bool near(double found, double expected) {
    return fabs(found - expected) <= 1e-9 * (1 + fabs(expected));
}

static void training_time(void) {
    windows clock = {0};
    CHECK(windows_advance(&clock, 10) == 0, "time passed before the first mark");
    windows_mark(&clock, 11, true);
    windows_mark(&clock, 11.5, true); /* already open */
    CHECK(windows_advance(&clock, 11) == 0, "the mark itself");
    CHECK(windows_advance(&clock, 12) == 1, "inside");
    windows_mark(&clock, 13, false);
    windows_mark(&clock, 14, false); /* already closed */
    windows_mark(&clock, 15, true);
    windows_mark(&clock, 15.5, false);
    windows_mark(&clock, 17, true);
    CHECK(windows_advance(&clock, 14.5) == 2, "%g", clock.training_seconds);
    CHECK(windows_advance(&clock, 16) == 2.5, "%g", clock.training_seconds);
    CHECK(windows_advance(&clock, 20) == 5.5, "%g", clock.training_seconds);
    CHECK(!clock.lost && clock.pending == 0, "%d marks are pending", clock.pending);
    for (int index = 0; index <= MOST_PENDING_MARKS; index++)
        windows_mark(&clock, 21 + index, index % 2);
    CHECK(clock.lost, "marks beyond the room were taken");
    check_case("the training clock runs between marks only");
}

static const nvml_reading blind = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, false, 0};
static const host_counters no_host = {NAN, NAN, 0, NAN, NAN};

/* A GPU alone, at a time that is training time from 2 to 8. */
static void add(totals *self, double time, nvml_reading reading) {
    usage_sample sample;
    totals_add(self, time, fmin(fmax(time - 2, 0), 6), &reading, &no_host, &sample);
}

static nvml_reading counted(double joules) {
    nvml_reading out = blind;
    out.energy_joules = joules;
    return out;
}

static nvml_reading drawn(double watts) {
    nvml_reading out = blind;
    out.power_watts = watts;
    return out;
}

static void energy_from_the_counter(void) {
    totals sums;
    gpu_usage found;
    totals_start(&sums);
    add(&sums, 1, counted(1000)); /* 100 W until 3, then 300 W; power itself says nonsense */
    add(&sums, 3, counted(1200));
    nvml_reading gap = drawn(7);
    add(&sums, 4, gap);
    add(&sums, 5, counted(1800));
    add(&sums, 9, counted(3000));
    totals_get(&sums, 6, &found);
    CHECK(near(found.energy_joules, 100 * 1 + 300 * 5), "%g J", found.energy_joules);
    CHECK(near(found.mean_power_watts, 1600 / 6.0), "%g W", found.mean_power_watts);
    CHECK(isnan(found.utilisation) && isnan(found.peak_memory_bytes) &&
              isnan(found.maximum_temperature_celsius) && isnan(found.host_cpu_utilisation) &&
              !found.throttle_known && found.measured,
          "what was not measured has a value");
    check_case("energy: the counter's differences, inside training time, over gaps");
}

static void energy_from_power(void) {
    totals sums;
    gpu_usage found;
    totals_start(&sums);
    for (int time = 0; time <= 10; time++)
        add(&sums, time, drawn(100 + 10 * time)); /* a ramp: 150 W in the middle */
    totals_get(&sums, 6, &found);
    CHECK(near(found.energy_joules, 6 * 150) && near(found.mean_power_watts, 150), "%g J, %g W",
          found.energy_joules, found.mean_power_watts);
    totals_start(&sums);
    for (int time = 0; time <= 10; time++) { /* the driver was loaded anew: its counter too */
        nvml_reading reading = counted(time < 5 ? 1000 * time : 1);
        reading.power_watts = 50;
        add(&sums, time, reading);
    }
    totals_get(&sums, 6, &found);
    CHECK(near(found.energy_joules, 300), "%g J", found.energy_joules);
    check_case("energy: power over the time where the counter is missing or starts anew");
}

/* Beside a GPU that says nothing; the hosts' packages draw 20 W until 3, then 50 W. */
static void energy_of_packages(void) {
    totals sums;
    usage_sample sample;
    totals_start(&sums);
    CHECK(isnan(totals_cpu_energy(&sums, 0)), "known before it was read");
    for (int time = 1; time <= 9; time += 2) {
        host_counters host = no_host;
        host.package_joules = time <= 3 ? 20 * time : 60 + 50 * (time - 3);
        totals_add(&sums, time, fmin(fmax(time - 2, 0), 6), &blind, &host, &sample);
        if (time == 1)
            CHECK(totals_cpu_energy(&sums, 0) == 0, "%g J of no time", totals_cpu_energy(&sums, 0));
    }
    CHECK(near(totals_cpu_energy(&sums, 6), 20 + 50 * 5), "%g J", totals_cpu_energy(&sums, 6));
    CHECK(isnan(totals_cpu_energy(&sums, 7)), "a second was not seen, and counted all the same");
    CHECK(isnan(totals_gpu_energy(&sums, 6)), "%g J of no GPU", totals_gpu_energy(&sums, 6));
    check_case("energy of CPU packages: inside training time");
}

static void an_error_in_the_middle(void) {
    totals sums;
    gpu_usage found;
    nvml_reading reading = {0.5, 1e9, 100, NAN, 1e9, 1e9, 50, true, 4};
    totals_start(&sums);
    for (double time = 0; time <= 7.5; time += 0.25)
        add(&sums, time, reading);
    for (double time = 7.75; time <= 9; time += 0.25)
        add(&sums, time, blind);
    totals_get(&sums, 6, &found); /* 5.5 s of 6 were seen */
    CHECK(near(found.utilisation, 0.5) && near(found.mean_power_watts, 100), "%g, %g W",
          found.utilisation, found.mean_power_watts);
    CHECK(isnan(found.energy_joules), "%g J are not all that was used", found.energy_joules);
    CHECK(found.peak_memory_bytes == 1e9 && found.throttle_reasons == 4, "%g bytes",
          found.peak_memory_bytes);
    totals_start(&sums);
    for (double time = 0; time <= 9; time += 0.25)
        add(&sums, time, time < 5 ? reading : blind);
    totals_get(&sums, 6, &found);
    CHECK(isnan(found.utilisation) && isnan(found.mean_power_watts) && isnan(found.energy_joules),
          "half the time was seen and %g called its mean", found.utilisation);
    check_case("an error in the middle: no energy; a mean where most was seen");
}

static void means_and_peaks(void) {
    totals sums;
    gpu_usage found;
    usage_sample sample;
    totals_start(&sums);
    for (int time = 0; time <= 10; time++) {
        nvml_reading reading = blind;
        bool training = time > 2 && time <= 8;
        reading.utilisation = training ? (time % 2 ? 0.25 : 0.75) : 1;
        reading.memory_bytes = time == 1 ? 9e9 : 1e9;
        reading.temperature_celsius = training ? 40 + time : 90;
        reading.throttle_known = true;
        reading.throttle_reasons = training ? (time == 5 ? 0x40 : 0) : 0x8;
        host_counters host = {100 * time, 400 * time, 2 * time, NAN, NAN};
        totals_add(&sums, time, fmin(fmax(time - 2, 0), 6), &reading, &host, &sample);
        CHECK(sample.training == training && sample.gpu_utilisation == reading.utilisation,
              "the sample at %d", time);
        if (time > 0)
            CHECK(near(sample.host_cpu_utilisation, 0.25) && near(sample.own_cpu_cores, 2),
                  "host %g, own %g", sample.host_cpu_utilisation, sample.own_cpu_cores);
        else
            CHECK(isnan(sample.host_cpu_utilisation) && isnan(sample.own_cpu_cores), "no interval");
    }
    totals_get(&sums, 6, &found);
    CHECK(near(found.utilisation, 0.5), "%g", found.utilisation);
    CHECK(near(found.host_cpu_utilisation, 0.25), "%g", found.host_cpu_utilisation);
    CHECK(found.peak_memory_bytes == 9e9, "%g bytes", found.peak_memory_bytes);
    CHECK(found.maximum_temperature_celsius == 48, "%g C", found.maximum_temperature_celsius);
    CHECK(found.throttle_known && found.throttle_reasons == 0x40, "%lx",
          (unsigned long)found.throttle_reasons);
    check_case("means and peaks are those of training time; memory's that of the run");
}

static void the_hosts_counters(void) {
    host_counters found;
    host_parse("cpu  10 20 30 400 50 6 7 8 9 10\ncpu0 1 1", &found);
    CHECK(found.busy_ticks == 81 && found.all_ticks == 531, "%g of %g", found.busy_ticks,
          found.all_ticks);
    host_parse("", &found);
    CHECK(isnan(found.busy_ticks) && isnan(found.all_ticks), "nothing was read as a number");
    host file;
    host_open(&file);
    host_read(&file, &found);
    CHECK(found.all_ticks > 0 && found.busy_ticks <= found.all_ticks, "%g of %g", found.busy_ticks,
          found.all_ticks);
    CHECK(found.own_cpu_seconds > 0, "%g s", found.own_cpu_seconds);
    host_close(&file);
    check_case("/proc/stat");
}

static void thinned(size_t capacity, int samples) {
    series kept;
    ls_error error = {0};
    CHECK(series_open(&kept, capacity, &error) == LS_OK, "%s", error.text);
    for (int index = 0; index < samples; index++) {
        usage_sample sample = {.seconds = index, .throttle_reasons = (uint64_t)1 << (index % 60)};
        series_add(&kept, &sample);
    }
    CHECK(kept.count <= kept.capacity && (size_t)samples < (kept.count + 1) * kept.stride,
          "%zu of %d kept, one of %zu", kept.count, samples, kept.stride);
    uint64_t reasons = kept.reasons, expected = 0;
    for (size_t index = 0; index < kept.count; index++) {
        CHECK(kept.samples[index].seconds == (double)(index * kept.stride), "sample %zu is %g",
              index, kept.samples[index].seconds);
        reasons |= kept.samples[index].throttle_reasons;
    }
    for (int index = 0; index < samples; index++)
        expected |= (uint64_t)1 << (index % 60);
    CHECK(reasons == expected, "%lx is not %lx", (unsigned long)reasons, (unsigned long)expected);
    series_close(&kept);
}

static void thinning(void) {
    for (size_t capacity = 2; capacity <= 9; capacity++)
        for (int samples = 1; samples <= 70; samples++)
            thinned(capacity, samples);
    thinned(128, 100000);
    check_case("bounded memory: evenly thinned, no reason lost");
}

int main(void) {
    training_time();
    energy_from_the_counter();
    energy_from_power();
    energy_of_packages();
    an_error_in_the_middle();
    means_and_peaks();
    the_hosts_counters();
    thinning();
    return check_done();
}
