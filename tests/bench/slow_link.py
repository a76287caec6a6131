#!/usr/bin/env python3
"""What buckets, bf16 gradients and factors buy on two nodes with a slow link between them: images/s
over a plain all-reduce after backward (one bucket of everything), interleaved rounds.

usage: slow_link.py LOCKSTEP [MBIT [ROUNDS]]   (needs root: slurm/cluster.sh makes the nodes; 1000, 3)

One core and one rank a node, 64 images a rank, fp32; each end of the link is limited by `tc tbf`. A
ratio is over the plain run of the same round.
"""
import os
import statistics
import subprocess
import sys
import tempfile

import runs

lockstep = os.path.abspath(sys.argv[1])
mbit = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
BATCH, STEPS, RANKS = 64, 12, 2
PLAIN = "all-reduced after backward"
WAYS = {
    PLAIN: ["--bucket-mb", "65536", "--factor-comm", "off"],
    "buckets": ["--factor-comm", "off"],
    "buckets, bf16": ["--factor-comm", "off", "--grad-comm", "bf16"],
    "buckets and factors (the default)": [],
    "factors and buckets in bf16": ["--grad-comm", "bf16"],
}


def measure(work, data, options, variables, number):
    command = ["srun", "-N", RANKS, "-n", RANKS, "--mpi=pmix", lockstep, "train", "--data", data,
               "--device", "cpu", "--mode", "ddp", "--batch-per-rank", BATCH, "--epochs", 1,
               "--threads", 1, "--results", f"{work}/run{number}", *options]
    return runs.finish(list(map(str, command)), f"{work}/run{number}", variables)[0]


def compare(work):
    data = runs.synthetic(lockstep, f"{work}/data", BATCH * RANKS * STEPS, RANKS)
    ratios, milliseconds, exposed, rows = ({way: [] for way in WAYS} for _ in range(4))
    with runs.Cluster("--rate", mbit) as cluster:
        for turn in range(rounds):
            for way, options in WAYS.items():
                row = measure(work, data, options, cluster.environment, sum(map(len, rows.values())))
                rows[way].append(row)
                milliseconds[way].append(1e3 * float(row["training_seconds"]) / float(row["steps"]))
                exposed[way].append(float(row["exposed_communication_seconds"])
                                    / float(row["training_seconds"]))
            for way in WAYS:
                ratios[way].append(milliseconds[PLAIN][turn] / milliseconds[way][turn])
    return ratios, milliseconds, exposed, rows


# Under the binary's folder: the nodes of the test cluster have a /tmp of their own.
with tempfile.TemporaryDirectory(dir=os.path.dirname(lockstep)) as folder:
    ratios, milliseconds, exposed, rows = compare(folder)

print(f"two nodes, {mbit} Mbit/s, {rounds} rounds of {STEPS} steps, {BATCH} images a rank, fp32")
for way in WAYS:
    row = rows[way][-1]
    print(f"  {way:34} {runs.spread(ratios[way])} x, {statistics.median(milliseconds[way]):.1f} ms a "
          f"step, {100 * statistics.median(exposed[way]):.0f}% exposed; {row['buckets']} buckets, "
          f"as factors: {row['factor_layers'] or 'none'}")
for row in rows["buckets"][-1:]:
    print(f"  measured at start: {1e6 * float(row['hop_latency_seconds']):.0f} us and "
          f"{float(row['hop_bytes_per_second']) / 1e6:.1f} MB/s a hop")
fp32 = [way for way in WAYS if "bf16" not in way]
best = max(statistics.median(ratios[way]) for way in fp32)
print("best in fp32 over all-reduced after backward " + runs.verdict(best, 3.0))
