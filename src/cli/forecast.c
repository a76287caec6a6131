/* lockstep forecast: what more ranks would bring; and the network, measured for it. */
#include "forecast/forecast.h"
#include "cli/commands.h"
#include "cli/forecast_settings.h"
#include "cli/output.h"
#include "comm/comm.h"
#include "launch/lifeline.h"

#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(forecast_settings, field)

static const option options[] = {
    {"network", OPTION_TEXT, AT(network), "FILE", NULL, NULL, 0, 0,
     "The network as --measure-network wrote it.", false},
    {"preset", OPTION_TEXT, AT(preset), "NAME", NULL, NULL, 0, 0,
     "A nominal network, of those above.", false},
    {"latency-us", OPTION_REAL, AT(latency_us), "X", NULL, NULL, 0, 1e6,
     "A network's latency, of one hop; with --bandwidth-gbs.", false},
    {"bandwidth-gbs", OPTION_REAL, AT(bandwidth_gbs), "X", NULL, NULL, 1e-6, 1e6,
     "A network's bandwidth, of one hop, in 10^9 bytes a second.", false},
    {"ranks-per-node", OPTION_INTEGER, AT(ranks_per_node), "N", "1", NULL, 1, 1024,
     "Ranks that share a node; more than 1 needs a network inside it.", false},
    {"inside-network", OPTION_TEXT, AT(inside_network), "FILE", NULL, NULL, 0, 0,
     "The network inside a node, measured on one node.", false},
    {"inside-preset", OPTION_TEXT, AT(inside_preset), "NAME", NULL, NULL, 0, 0,
     "The network inside a node, nominal.", false},
    {"collectives", OPTION_CHOICE, AT(collectives), "KIND", "two-level", "two-level|ring", 0, 0,
     "All-reduces over nodes of several ranks: inside, then between; or one ring over all.", false},
    {"bucket-mb", OPTION_REAL, AT(bucket_mb), "X|auto", "auto", "auto", 0.001, 65536,
     "Gradient MiB that ddp reduces at once; auto: by the network, as train.", false},
    {"scaling", OPTION_CHOICE, AT(scaling), "KIND", "weak", "weak|strong", 0, 0,
     "The batch stays: every rank's (weak), or all ranks' together (strong).", false},
    {"csv", OPTION_TEXT, AT(csv), "FILE", NULL, NULL, 0, 0, "Write the forecast there as CSV too.",
     true},
    {"measure-network", OPTION_FLAG, AT(measure_network), NULL, NULL, NULL, 0, 0,
     "Under srun or mpirun: measure the network between the ranks at hand.", false},
    {"memory", OPTION_FLAG, AT(memory), NULL, NULL, NULL, 0, 0,
     "Say what memory a rank would hold, by train's options (--memory --help).", false},
    {"output", OPTION_TEXT, AT(output), "FILE", "network.csv", NULL, 0, 0,
     "Where --measure-network writes.", true},
    {"device", OPTION_CHOICE, AT(device.device), "DEVICE", "auto", DEVICE_CHOICES, 0, 0,
     "Of --measure-network: whose memory is sent.", false},
    {"comm", OPTION_CHOICE, AT(comm), "NAME", "auto", COMM_CHOICES, 0, 0,
     "Of --measure-network: the collectives, as train takes them.", false},
    {"threads", OPTION_INTEGER, AT(device.threads), "N", "0", NULL, 0, 1024,
     "Of --measure-network: compute threads a rank; 0: one for each of its cores.", true},
    {"oversubscribe", OPTION_FLAG, AT(device.oversubscribe), NULL, NULL, NULL, 0, 0,
     "Of --measure-network: allow two ranks on one core.", false},
    {"share-gpu", OPTION_FLAG, AT(device.share_gpu), NULL, NULL, NULL, 0, 0,
     "Of --measure-network: allow more ranks on a node than it has GPUs.", false},
    {0}};

/* ---- options that go together, or not */

static int check_network(const forecast_settings *s, int argc, char **argv, ls_error *error) {
    bool latency = option_given(argc, argv, "latency-us");
    bool bandwidth = option_given(argc, argv, "bandwidth-gbs");
    int given = (s->network != NULL) + (s->preset != NULL) + (latency || bandwidth);
    if (given == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "forecast: expected a network (--network FILE, --preset NAME, or "
                       "--latency-us and --bandwidth-gbs), found none");
    if (given > 1)
        return ls_fail(error, LS_BAD_INPUT, "%s and %s contradict: give one network",
                       s->network ? "--network" : "--preset",
                       s->network && s->preset ? "--preset"
                       : latency               ? "--latency-us"
                                               : "--bandwidth-gbs");
    if (latency != bandwidth)
        return ls_fail(error, LS_BAD_INPUT, "--%s: expected --%s with it, found none",
                       latency ? "latency-us" : "bandwidth-gbs",
                       latency ? "bandwidth-gbs" : "latency-us");
    return LS_OK;
}

static int check_inside(const forecast_settings *s, int argc, char **argv, ls_error *error) {
    static const char *const inside[] = {"inside-network", "inside-preset", "collectives", NULL};
    if (s->ranks_per_node == 1)
        return forecast_refuse_together(
            argc, argv, "--ranks-per-node 1", inside,
            "one rank has nobody inside its node (give --ranks-per-node)", error);
    if (s->inside_network && s->inside_preset)
        return ls_fail(error, LS_BAD_INPUT,
                       "--inside-network and --inside-preset contradict: give one");
    if (!s->inside_network && !s->inside_preset)
        return ls_fail(error, LS_BAD_INPUT,
                       "--ranks-per-node %lld: expected the network inside a node "
                       "(--inside-network or --inside-preset), found none",
                       (long long)s->ranks_per_node);
    return LS_OK;
}

static int check_forecast(const forecast_settings *s, int argc, char **argv, int runs,
                          ls_error *error) {
    static const char *const measuring[] = {"output",        "device",    "comm", "threads",
                                            "oversubscribe", "share-gpu", NULL};
    if (runs == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "forecast: expected RUN, the folder of a run of mode single with --profile, "
                       "found nothing");
    LS_TRY(forecast_refuse_together(argc, argv, "a forecast", measuring,
                                    "it is of --measure-network", error));
    LS_TRY(check_network(s, argc, argv, error));
    return check_inside(s, argc, argv, error);
}

/* ---- forecasting */

static int open_between(const forecast_settings *s, measured_link *out, ls_error *error) {
    if (s->preset)
        return network_preset("--preset", s->preset, out, error);
    if (!s->network) {
        network_nominal("given", s->latency_us * 1e-6, s->bandwidth_gbs * 1e9, out);
        return LS_OK;
    }
    LS_TRY(network_read(s->network, out, error));
    if (s->ranks_per_node > 1 && out->nodes == 1)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: measured inside one node: expected one between nodes, with "
                       "--ranks-per-node %lld (one rank on each of several nodes measures it)",
                       s->network, (long long)s->ranks_per_node);
    return LS_OK;
}

static int open_inside(const forecast_settings *s, measured_link *out, ls_error *error) {
    if (s->inside_preset)
        return network_preset("--inside-preset", s->inside_preset, out, error);
    if (!s->inside_network)
        return LS_OK;
    LS_TRY(network_read(s->inside_network, out, error));
    if (out->nodes > 1)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: measured between %d nodes: expected one inside a node",
                       s->inside_network, out->nodes);
    return LS_OK;
}

static int write_forecast(const forecast_settings *s, const forecast *made, const step_model *step,
                          const forecast_network *network, ls_error *error) {
    text_buffer text = {0}, csv = {0};
    int status = LS_OK;
    if (s->csv) {
        forecast_csv(made, &csv);
        status = output_write(&csv, s->csv, error);
    }
    if (status == LS_OK) {
        forecast_text(made, step, network, forecast_bucket_bytes(s), &text);
        status = output_write(&text, NULL, error);
    }
    text_free(&text);
    text_free(&csv);
    return status;
}

static int run_forecast(const forecast_settings *s, const operands *runs, ls_error *error) {
    static step_model step; /* too large for a stack */
    static forecast_network network;
    static forecast made;
    network.ranks_per_node = (int)s->ranks_per_node;
    network.two_level = strcmp(s->collectives, "two-level") == 0;
    LS_TRY(output_check("--csv", s->csv, error));
    LS_TRY(open_between(s, &network.between, error));
    LS_TRY(open_inside(s, &network.inside, error));
    LS_TRY(step_model_read(&step, runs->values, runs->count, error));
    LS_TRY(forecast_make(&step, &network, forecast_bucket_bytes(s),
                         strcmp(s->scaling, "strong") == 0, &made, error));
    return write_forecast(s, &made, &step, &network, error);
}

static int run(const command *self, int argc, char **argv, ls_error *error) {
    forecast_settings settings = {0};
    operands rest;
    if (option_given(argc, argv, "measure-network")) /* the only part that the ranks do together */
        return forecast_run_measuring(self, argc, argv, error);
    if (option_given(argc, argv, "memory"))
        return forecast_run_memory(self, argc, argv, error);
    LS_TRY(lifeline_install_signals(error));
    LS_TRY(option_parse(self, argc, argv, &settings, &rest, error));
    if (rest.help) {
        option_print_help(self, stdout);
        return LS_OK;
    }
    LS_TRY(check_forecast(&settings, argc, argv, rest.count, error));
    return run_forecast(&settings, &rest, error);
}

#define PRESET_HELP(name, gbs, us, source) "\n  " name ": " #gbs " GB/s, " #us " us (" source ")"

const command command_forecast = {
    .name = "forecast",
    .usage = "RUN...",
    .summary = "Says what more ranks would bring, from one rank's step and a network.",
    .details =
        "RUN is the folder of a run of mode single with --profile: its layers.csv is one rank's\n"
        "step, row by row, scaled to the run's mean step. The first RUN's batch is every rank's\n"
        "(weak scaling) or all ranks' together (strong); RUNs of other batches say how rows\n"
        "change with the batch. With one batch they change in proportion, but for optimizer and\n"
        "other, which stay. Of several RUNs (16 at most) of one batch the mean counts: where a "
        "node's ranks\n"
        "share its memory or its power, run as many singles at once, one where each rank will be.\n"
        "\n"
        "The model: rows run one after the other. A bucket's all-reduce starts when backward has\n"
        "written its gradient and the collective before it is done; after backward each is waited\n"
        "for, and its part of the update made while the rest is on its way. A collective over R\n"
        "ranks of n bytes takes\n"
        "  all-reduce  2 (R-1) latency + 2 (R-1)/R n / bandwidth\n"
        "  all-gather    (R-1) latency +   (R-1)/R n / bandwidth   (n: all ranks' bytes)\n"
        "in a ring (Thakur, Rabenseifner, Gropp 2005; Patarasuk, Yuan 2009); over nodes of\n"
        "several ranks an all-reduce's parts inside and between them add up (--collectives). A "
        "measured\n"
        "network has its times at the measured sizes, scaled by the formula to other R, and says\n"
        "how much of a collective passes while a rank computes and how much slower that computes\n"
        "(on cpu its thread moves the bytes); a nominal one passes by itself. Factors: a\n"
        "linear layer's inputs and deltas are all-gathered and its gradient formed from all\n"
        "ranks' rows, where that is cheaper. Not in it: ranks that are unlike or out of step,\n"
        "links or switches that are shared with others, the update that two ranks of a node\n"
        "share out, a loader that falls behind, and mode dp.\n"
        "\n"
        "Under srun or mpirun, `forecast --measure-network [RUN]` times the collectives between\n"
        "the ranks at hand, at the sizes of RUN's step, into --output: on one node the link\n"
        "inside it, with one rank on each of several nodes the link between them.\n"
        "\n"
        "Presets, nominal, one direction of one link; a measurement is always "
        "better:" NETWORK_PRESETS(PRESET_HELP),
    .groups = (const option_group[]){{NULL, options, 0}, {0}},
    .operands_minimum = 0,
    .operands_maximum = FORECAST_MOST_RUNS,
    .run = run,
};
