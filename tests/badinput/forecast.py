#!/usr/bin/env python3
"""Bad input of `lockstep forecast`: options, runs, networks; and that the good ones pass.

usage: forecast.py LOCKSTEP [PART-OF-A-CASE'S-NAME]
"""
import csv
import os
import subprocess

from kit import Refusal, Suite, clean_environment

suite = Suite()
HEADER = ("order,layer,phase,seconds,flop,bytes,floor_seconds,gradient_first,gradient_count,"
          "kind,in_features,out_features\n")
NETWORK = ("call,type,ranks,nodes,hosts,comm,device,bytes,seconds,following_seconds,progress,slowdown\n"
           "allreduce,fp32,2,2,a b,mpi,cpu,4096,0.0001,0.0001,0.5,0.1\n"
           "allreduce,fp32,2,2,a b,mpi,cpu,1048576,0.01,0.01,0.5,0.1\n")


def write(path, text):
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(text)
    return path


def make_run(name, mode="single", ranks=0):
    """A real run's summary, and rows as --profile writes them."""
    folder = suite.path(name)
    data = suite.path("data")
    if not os.path.exists(data):
        suite.pack("data", 64, 8)
    command = suite.command(ranks, "train", "--data", data, "--mode", mode, "--device", "cpu",
                            "--epochs", 1, "--threads", 1, "--oversubscribe", "--results", folder)
    subprocess.run(command, check=True, capture_output=True, env=clean_environment())
    with open(os.path.join(folder, "summary.csv"), newline="", encoding="utf-8") as file:
        parameters = int(next(csv.DictReader(file))["parameters"])
    rows = [("conv1", "forward", 0.01, 0, 0), ("fc1", "backward_weights", 0.01, 896, parameters - 896),
            ("conv1", "backward_weights", 0.02, 0, 896), ("", "optimizer", 0.002, 0, 0)]
    write(os.path.join(folder, "layers.csv"), HEADER + "".join(
        f"{order},{layer},{phase},{seconds},,,,{first},{count},,,\n"
        for order, (layer, phase, seconds, first, count) in enumerate(rows, 1)))
    return folder


def edited(name, change, file="layers.csv"):
    folder = suite.copy(run, name)
    path = os.path.join(folder, file)
    with open(path, encoding="utf-8") as source:
        text = source.read()
    if change(text) == text:
        raise SystemExit(f"{name}: the edit changed nothing")
    write(path, change(text))
    return folder


run = make_run("run")
network = write(suite.path("network.csv"), NETWORK)
PRESET = ("--preset", "10gbe")


def refused(name, pattern, *arguments, code=2, ranks=(0,)):
    suite.refused(name, code, pattern, ["forecast", *arguments], ranks=ranks)


# ---- what must pass
def passes(name, *arguments):
    def check():
        done = subprocess.run([suite.lockstep, "forecast", *arguments], capture_output=True,
                              text=True, env=clean_environment())
        if done.returncode or "1024" not in done.stdout:
            raise Refusal(f"exit code {done.returncode}\n{done.stderr}")
    suite.add(name, check)


def table_of(*folders):
    path = suite.path("forecast.csv")
    subprocess.run([suite.lockstep, "forecast", *folders, *PRESET, "--csv", path], check=True,
                   capture_output=True, env=clean_environment())
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def mean_step(folder):
    with open(os.path.join(folder, "summary.csv"), newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    return float(row["training_seconds"]) / float(row["images"]) * float(row["global_batch"])


def csv_is_complete():
    rows = table_of(run)
    if len(rows) != 77 or {row["choice"] for row in rows} != {
            "plain", "buckets", "buckets-bf16", "factors", "zero", "fsdp", "best"}:
        raise Refusal(f"{len(rows)} rows: expected 7 choices at 11 numbers of ranks")
    # Ranks that share out the update save some of it.
    if any(not float(row["step_seconds"]) >= 0.999999 * mean_step(run) for row in rows
           if row["as"] not in ("zero", "fsdp")):
        raise Refusal("a step is shorter than one rank's")


def several_runs_are_their_mean():
    again = make_run("again")
    alone = next(float(row["step_seconds"]) for row in table_of(run, again, again) if row["ranks"] == "1")
    mean = (mean_step(run) + 2 * mean_step(again)) / 3
    if abs(alone / mean - 1) > 1e-6:
        raise Refusal(f"one rank's step is {alone}: expected {mean}")


passes("a preset", run, *PRESET)
passes("latency and bandwidth", run, "--latency-us", "5", "--bandwidth-gbs", "10")
passes("a measured network", run, "--network", network)
passes("a network that goes on while computing is slowed down", run, "--network",
       write(suite.path("fast.csv"), NETWORK.replace("0.5,0.1", "1.05,0.1")))
passes("nodes of several ranks", run, *PRESET, "--ranks-per-node", "8", "--inside-preset", "nvlink4")
suite.add("the CSV has every choice at every number of ranks", csv_is_complete)
suite.add("several runs of one batch count by their mean", several_runs_are_their_mean)

# ---- options
refused("no RUN", "expected RUN", *PRESET)
refused("no network", "expected a network", run)
refused("an unknown preset", r"--preset: expected one of nvlink4 .*'carrier-pigeon'", run,
        "--preset", "carrier-pigeon")
refused("two networks", "--preset and --latency-us contradict", run, *PRESET, "--latency-us", "1",
        "--bandwidth-gbs", "1")
refused("a file and a preset", "--network and --preset contradict", run, *PRESET, "--network", network)
refused("latency without bandwidth", "--latency-us: expected --bandwidth-gbs", run, "--latency-us", "1")
refused("bandwidth without latency", "--bandwidth-gbs: expected --latency-us", run,
        "--bandwidth-gbs", "1")
refused("a negative latency", r"--latency-us: .*'-1'", run, "--latency-us", "-1", "--bandwidth-gbs", "1")
refused("no bandwidth", r"--bandwidth-gbs: .*'0'", run, "--latency-us", "1", "--bandwidth-gbs", "0")
refused("several ranks a node, nothing inside", "--ranks-per-node 8: expected the network inside",
        run, *PRESET, "--ranks-per-node", "8")
refused("something inside, one rank a node", "--inside-preset and --ranks-per-node 1 contradict", run,
        *PRESET, "--inside-preset", "nvlink4")
refused("two networks inside", "--inside-network and --inside-preset contradict", run, *PRESET,
        "--ranks-per-node", "2", "--inside-preset", "nvlink4", "--inside-network", network)
refused("a network between nodes inside one", "measured between 2 nodes", run, *PRESET,
        "--ranks-per-node", "2", "--inside-network", network)
refused("measuring's options in a forecast", "--device and a forecast contradict", run, *PRESET,
        "--device", "cpu")
refused("a forecast's options in measuring", "--preset and --measure-network contradict",
        "--measure-network", *PRESET, ranks=(0, 2))
refused("--csv in a folder that is not there", "--csv: .*nowhere", run, *PRESET, "--csv", "nowhere/a")
refused("measuring alone", "expected 2 ranks or more, found 1", "--measure-network", "--device", "cpu",
        code=3)
refused("measuring for a run that is not there", "nowhere", "--measure-network", "nowhere", "--device",
        "cpu", ranks=(2,))

# ---- runs
refused("a run that is not there", "nowhere: expected the folder", "nowhere", *PRESET)
bare = suite.copy(run, "bare")
os.remove(os.path.join(bare, "layers.csv"))
refused("no layers.csv", r"no layers.csv there .*--profile N", bare, *PRESET)
for name, pattern, change in (
        ("cut inside a row", "layers.csv", lambda text: text[:-20]),
        ("cut between rows", r"no row makes the gradient \[0, 896\) final",
         lambda text: "".join(text.splitlines(True)[:-2])),
        ("a row left out", "order: expected the rows in order", lambda text: "".join(
            line for line in text.splitlines(True) if not line.startswith("2,"))),
        ("negative seconds", r"seconds: expected a number of at least 0, found '-0.02'",
         lambda text: text.replace("0.02,", "-0.02,")),
        ("seconds that are no number", "seconds: .*'nan'", lambda text: text.replace("0.02,", "nan,")),
        ("an unknown phase", "phase: expected a phase of a step, found 'sideways'",
         lambda text: text.replace("forward", "sideways")),
        ("a gradient with a gap", r"does not end where the one before it begins",
         lambda text: text.replace(",0,896", ",0,895")),
        ("features that are no number", "in_features: expected a number of at least 0, found 'x'",
         lambda text: text.replace(",0,896,,,", ",0,896,,x,9")),
        ("features of one side", "out_features: expected a number beside in_features",
         lambda text: text.replace(",0,896,,,", ",0,896,,7,")),
        ("an older version's columns", "column 'in_features' is missing .an older lockstep",
         lambda text: text.replace("in_features", "inner")),
        ("no column of seconds", "column 'seconds' is missing",
         lambda text: text.replace("seconds,flop", "time,flop")),
        ("no rows", "expected the rows of a step", lambda text: HEADER),
        ("nothing", "the file is empty", lambda text: "")):
    refused(f"layers.csv: {name}", pattern, edited(f"edit {name}", change), *PRESET)
refused("a run of another mode", "expected a run of mode single, found ddp",
        edited("ddp", lambda text: text.replace("single", "ddp"), "summary.csv"), *PRESET)

# ---- networks
refused("a network that is not there", "nowhere.csv", run, "--network", "nowhere.csv")
for name, pattern, text in (
        ("negative seconds", "seconds: expected a number", NETWORK.replace(",0.01,", ",-0.01,")),
        ("one size", "two sizes or more, found 1", "".join(NETWORK.splitlines(True)[:2])),
        ("cut", "network", NETWORK[:-9]),
        ("another number of ranks", "expected 2 ranks on 2 nodes", NETWORK.replace(
            "2,2,a b,mpi,cpu,1048576", "4,2,a b,mpi,cpu,1048576")),
        ("an unknown call", "expected allreduce of fp32 or bf16", NETWORK.replace("allreduce", "send")),
        ("progress faster than alone", r"progress of at most 1 \+ slowdown", NETWORK.replace("0.5,", "1.5,")),
        ("a run's summary", "expected what lockstep forecast --measure-network wrote", "a,b\n1,2\n")):
    refused(f"network.csv: {name}", pattern, run, "--network",
            write(suite.path(f"network {name}.csv"), text))

suite.finish()
