#!/usr/bin/env python3
"""The memory of a run: what was planned before it was taken is what is held and what the process came
to need; and --recompute: the same bits for less of it, in every mode.

usage: memory.py LOCKSTEP  (the binary; without mpirun the runs of two ranks are left out)
"""
import csv
import os
import re
import shutil
import sys
import tempfile

import kit

kit.ENVIRONMENT.pop("MALLOC_PERTURB_", None)  # meson's: it touches what a program only reserves
lockstep = sys.argv[1]
tap = kit.Tap()
WITHIN = 0.05


def summary(results):
    with open(os.path.join(results, "summary.csv"), newline="") as text:
        return next(csv.DictReader(text))


def planned(work, data, model, batch, *options):
    """The plan against the process's peak; and each kind that is planned against what is held."""
    results = os.path.join(work, f"{model}-{tap.cases}")
    done = kit.attempt(lockstep, data, results, 0, "--mode", "single", "--model", model, "--batch-per-rank",
                       str(batch), "--verbose", *options, epochs=1, step_log=False)
    if done.returncode:
        raise SystemExit(f"Bail out! {' '.join(done.args)}: {done.returncode}\n{done.stderr}")
    row = summary(results)
    plan, measured = float(row["memory_planned_bytes"]), float(row["memory_measured_bytes"])
    tap.check(f"{model}: {plan / 1e6:.0f} MB planned, {measured / 1e6:.0f} MB measured",
              plan > 100e6 and abs(measured / plan - 1) <= WITHIN, f"measured {measured / plan:.4f} of the plan")
    lines = re.findall(r"memory  .*", done.stdout)
    tap.check(f"{model}: every kind is held as it was planned", len(lines) >= 10 and
              not any("planned," in line for line in lines), "\n".join(lines) or done.stdout)
    kinds = [value for name, value in row.items() if re.fullmatch(r"memory_(?!planned|measured|limit)\w+_bytes", name)]
    tap.check(f"{model}: the kinds add up to the plan", len(kinds) == 10 and
              abs(sum(float(value) for value in kinds) - plan) < 1, f"{kinds} of {plan}")


def again(work, data, model, ranks, name, *options):
    """The same bits of losses, parameters and running statistics, whatever is computed again."""
    seen = {}
    for what in ("none", "cheap", "block"):
        results = os.path.join(work, f"{model}-{tap.cases}-{what}")
        losses, epochs = kit.train(lockstep, data, results, ranks, "--model", model, "--global-batch", "6",
                                   "--recompute", what, *options, epochs=1)
        row = summary(results)
        seen[what] = (losses, row["parameters_hash"], epochs[-1]["test_loss"], row["plan_id"])
    tap.check(f"{name}: the same bits", seen["cheap"] == seen["none"] and seen["block"] == seen["none"], str(seen))


with tempfile.TemporaryDirectory(prefix="lockstep-memory-") as work:
    small = kit.pack(lockstep, os.path.join(work, "small"), 12, "--test-images", "6", "--size", "16")
    large = kit.pack(lockstep, os.path.join(work, "large"), 8, "--test-images", "2", "--size", "112")
    many = kit.pack(lockstep, os.path.join(work, "many"), 256, "--test-images", "10")
    planned(work, many, "cnn", 128)
    planned(work, large, "resnet18", 8)
    planned(work, large, "vit-s16", 8, "--clip-norm", "1")
    again(work, small, "resnet18-small", 0, "resnet18-small", "--mode", "single")
    again(work, small, "resnet18-small", 0, "micro-batches", "--mode", "single", "--accumulate", "2")
    if shutil.which("mpirun"):
        again(work, small, "vit-ti16", 2, "ddp", "--mode", "ddp", "--patch", "8", "--bucket-mb", "1",
              "--factor-comm", "off")
        again(work, small, "vit-ti16", 2, "strict", "--mode", "ddp", "--patch", "8", "--strict", "--lanes", "2", "--strict-cost", "on")
        again(work, small, "resnet18-small", 2, "sync", "--mode", "ddp", "--sync-batchnorm", "--bucket-mb", "1",
              "--factor-comm", "off")
sys.exit(tap.done())
