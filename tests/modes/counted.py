#!/usr/bin/env python3
"""Nothing is left out of a training time: the images and steps that the device counted between the
clock's start and its stop are all of the data set's, at 1, 2 and 3 ranks, with a short last batch;
the steps that a profile saw fit into it. And runs with --ablate: they end well whatever their ranks
then compute, count the same work, are marked, and no report takes them.

usage: counted.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)
"""
import csv
import json
import os
import subprocess
import sys
import tempfile

import kit

lockstep = sys.argv[1]
kit.need_mpirun()
tap = kit.Tap()
PHASES = ["data_seconds", "forward_seconds", "backward_seconds", "exposed_communication_seconds",
          "optimizer_seconds"]


def summary_of(results):
    with open(os.path.join(results, "summary.csv"), newline="") as file:
        return next(csv.DictReader(file))


def counted(work, data, images, batch, mode, ranks):
    """Of one run: epochs.csv against what the data set has, and the clock against the spans."""
    name = f"{mode} at {ranks or 1} ranks, {images} images in batches of {batch}"
    results = os.path.join(work, f"{mode}{ranks}-{images}")
    whole = images // batch
    _, epochs = kit.train(lockstep, data, results, ranks, "--mode", mode, "--global-batch", str(batch),
                          "--profile", str(whole))
    summary = summary_of(results)
    steps = -(-images // batch)
    found = [(int(row["images"]), int(row["steps"])) for row in epochs]
    tap.check(f"{name}: the time holds every image and step", found == [(images, steps)] * 2
              and int(summary["images"]) == 2 * images and int(summary["steps"]) == 2 * steps, f"{found}")
    with open(os.path.join(results, "trace.json")) as file:
        seen = [e["dur"] / 1e6 for e in json.load(file)["traceEvents"] if e.get("cat") == "step" and e["pid"] == 0]
    seconds = float(epochs[0]["training_seconds"])
    tap.check(f"{name}: the {whole} whole steps fit into the time", len(seen) == whole
              and 0 < sum(seen) <= seconds, f"{sum(seen)} s of steps in {seconds} s")
    outside = [float(row["training_seconds"]) - sum(float(row[phase]) for phase in PHASES) for row in epochs]
    tap.check(f"{name}: the phases of all steps do too", min(outside) > -1e-6, f"{outside}")


def ablated(work, data, what, ranks, *options, device="cpu"):
    name = f"--ablate {what}, {ranks or 1} ranks, {' '.join(options)}"
    results = os.path.join(work, f"ablate-{tap.cases}")
    done = kit.attempt(lockstep, data, results, ranks, "--ablate", what, *options, device=device,
                       step_log=what != "compute")
    if done.returncode:
        tap.check(name, False, f"exit {done.returncode}: {done.stderr}")
        return
    summary = summary_of(results)
    report = subprocess.run([lockstep, "report", results], capture_output=True, text=True)
    refused = report.returncode == 2 and f"--ablate {what} is no training" in report.stderr
    tap.check(f"{name}: marked, and refused by report",
              summary["ablate"] == what and int(summary["images"]) == 202 and refused
              and done.stdout.count("this is no training") == 3,
              f"{summary['ablate']} {summary['images']} {report.returncode} {report.stderr}\n{done.stdout}")
    if what == "compute":
        left = [name for name in ("final_train_loss", "final_test_accuracy", "best_test_accuracy", "best_epoch",
                                  "parameters_hash", "certificate_hash") if summary[name]]
        tap.check(f"{name}: the rate of loading alone, and nothing that was learned",
                  not left and f"{summary['steps']} batches: the loader alone delivers" in done.stdout
                  and "test accuracy" not in done.stdout and int(summary["steps"]) == 10
                  and float(summary["forward_seconds"]) == 0 < float(summary["data_seconds"]),
                  f"{left} {summary['forward_seconds']} {summary['data_seconds']}\n{done.stdout}")


with tempfile.TemporaryDirectory() as work:
    small = [kit.pack(lockstep, os.path.join(work, f"data{images}"), images, "--size", "8", "--test-images", "9")
             for images in (101, 97)]
    for mode, ranks in (("single", 0), ("ddp", 2), ("ddp", 3), ("dp", 3)):
        counted(work, small[0], 101, 24, mode, ranks)
    counted(work, small[1], 97, 24, "ddp", 3)  # two ranks have none of the last image
    batch = ["--global-batch", "24"]
    for mode in ("ddp", "dp"):
        ablated(work, small[0], "comm", 2, "--mode", mode, *batch)
    ablated(work, small[0], "comm", 3, "--mode", "ddp", *batch, "--precision", "fp16", "--learning-rate", "1000",
            device="ref")
    ablated(work, small[0], "data", 0, "--mode", "single", *batch)
    ablated(work, small[0], "data", 3, "--mode", "dp", *batch)
    for mode, ranks in (("single", 0), ("ddp", 3), ("dp", 2)):
        ablated(work, small[0], "compute", ranks, "--mode", mode, *batch)
sys.exit(tap.done())
