#!/usr/bin/env python3
"""Forecast against measured: `lockstep forecast` from one rank's profiled step and a measured network,
and the step that the same ranks then take.

usage: forecast.py LOCKSTEP [--steps N] [--rounds N] [--only PLACE]

Places: 1 rank; 2 ranks on one node of one core each; 2 nodes of the test cluster with the link
between them at 10, 1 and 0.2 Gbit/s (tc tbf; as root, it brings the cluster up and down). Four ranks
would share two cores, and their time would say nothing. A round profiles single, measures the
network, and trains each comm choice for --steps steps; what is compared are medians over the rounds.
Exit code 1 where one is further than 10% from what was measured.
"""
import argparse
import csv
import os
import statistics
import subprocess
import tempfile

import runs

BAR = 0.10
RATES = {"2 nodes, 10 Gbit/s": 10000, "2 nodes, 1 Gbit/s": 1000, "2 nodes, 0.2 Gbit/s": 200}
PLACES = ["1 rank", "1 node, 2 ranks", *RATES]
CHOICES = {
    "plain": ["--bucket-mb", 65536, "--factor-comm", "off"],
    "buckets": ["--factor-comm", "off"],
    "buckets-bf16": ["--grad-comm", "bf16", "--factor-comm", "off"],
    "factors": ["--factor-comm", "auto"],
}
PROFILED = 20  # steps, or all there are

arguments = argparse.ArgumentParser()
arguments.add_argument("lockstep")
arguments.add_argument("--steps", type=int, default=50)
arguments.add_argument("--rounds", type=int, default=3)
arguments.add_argument("--only", choices=PLACES)
given = arguments.parse_args()
lockstep = os.path.abspath(given.lockstep)
here = os.path.dirname(os.path.abspath(__file__))
cluster = os.path.join(here, "..", "..", "slurm", "cluster.sh")


def run(command, environment=runs.ENVIRONMENT):
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def row_of(path, **wanted):
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if all(row[name] == value for name, value in wanted.items()):
                return row
    raise SystemExit(f"{path}: no row {wanted}")


class Place:
    """Where ranks run: a launcher's command, and the environment for it."""

    def __init__(self, name):
        self.name, self.environment, self.state = name, runs.ENVIRONMENT, None
        self.launcher = ["mpirun", "--bind-to", "core", "--map-by", "core", "-n", "2"]

    def __enter__(self):
        if self.name not in RATES:
            return self
        self.state = os.path.join("/run", f"forecast-bench-{os.getpid()}")
        run(["sh", cluster, "up", "--dir", self.state, "--rate", RATES[self.name]])
        self.environment = dict(runs.ENVIRONMENT, SLURM_CONF=f"{self.state}/slurm.conf")
        self.launcher = ["srun", "-N2", "-n2", "--mpi=pmix"]
        return self

    def __exit__(self, *_):
        if self.state:
            run(["sh", cluster, "down", "--dir", self.state])

    def start(self, *command):
        return run([*self.launcher, lockstep, *command], self.environment)


def step_seconds(folder):
    row = row_of(os.path.join(folder, "summary.csv"))
    return float(row["training_seconds"]) / float(row["steps"])


def train(data, folder, launcher, *options, environment=runs.ENVIRONMENT):
    run([*launcher, lockstep, "train", "--data", data, "--device", "cpu", "--threads", 1, "--epochs",
         1, "--results", folder, *options], environment)
    return step_seconds(folder)


def one_round(place, data, work, predicted, measured):
    """Adds this round's seconds to predicted and measured, by choice."""
    single, network, table = f"{work}/single", f"{work}/network.csv", f"{work}/forecast.csv"
    alone = ["taskset", "-c", "0"]
    train(data[1], single, alone, "--profile", min(PROFILED, given.steps))
    if place.name == "1 rank":
        run([lockstep, "forecast", single, "--preset", "1gbe", "--csv", table])
        ranks, choices = "1", {"single": "plain"}
        found = {"single": train(data[1], f"{work}/again", alone)}
    else:
        place.start("forecast", "--measure-network", single, "--device", "cpu", "--threads", 1,
                    "--output", network)
        run([lockstep, "forecast", single, "--network", network, "--csv", table])
        ranks, choices = "2", {name: name for name in CHOICES}
        found = {name: train(data[2], f"{work}/{name}", place.launcher, "--mode", "ddp", *options,
                             environment=place.environment) for name, options in CHOICES.items()}
    for name, choice in choices.items():
        predicted.setdefault(name, []).append(
            float(row_of(table, choice=choice, ranks=ranks)["step_seconds"]))
        measured.setdefault(name, []).append(found[name])


def compare(place, data, work):
    predicted, measured, missed = {}, {}, 0
    with Place(place) as at:
        for number in range(given.rounds):
            with tempfile.TemporaryDirectory(dir=work) as folder:
                one_round(at, data, folder, predicted, measured)
    for name in predicted:
        forecast, real = statistics.median(predicted[name]), statistics.median(measured[name])
        error = forecast / real - 1
        missed += abs(error) > BAR
        print(f"{place:20} {name:13} {1e3 * forecast:9.2f} {1e3 * real:9.2f} "
              f"{100 * error:+7.1f}%  {'' if abs(error) <= BAR else 'MISSED'}".rstrip(), flush=True)
    return missed


# Under the binary's folder: the nodes of the test cluster have a /tmp of their own.
with tempfile.TemporaryDirectory(dir=os.path.dirname(lockstep)) as work:
    data = {ranks: runs.synthetic(lockstep, f"{work}/data{ranks}", 64 * ranks * given.steps, 64)
            for ranks in (1, 2)}
    print(f"{given.rounds} rounds of {given.steps} steps, batch 64 a rank, one core a rank; "
          "milliseconds a step")
    print(f"{'place':20} {'choice':13} {'forecast':>9} {'measured':>9} {'error':>8}")
    missed = sum(compare(place, data, work) for place in PLACES if given.only in (None, place))
print("holds: all within 10%" if missed == 0 else f"MISSED: {missed} further than 10%")
raise SystemExit(missed != 0)
