#!/usr/bin/env python3
"""Test accuracy after 3 epochs in a low precision against fp32, seed by seed, on one device.

usage: precision.py LOCKSTEP SHARDS PRECISION [DEVICE [SEED...]]

PRECISION is bf16 or fp16, DEVICE cpu by default, seeds 1 to 3. The two runs of a seed start from
the same parameters and see the same batches; each run has a core of its own. The bar is on the
mean over the seeds: within 1 point of fp32's.
"""
import concurrent.futures
import os
import queue
import statistics
import sys
import tempfile

import runs

BAR = 1.0  # points of test accuracy

lockstep, data, low = sys.argv[1:4]
device = sys.argv[4] if len(sys.argv) > 4 else "cpu"
seeds = [int(seed) for seed in sys.argv[5:]] or [1, 2, 3]
cores = queue.SimpleQueue()
for free in sorted(os.sched_getaffinity(0)):
    cores.put(free)


def curve(work, seed, precision):
    """(test accuracy in percent, train loss) of each epoch, from a run on a core of its own."""
    core = cores.get()
    _, epochs = runs.train(lockstep, data, f"{work}/{precision}{seed}", "--epochs", 3,
                           "--seed", seed, "--threads", 1, "--precision", precision,
                           "--device", device, core=core)
    cores.put(core)
    epochs = [(100 * float(row["test_accuracy"]), float(row["train_loss"])) for row in epochs]
    print(f"{seed:4}  {precision:9}   "
          + "   ".join(f"{accuracy:.2f} ({loss:.4f})" for accuracy, loss in epochs), flush=True)
    return epochs[-1][0]


print("seed  precision   test accuracy in % (train loss), epochs 1, 2, 3")
with tempfile.TemporaryDirectory() as work, \
        concurrent.futures.ThreadPoolExecutor(cores.qsize()) as pool:
    last = {precision: [pool.submit(curve, work, seed, precision) for seed in seeds]
            for precision in ("fp32", low)}
differences = [b.result() - a.result() for a, b in zip(last["fp32"], last[low])]
print(f"{low} less fp32 by seed: " + ", ".join(f"{value:+.2f}" for value in differences))
print(f"{low} less fp32, mean of {len(seeds)} seeds: "
      + runs.verdict(abs(statistics.mean(differences)), BAR, at_least=False)
      + f" (the sign: {statistics.mean(differences):+.2f})")
