#!/usr/bin/env python3
"""Test accuracy after 3 epochs in fp32 with our Winograd convolutions against direct ones, seed by seed.

usage: convolutions.py LOCKSTEP SHARDS [SEED...]

Seeds 1 to 3. The two runs of a seed start from the same parameters and see the same batches; each
run has a core of its own. The bar is on the mean over the seeds: within 0.5 points.
"""
import concurrent.futures
import os
import queue
import statistics
import sys
import tempfile

import runs

BAR = 0.5  # points of test accuracy
KINDS = ("direct", "fastest")

lockstep, data = sys.argv[1:3]
seeds = [int(seed) for seed in sys.argv[3:]] or [1, 2, 3]
cores = queue.SimpleQueue()
for free in sorted(os.sched_getaffinity(0)):
    cores.put(free)


def last_accuracy(work, seed, kind):
    """Test accuracy in percent after a run on a core of its own."""
    core = cores.get()
    folder = f"{work}/{kind}{seed}"
    _, epochs = runs.finish(
        ["taskset", "-c", str(core), lockstep, "train", "--data", data, "--device", "cpu", "--results", folder,
         "--epochs", "3", "--seed", str(seed), "--threads", "1"],
        folder, dict(runs.ENVIRONMENT, LOCKSTEP_CONVOLUTIONS=kind))
    cores.put(core)
    epochs = [(100 * float(row["test_accuracy"]), float(row["train_loss"])) for row in epochs]
    print(f"{seed:4}  {kind:9}   "
          + "   ".join(f"{accuracy:.2f} ({loss:.4f})" for accuracy, loss in epochs), flush=True)
    return epochs[-1][0]


print("seed  kind        test accuracy in % (train loss), epochs 1, 2, 3")
with tempfile.TemporaryDirectory() as work, \
        concurrent.futures.ThreadPoolExecutor(cores.qsize()) as pool:
    last = {kind: [pool.submit(last_accuracy, work, seed, kind) for seed in seeds] for kind in KINDS}
differences = [b.result() - a.result() for a, b in zip(last["direct"], last["fastest"])]
print("Winograd less direct by seed: " + ", ".join(f"{value:+.2f}" for value in differences))
print(f"Winograd less direct, mean of {len(seeds)} seeds: "
      + runs.verdict(abs(statistics.mean(differences)), BAR, at_least=False)
      + f" (the sign: {statistics.mean(differences):+.2f})")
