#include "monitor/totals.h"

static const double enough_for_a_mean = 0.9, enough_for_a_sum = 0.999;

void totals_start(totals *self) {
    *self = (totals){.peak_memory_bytes = NAN,
                     .maximum_temperature_celsius = NAN,
                     .host_before = {NAN, NAN, NAN, NAN, NAN}};
}

static void cover(integral *self, double value, double seconds) {
    self->sum += value * seconds;
    self->covered_seconds += seconds;
}

/* The mean of the time since the last known value, from it and this one; then this one is it. */
static void bridge(integral *self, anchor *last, double time, double training_seconds, double value,
                   bool is_counter) {
    if (isnan(value))
        return;
    double seconds = training_seconds - last->training_seconds, all = time - last->time;
    bool backwards = is_counter && last->set && value < last->value;
    if (last->set && seconds > 0 && all > 0 && !backwards)
        cover(self, is_counter ? (value - last->value) / all : (value + last->value) / 2, seconds);
    *last = (anchor){time, training_seconds, value, true};
}

/* A clock tick is 10 ms: where none has passed the next reading covers the time. */
static void add_host(totals *self, double time, double training_seconds, const host_counters *host,
                     usage_sample *sample) {
    double all = host->all_ticks - self->host_before.all_ticks, seconds = time - self->host_time;
    sample->host_cpu_utilisation = sample->own_cpu_cores = NAN;
    sample->own_memory_bytes = host->resident_bytes;
    if (self->any && !(all > 0))
        return;
    if (self->any) {
        double busy = (host->busy_ticks - self->host_before.busy_ticks) / all;
        sample->host_cpu_utilisation = fmin(fmax(busy, 0), 1);
        cover(&self->host, sample->host_cpu_utilisation,
              training_seconds - self->host_training_seconds);
        if (seconds > 0)
            sample->own_cpu_cores =
                (host->own_cpu_seconds - self->host_before.own_cpu_seconds) / seconds;
    }
    self->host_before = *host;
    self->host_training_seconds = training_seconds;
    self->host_time = time;
}

static void add_peaks(totals *self, const nvml_reading *gpu, bool training) {
    self->peak_memory_bytes = fmax(self->peak_memory_bytes, gpu->memory_bytes); /* NAN loses */
    if (!training)
        return;
    self->maximum_temperature_celsius =
        fmax(self->maximum_temperature_celsius, gpu->temperature_celsius);
    self->throttle_known |= gpu->throttle_known;
    self->throttle_reasons |= gpu->throttle_reasons;
    self->recent.throttle_known |= gpu->throttle_known;
    self->recent.throttle_reasons |= gpu->throttle_reasons;
}

void totals_take_clocks(totals *self, gpu_clocks *out) {
    const integral *clock = &self->clock;
    *out = self->recent;
    out->sm_clock_hertz = clock->covered_seconds > 0 ? clock->sum / clock->covered_seconds : NAN;
    self->recent = (gpu_clocks){0};
    self->clock = (integral){0};
}

void totals_add(totals *self, double time, double training_seconds, const nvml_reading *gpu,
                const host_counters *host, usage_sample *sample) {
    double seconds = training_seconds - self->training_seconds;
    *sample = (usage_sample){.gpu_utilisation = gpu->utilisation,
                             .gpu_memory_bytes = gpu->memory_bytes,
                             .power_watts = gpu->power_watts,
                             .sm_clock_hertz = gpu->sm_clock_hertz,
                             .memory_clock_hertz = gpu->memory_clock_hertz,
                             .temperature_celsius = gpu->temperature_celsius,
                             .throttle_reasons = gpu->throttle_reasons,
                             .throttle_known = gpu->throttle_known,
                             .training = seconds > 0};
    if (self->any && !isnan(gpu->utilisation))
        cover(&self->utilisation, gpu->utilisation, seconds);
    if (self->any && !isnan(gpu->sm_clock_hertz))
        cover(&self->clock, gpu->sm_clock_hertz, seconds);
    bridge(&self->energy, &self->energy_at, time, training_seconds, gpu->energy_joules, true);
    bridge(&self->power, &self->power_at, time, training_seconds, gpu->power_watts, false);
    bridge(&self->packages, &self->packages_at, time, training_seconds, host->package_joules, true);
    add_host(self, time, training_seconds, host, sample);
    add_peaks(self, gpu, seconds > 0);
    self->time = time;
    self->training_seconds = training_seconds;
    self->any = true;
}

static double mean_of(const integral *self, double training_seconds) {
    bool enough =
        self->covered_seconds > 0 && self->covered_seconds >= enough_for_a_mean * training_seconds;
    return enough ? self->sum / self->covered_seconds : NAN;
}

/* Of no time it is 0, where the value is known at all. */
static double sum_of(const integral *self, const anchor *last, double training_seconds) {
    bool enough = last->set && self->covered_seconds >= enough_for_a_sum * training_seconds;
    return enough ? self->sum : NAN;
}

double totals_gpu_energy(const totals *self, double training_seconds) {
    double counted = sum_of(&self->energy, &self->energy_at, training_seconds);
    return isnan(counted) ? sum_of(&self->power, &self->power_at, training_seconds) : counted;
}

double totals_cpu_energy(const totals *self, double training_seconds) {
    return sum_of(&self->packages, &self->packages_at, training_seconds);
}

void totals_get(const totals *self, double training_seconds, gpu_usage *out) {
    bool has_counter = !isnan(sum_of(&self->energy, &self->energy_at, training_seconds));
    *out = (gpu_usage){.measured = self->any,
                       .utilisation = mean_of(&self->utilisation, training_seconds),
                       .peak_memory_bytes = self->peak_memory_bytes,
                       .energy_joules = totals_gpu_energy(self, training_seconds),
                       .mean_power_watts =
                           mean_of(has_counter ? &self->energy : &self->power, training_seconds),
                       .maximum_temperature_celsius = self->maximum_temperature_celsius,
                       .host_cpu_utilisation = mean_of(&self->host, training_seconds),
                       .throttle_known = self->throttle_known,
                       .throttle_reasons = self->throttle_reasons};
}
