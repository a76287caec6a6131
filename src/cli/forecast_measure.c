/* lockstep forecast --measure-network: under srun or mpirun, the network between the ranks. */
#include "cli/forecast_settings.h"
#include "cli/output.h"
#include "cli/ranks.h"
#include "forecast/measure.h"

int forecast_refuse_together(int argc, char **argv, const char *with, const char *const *names,
                             const char *why, ls_error *error) {
    for (; *names; names++)
        if (option_given(argc, argv, *names))
            return ls_fail(error, LS_BAD_INPUT, "--%s and %s contradict: %s", *names, with, why);
    return LS_OK;
}

static int check_measuring(int argc, char **argv, ls_error *error) {
    static const char *const others[] = {"network",
                                         "preset",
                                         "latency-us",
                                         "bandwidth-gbs",
                                         "ranks-per-node",
                                         "inside-network",
                                         "inside-preset",
                                         "collectives",
                                         "scaling",
                                         "csv",
                                         NULL};
    return forecast_refuse_together(argc, argv, "--measure-network", others,
                                    "first measure, then forecast with --network FILE", error);
}

static int write_network(const forecast_settings *s, const measure_result *found, ls_error *error) {
    network_origin origin = {.hosts = found->hosts.bytes ? found->hosts.bytes : "",
                             .comm = found->comm,
                             .device = found->device};
    text_buffer csv = {0}, text = {0};
    network_write(&found->link, &origin, &csv);
    int status = output_write(&csv, s->output, error);
    if (status == LS_OK) {
        network_text(&found->link, &origin, &text);
        text_add(&text, "written to %s\n", s->output);
        status = output_write(&text, NULL, error);
    }
    text_free(&csv);
    text_free(&text);
    return status;
}

static int measure(const command *self, launch *me, const forecast_settings *s,
                   const operands *runs, ls_error *error) {
    static text_buffer options_text;
    static step_model step;
    static measure_result found;
    measure_settings settings = {
        .device = s->device, .comm = s->comm, .bucket_bytes = forecast_bucket_bytes(s)};
    option_describe(self, s, &options_text);
    LS_TRY(text_buffer_check(&options_text, error));
    settings.options_text = options_text.bytes;
    if (me->rank == 0) {
        LS_TRY(output_check("--output", s->output, error));
        if (runs->count > 0) {
            LS_TRY(step_model_read(&step, runs->values, runs->count, error));
            settings.step = &step;
        }
    }
    LS_TRY(network_measure(me, &settings, &found, error));
    if (me->rank == 0)
        LS_TRY(write_network(s, &found, error));
    text_free(&found.hosts);
    return LS_OK;
}

int forecast_run_measuring(const command *self, int argc, char **argv, ls_error *error) {
    forecast_settings settings = {0};
    operands rest;
    launch me;
    bool over;
    LS_TRY(ranks_start(&me, error));
    LS_TRY(ranks_parse(self, &me, argc, argv, &settings, &rest, &over, error));
    if (over)
        return LS_OK;
    LS_TRY(check_measuring(argc, argv, error));
    LS_TRY(measure(self, &me, &settings, &rest, error));
    return launch_finish(&me, error);
}
