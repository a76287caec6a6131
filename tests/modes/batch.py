#!/usr/bin/env python3
"""The batch that a run finds: --batch-per-rank auto is the most that --device-memory or a control group lets it
hold, on all ranks, and a resume takes the same; auto:throughput and --accumulate auto.

usage: batch.py LOCKSTEP  (the binary; without mpirun the runs of two ranks are left out)
"""
import csv
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile

import kit
from memory_group import MemoryGroup  # tests/support, which kit knows

kit.ENVIRONMENT.pop("MALLOC_PERTURB_", None)  # meson's: it touches what a program only reserves
lockstep = sys.argv[1]
tap = kit.Tap()
BAR = 0.97  # the batch found, of the most that can be


def attempt(data, results, ranks, *options, **how):
    return kit.attempt(lockstep, data, results, ranks, *options, **{"epochs": 1, "step_log": False, **how})


def summary(done, results):
    if done.returncode:
        raise SystemExit(f"Bail out! {' '.join(done.args)}: {done.returncode}\n{done.stderr}")
    with open(os.path.join(results, "summary.csv"), newline="") as text:
        return next(csv.DictReader(text))


def refused(name, done, text):
    tap.check(name, done.returncode == 2 and re.search(text, done.stderr) and
              len(re.findall("(?m)^lockstep: ", done.stderr)) == 1,
              f"{done.returncode}: {done.stderr}")


def most(work, data, name, ranks, megabytes, *options):
    """It trains with what it found, and what is larger by the bar is refused."""
    results = os.path.join(work, name.replace(" ", "-"))
    bound = ["--device-memory", str(megabytes), *options]
    row = summary(attempt(data, results, ranks, "--batch-per-rank", "auto", *bound), results)
    found = int(row["batch_per_rank"])
    kinds = "parameters gradients optimizer packed activations workspace communication".split()
    held = sum(float(row[f"memory_{kind}_bytes"]) for kind in kinds)
    tap.check(f"{name}: {found} a rank hold {held / 1e6:.1f} of {megabytes} MB", held <= megabytes * 1e6 and
              row["batch_choice"] == "auto" and f"--batch-per-rank {found}" in row["batch_note"], str(row))
    done = attempt(data, results + "-more", ranks, "--batch-per-rank", str(math.floor(found / BAR) + 1), *bound)
    refused(f"{name}: {math.floor(found / BAR) + 1} do not fit", done, rf"--device-memory {megabytes}: .* would hold")
    return found


def goes_on(work, data):
    """A resume takes the checkpoint's batch, whatever would fit now."""
    results = os.path.join(work, "resumed")
    options = ["--mode", "single", "--model", "cnn", "--batch-per-rank", "auto", "--checkpoint-every", "epoch"]
    first = summary(attempt(data, results, 0, *options, "--device-memory", "90"), results)
    shutil.move(os.path.join(results, "checkpoints"), os.path.join(work, "kept"))
    done = attempt(data, results + "-on", 0, *options, "--device-memory", "120", "--checkpoint-dir",
                   os.path.join(work, "kept"), epochs=2)
    second = summary(done, results + "-on")
    tap.check(f"a resume goes on with {first['batch_per_rank']} a rank", "resumed" in done.stdout and
              second["batch_per_rank"] == first["batch_per_rank"] and
              "as the checkpoint has it" in second["batch_note"], f"{second}\n{done.stdout}")


def parts(work, data):
    """A batch that does not fit is split into as few as fit."""
    results = os.path.join(work, "parts")
    bound = ["--mode", "single", "--model", "cnn", "--global-batch", "200", "--device-memory", "110"]
    row = summary(attempt(data, results, 0, "--accumulate", "auto", *bound), results)
    found = int(row["accumulate"])
    tap.check(f"--accumulate auto: {found} micro-batches", found > 2 and row["global_batch"] == "200" and
              f"--accumulate {found}" in row["batch_note"], str(row))
    refused("--accumulate auto: one less does not fit",
            attempt(data, results + "-less", 0, "--accumulate", str(found - 1), *bound), "would hold")


def fastest(work, data):
    results = os.path.join(work, "fastest")
    row = summary(attempt(data, results, 0, "--mode", "single", "--model", "cnn", "--batch-per-rank",
                          "auto:throughput", "--device-memory", "100"), results)
    limit = re.search(r"; (\d+) fit into", row["batch_note"])
    tap.check("auto:throughput: at most what fits, with its rate", limit and
              1 <= int(row["batch_per_rank"]) <= int(limit[1]) and "images/s" in row["batch_note"], str(row))


def in_group(work, data):
    """What a control group leaves: it trains there, and is not killed."""
    limit = 180_000_000
    with MemoryGroup(limit) as group:
        if not group.folder:
            tap.check("a control group # SKIP none can be made here", True)
            return
        results = os.path.join(work, "group")
        command = [lockstep, "train", "--data", data, "--device", "cpu", "--epochs", "1", "--threads", "1", "--model",
                   "cnn", "--batch-per-rank", "auto", "--oversubscribe", "--results", results]
        done = subprocess.run(command, env=kit.ENVIRONMENT, capture_output=True, text=True, preexec_fn=group.join)
        row = summary(done, results)
        peak = float(row["memory_measured_bytes"])
        tap.check(f"a control group of {limit / 1e6:.0f} MB: {row['batch_per_rank']} a rank, {peak / 1e6:.1f} MB",
                  group.folder in row["batch_note"] and peak > 0.9 * limit, str(row))


with tempfile.TemporaryDirectory(prefix="lockstep-batch-") as work:
    images = kit.pack(lockstep, os.path.join(work, "images"), 400, "--test-images", "10")
    small = kit.pack(lockstep, os.path.join(work, "small"), 120, "--test-images", "6", "--size", "16")
    most(work, images, "cnn", 0, 110, "--mode", "single", "--model", "cnn")
    most(work, small, "vit", 0, 90, "--mode", "single", "--model", "vit-ti16", "--patch", "4", "--recompute", "block")
    if shutil.which("mpirun"):
        most(work, small, "ddp of two ranks", 2, 125, "--mode", "ddp", "--model", "vit-ti16", "--patch", "4")
        most(work, images, "zero2 of two ranks", 2, 130, "--mode", "zero2", "--model", "cnn")
    whole = summary(attempt(small, os.path.join(work, "whole"), 0, "--mode", "single", "--model", "resnet18-small",
                            "--batch-per-rank", "auto"), os.path.join(work, "whole"))
    tap.check("all of the data set where that fits", whole["batch_per_rank"] == "120" and
              "all that the data set has" in whole["batch_note"], str(whole))
    goes_on(work, images)
    parts(work, images)
    fastest(work, images)
    in_group(work, images)
    refused("no batch fits", attempt(images, os.path.join(work, "none"), 0, "--mode", "single", "--model", "cnn",
                                     "--batch-per-rank", "auto", "--device-memory", "20"), "no batch fits: .* 20.0 MB")
    refused("a batch that is given and found", attempt(images, os.path.join(work, "both"), 0, "--batch-per-rank",
                                                       "auto", "--global-batch", "8"), "contradict")
    refused("neither a number nor a word", attempt(images, os.path.join(work, "word"), 0, "--batch-per-rank",
                                                   "most"), "auto|auto:throughput or a whole number")
sys.exit(tap.done())
