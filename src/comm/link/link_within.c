/* Sizes timed within a time that is shared with other measurements. */
#include "base/clock.h"
#include "comm/link/link_timing.h"

/* ---- the time */

/* What is left, and the largest of each value of the ranks, with one call. values has room for one
 * more. */
static int agree(link_budget *self, double *values, int count, ls_error *error) {
    values[count] = clock_seconds() - self->began;
    if (self->control)
        LS_TRY(
            comm_allreduce_double(self->control, values, (size_t)count + 1, REDUCTION_MAX, error));
    self->left_seconds = self->limit_seconds - values[count];
    return LS_OK;
}

int link_budget_look(link_budget *self, ls_error *error) {
    double passed[1];
    return agree(self, passed, 0, error);
}

/* The first agreement waits for the last rank to come, which is no time of measuring. */
int link_budget_begin(comm *control, double limit_seconds, link_budget *out, ls_error *error) {
    double values[2] = {-limit_seconds}, began;
    *out = (link_budget){.control = control};
    LS_TRY(agree(out, values, 1, error));
    out->limit_seconds = -values[0];
    out->began = began = clock_seconds();
    LS_TRY(link_budget_look(out, error));
    values[0] = clock_seconds() - began;
    LS_TRY(agree(out, values, 1, error));
    out->agreement_seconds = values[0];
    return LS_OK;
}

bool link_budget_allows(const link_budget *self, int agreements) {
    return self->left_seconds > agreements * self->agreement_seconds;
}

/* ---- sizes */

/* The largest sizes measured so far; the same on all ranks. */
typedef struct bounded {
    const link_probe *probe;
    link_call call;
    dtype type;
    link_budget *budget;
    double keep_seconds;
    int sizes_left; /* that were asked for */
    int measured;
    size_t bytes[2]; /* the last but one, the last */
    double seconds[2], spread;
    double least_seconds; /* that a size took: memory, the first calls, an agreement */
} bounded;

static double left_of(const bounded *self) {
    return self->budget->left_seconds - self->keep_seconds;
}

/* Memory (two gatherings of records), the first calls with a barrier each, an agreement. */
enum { FIRST_SIZE = 8 };

/* At worst its calls' time grows with its bytes. */
static bool fits(const bounded *self, size_t bytes) {
    if (self->measured == 0)
        return left_of(self) > FIRST_SIZE * self->budget->agreement_seconds;
    double growth = (double)bytes / (double)self->bytes[1];
    double calls = (WARM_CALLS + FEWEST_CALLS) * self->seconds[1] * growth;
    return left_of(self) > (calls > self->least_seconds ? calls : self->least_seconds);
}

/* So many that they, and what each rank does before each, take the share. */
static int count_of(double share, double seconds_a_call) {
    double fit = seconds_a_call > 0 ? share / seconds_a_call - WARM_CALLS : LINK_MOST_CALLS;
    return fit < FEWEST_CALLS ? FEWEST_CALLS : fit > LINK_MOST_CALLS ? LINK_MOST_CALLS : (int)fit;
}

/* The first calls do not count where there is time for more. */
static int measure_calls(bounded *self, const timed_call *timed, double share, double *seconds,
                         double *spread, ls_error *error) {
    double times[LINK_MOST_CALLS + 1], began = 0, before = self->budget->left_seconds;
    for (int number = 0; number < WARM_CALLS; number++) { /* the first one makes connections */
        began = clock_seconds();
        LS_TRY(timed_alone(timed, number, &times[0], error));
    }
    times[1] = clock_seconds() - began;
    LS_TRY(agree(self->budget, times, 2, error));
    *seconds = *spread = times[0];
    self->least_seconds = before - self->budget->left_seconds;
    if (left_of(self) < FEWEST_CALLS * times[1] + self->budget->agreement_seconds)
        return LS_OK;
    int calls = count_of(share, times[1]);
    for (int number = 0; number < calls; number++)
        LS_TRY(timed_alone(timed, number, &times[number], error));
    LS_TRY(agree(self->budget, times, calls, error));
    timed_sort(times, calls, seconds, spread);
    return LS_OK;
}

static int measure_next(bounded *self, size_t bytes, ls_error *error) {
    double share = left_of(self) / self->sizes_left, seconds = 0, spread = 0;
    timed_call timed;
    int status = timed_open(&timed, self->probe, self->call, self->type, bytes, error);
    if (status == LS_OK)
        status = measure_calls(self, &timed, share < SECONDS_A_SIZE ? share : SECONDS_A_SIZE,
                               &seconds, &spread, error);
    timed_close(&timed);
    self->bytes[0] = self->bytes[1];
    self->seconds[0] = self->seconds[1];
    self->bytes[1] = bytes;
    self->seconds[1] = seconds;
    self->spread = spread;
    self->measured++;
    return status;
}

/* Of a size that was not measured. */
static double extended(const bounded *self, size_t bytes) {
    if (self->measured == 0)
        return self->budget->agreement_seconds;
    if (self->measured == 1)
        return self->seconds[1];
    double slope =
        (self->seconds[1] - self->seconds[0]) / ((double)self->bytes[1] - (double)self->bytes[0]);
    return self->seconds[1] + (slope > 0 ? slope : 0) * ((double)bytes - (double)self->bytes[1]);
}

int link_measure_within(const link_probe *probe, link_call call, dtype type, const size_t *bytes,
                        int count, link_budget *budget, double keep_seconds, double *seconds,
                        double *spread, ls_error *error) {
    enum { STEP = 64 }; /* from one size to the next, at most */
    bounded self = {.probe = probe,
                    .call = call,
                    .type = type,
                    .budget = budget,
                    .keep_seconds = keep_seconds,
                    .spread = budget->agreement_seconds};
    for (int index = 0; index < count; index++) {
        seconds[index] = spread[index] = 0;
        if (probe->comm->size == 1)
            continue;
        self.sizes_left = count - index;
        while (self.measured && bytes[index] / STEP > self.bytes[1] &&
               fits(&self, self.bytes[1] * STEP))
            LS_TRY(measure_next(&self, self.bytes[1] * STEP, error));
        if (fits(&self, bytes[index])) {
            LS_TRY(measure_next(&self, bytes[index], error));
            seconds[index] = self.seconds[1];
        } else {
            seconds[index] = extended(&self, bytes[index]);
        }
        spread[index] = self.spread;
    }
    return LS_OK;
}
