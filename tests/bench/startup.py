#!/usr/bin/env python3
"""Peak memory, and the time from process start to the first training step, on a data set of
CIFAR-10's size (50,000 + 10,000 images of 32 x 32 x 3), warm file cache, warm-up included.

usage: startup.py LOCKSTEP [DATA] [RUNS]   DATA: shards of your own instead of generated ones
"""
import statistics
import sys
import tempfile

import runs

lockstep = sys.argv[1]
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3

with tempfile.TemporaryDirectory() as work:
    data = sys.argv[2] if len(sys.argv) > 2 else runs.synthetic(lockstep, f"{work}/data", 50000,
                                                                 10000)
    seconds, memory, pair_seconds = [], [], []
    for number in range(rounds):
        summary, _ = runs.train(lockstep, data, f"{work}/run", "--epochs", 1)
        seconds.append(float(summary["start_to_first_step_seconds"]))
        memory.append(float(summary["peak_memory_maximum_bytes"]) / 1e6)
        summary, _ = runs.train(lockstep, data, f"{work}/run", "--epochs", 1, "--mode", "ddp",
                                "--threads", 1, ranks=2)
        pair_seconds.append(float(summary["start_to_first_step_seconds"]))
        memory.append(float(summary["peak_memory_maximum_bytes"]) / 1e6)

print(f"peak memory of a rank, MB: {runs.spread(memory)}")
print(runs.verdict(max(memory), 600, at_least=False))
print(f"process start to first step, seconds: alone {runs.spread(seconds)}, "
      f"2 ranks under mpirun {runs.spread(pair_seconds)}")
print(runs.verdict(statistics.median(seconds), 2.5, at_least=False))
print(runs.verdict(statistics.median(pair_seconds), 2.5, at_least=False))
