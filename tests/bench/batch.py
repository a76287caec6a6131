#!/usr/bin/env python3
"""The batch that --batch-per-rank auto finds, over the highest that a search by trial finds: in a control group
whose limit kills who goes beyond it; or, with --bound device, under --device-memory, which refuses. As root; only
times want an idle machine.

usage: batch.py LOCKSTEP [--bound group|device] [--megabytes N] [--models cnn,vit-ti16]
                [--modes single,ddp:2,fsdp:2] [--precisions fp32,bf16] [--recompute cheap,block]

A mode's number is its ranks, which share a group's limit; recompute is of transformers. A trial is a batch that is a
multiple of the largest power of two below a hundredth of what was found: from 1/0.97 of that upwards while they fit,
then between. Bars: 0.97; 10 steps and 5 s. Exit code 1 where one is missed.
"""
import argparse
import csv
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile

import runs

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from memory_group import MemoryGroup  # noqa: E402

BAR, STEPS, SECONDS = 0.97, 10, 5
SIDES = {"cnn": 32, "vit-ti16": 64}  # and patches of 8
IMAGES = {"cnn": 3000, "vit-ti16": 800}


def run(arguments, data, batch, ranks, options, folder):
    """Whether it came to its end within the limit; summary.csv's row, or its last line."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [arguments.lockstep, "train", "--data", data, "--device", "cpu", "--epochs", "1", "--threads", "1",
               "--certificate", "off", "--batch-per-rank", str(batch), "--results", folder, *options]
    if arguments.bound == "device":
        command += ["--device-memory", str(arguments.megabytes // ranks)]
    if ranks > 1:
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), *command, "--oversubscribe"]
    with MemoryGroup(int(arguments.megabytes * 1e6) if arguments.bound == "group" else 1 << 50) as group:
        if not group.folder:
            sys.exit("no control group can be made here")
        done = subprocess.run(command, env=runs.ENVIRONMENT, capture_output=True, text=True, preexec_fn=group.join)
    if done.returncode:
        return False, [line for line in done.stderr.strip().splitlines() if line.startswith("lockstep:")][-1:]
    with open(os.path.join(folder, "summary.csv"), newline="") as file:
        return True, next(csv.DictReader(file))


def highest(found, fits):
    """The highest that `fits`, as far as the steps between trials tell."""
    by = 1 << max(0, (found // 100).bit_length() - 1)
    low, high = found // by, -(-found // by)
    high = max(high, int(found / BAR) // by) + 1
    while fits(high * by):
        low, high = high, high + max(1, high // 16)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle * by) else (low, middle)
    return max(found, low * by)


def case(arguments, work, model, mode, ranks, precision, recompute):
    data, folder = os.path.join(work, model), os.path.join(work, "run")
    options = ["--model", model, "--mode", mode, "--precision", precision]
    if model.startswith("vit"):
        options += ["--patch", "8", "--recompute", recompute]
    name = f"{model}, {mode} on {ranks}, {precision}{f', recompute {recompute}' if model.startswith('vit') else ''}"
    fits, row = run(arguments, data, "auto", ranks, options, folder)
    if not fits:
        print(f"| {name} | FAILED: {row} |", flush=True)
        return False
    found = int(row["batch_per_rank"])
    took = float(re.search(r"found in ([0-9.e+-]+) s", row["batch_note"])[1])
    step = float(row["training_seconds"]) / -(-IMAGES[model] // (ranks * found))
    planned = float(row["memory_planned_bytes"]) / float(row["memory_measured_bytes"])
    ratio = found / highest(found, lambda batch: run(arguments, data, batch, ranks, options, folder)[0])
    met = ratio >= BAR and took <= STEPS * step + SECONDS
    print(f"| {name} | {found} | {found / ratio:.0f} | {ratio:.3f} | {planned:.3f} | {took:.2f} | {step:.2f} | "
          f"{STEPS * step + SECONDS:.1f} |{'' if met else ' MISSED'}", flush=True)
    return met


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lockstep", type=os.path.abspath)
    parser.add_argument("--bound", choices=("group", "device"), default="group")
    parser.add_argument("--megabytes", type=int, default=400)
    for name, default in (("models", "cnn,vit-ti16"), ("modes", "single,ddp:2,zero2:2,fsdp:2"),
                          ("precisions", "fp32,bf16"), ("recompute", "cheap,block")):
        parser.add_argument(f"--{name}", type=lambda words: words.split(","), default=default.split(","))
    arguments = parser.parse_args()
    print(f"{arguments.megabytes} MB in all, of {arguments.bound}; bars: {BAR}, {STEPS} steps and {SECONDS} s\n\n"
          "| run | found | highest by trial | ratio | planned over measured | found in s | a step of it, s | at most s |\n"
          "|---|---|---|---|---|---|---|---|", flush=True)
    met = True
    with tempfile.TemporaryDirectory() as work:
        for model in arguments.models:
            subprocess.run([arguments.lockstep, "pack", "synthetic", os.path.join(work, model), "--images", str(IMAGES[model]),
                            "--test-images", "16", "--seed", "1", "--size", str(SIDES[model])], check=True,
                           capture_output=True)
            kinds = arguments.recompute if model.startswith("vit") else ["none"]
            for mode, precision, recompute in itertools.product(arguments.modes, arguments.precisions, kinds):
                mode, _, ranks = mode.partition(":")
                met &= case(arguments, work, model, mode, int(ranks or 1), precision, recompute)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
