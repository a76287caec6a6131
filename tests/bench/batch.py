#!/usr/bin/env python3
"""The batch that --batch-per-rank auto finds, over the highest that a search by trial finds: in a control group
whose limit kills who goes beyond it. As root, on an idle machine.

usage: batch.py LOCKSTEP [MEGABYTES]
"""
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from memory_group import MemoryGroup  # noqa: E402

lockstep = sys.argv[1]
limit = int(float(sys.argv[2]) * 1e6) if len(sys.argv) > 2 else 400_000_000
ENVIRONMENT = dict(os.environ, CUDA_VISIBLE_DEVICES="")
CASES = [("cnn", 32, 1500, []), ("vit-ti16", 64, 400, ["--patch", "8"])]


def run(data, batch, options, folder):
    """Whether it came to its end within the limit; summary.csv's row."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [lockstep, "train", "--data", data, "--device", "cpu", "--mode", "single", "--epochs", "1",
               "--certificate", "off", "--batch-per-rank", str(batch), "--results", folder, *options]
    with MemoryGroup(limit) as group:
        if not group.folder:
            sys.exit("no control group can be made here")
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, preexec_fn=group.join)
    if done.returncode:
        return False, done.stderr.strip().splitlines()[-1:]
    with open(os.path.join(folder, "summary.csv"), newline="") as file:
        return True, next(csv.DictReader(file))


print(f"{limit / 1e6:.0f} MB a process, of a control group\n")
print("| model | found | highest by trial | ratio | found in s | a step of it, s | bar: 10 steps + 5 s |")
print("|---|---|---|---|---|---|---|")
for model, side, images, options in CASES:
    with tempfile.TemporaryDirectory() as work:
        data, folder = os.path.join(work, "data"), os.path.join(work, "run")
        subprocess.run([lockstep, "pack", "synthetic", data, "--images", str(images), "--test-images", "16", "--seed",
                        "1", "--size", str(side)], check=True, capture_output=True)
        options = ["--model", model, *options]
        fits, row = run(data, "auto", options, folder)
        if not fits:
            sys.exit(f"{model}: the batch that was found failed: {row}")
        found = int(row["batch_per_rank"])
        took = float(re.search(r"found in ([0-9.e+-]+) s", row["batch_note"])[1])
        step = float(row["training_seconds"]) / -(-images // found)
        low, high = found, found + max(1, found // 4)
        while run(data, high, options, folder)[0]:
            low, high = high, high + max(1, found // 4)
        while high - low > max(1, found // 200):
            middle = (low + high) // 2
            if run(data, middle, options, folder)[0]:
                low = middle
            else:
                high = middle
        print(f"| {model} | {found} | {low} | {found / low:.3f} | {took:.2f} | {step:.2f} | {10 * step + 5:.1f} |",
              flush=True)
