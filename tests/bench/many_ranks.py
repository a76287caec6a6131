#!/usr/bin/env python3
"""Many ranks of one node start, train and end: what the start takes of time and of CPU time, a rank,
and what of it measuring the exchange takes. Images of 8 x 8, so that a step is next to nothing; cores
are shared, so CPU time that grows with the ranks is work (or waiting in a loop) that each rank does
for every other.

usage: many_ranks.py LOCKSTEP [RANKS...]   8 16 32 64 128 without RANKS
"""
import re
import subprocess
import sys
import tempfile

import runs

lockstep = sys.argv[1]
numbers = [int(word) for word in sys.argv[2:]] or [8, 16, 32, 64, 128]
STEPS, BATCH, BAR = 4, 4, 1.5


def train(work, ranks):
    """The row of summary.csv, and what the header says that measuring took."""
    data, folder = f"{work}/data-{ranks}", f"{work}/run-{ranks}"
    subprocess.run([lockstep, "pack", "synthetic", data, "--images", str(STEPS * BATCH * ranks),
                    "--test-images", str(BATCH * ranks), "--size", "8", "--seed", "1"], check=True,
                   capture_output=True)
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), lockstep, "train",
               "--data", data, "--device", "cpu", "--mode", "ddp", "--threads", "1",
               "--oversubscribe", "--batch-per-rank", str(BATCH), "--epochs", "1", "--results", folder]
    summary, _ = runs.finish(command, folder, runs.ENVIRONMENT)
    with open(f"{folder}/log.txt", encoding="utf-8") as file:
        measured = re.search(r"measured in ([0-9.e+-]+) s", file.read())
    return summary, measured.group(1) if measured else "-"


print("ranks  to first step, s  set-up, s  measuring, s  warm-up, s  total, s  CPU a rank, s")
cpu = {}
with tempfile.TemporaryDirectory() as work:
    for ranks in numbers:
        summary, measured = train(work, ranks)
        cpu[ranks] = float(summary["start_cpu_seconds"])
        values = [float(summary[name]) for name in (
            "start_to_first_step_seconds", "setup_seconds", "warmup_seconds", "total_seconds")]
        print(f"{ranks:5}  {values[0]:16.2f}  {values[1]:9.2f}  {measured:>12}  {values[2]:10.2f}  "
              f"{values[3]:8.2f}  {cpu[ranks]:13.3f}", flush=True)
fewest, most = min(cpu), max(cpu)
print(f"CPU time of a start, a rank, at {most} ranks over {fewest}: {cpu[most] / cpu[fewest]:.2f}")
print(runs.verdict(cpu[most] / cpu[fewest], BAR, at_least=False))
