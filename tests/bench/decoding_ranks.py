#!/usr/bin/env python3
"""DDP on 2 ranks of one core each over one rank on one core: resnet18 of 224 px, batch 32 a rank, JPEGs decoded as
it goes, each rank's on its own core.

usage: decoding_ranks.py LOCKSTEP IMAGES [ROUNDS] [COUNT]   IMAGES: a tar archive or folder of JPEGs; COUNT of them: 512

A round: single on core 0, ddp, single on core 1; its ratio is over the mean of the two, so that a slow core or a
slow minute weighs on both sides. Images/s of one epoch's training time.
"""
import statistics
import sys
import tempfile

import runs

lockstep, source = sys.argv[1:3]
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
count = int(sys.argv[4]) if len(sys.argv) > 4 else 512
shape = ["--model", "resnet18", "--batch-per-rank", 32, "--augment", "resized-crop", "--image-size", 224, "--epochs", 1,
         "--threads", 1, "--optimizer", "sgd", "--learning-rate", 0.01]
ratios, shares = [], []

with tempfile.TemporaryDirectory() as work:
    data = runs.encoded(lockstep, runs.photographs(source, work, count), f"{work}/shards")

    def rate(name, *options, **where):
        summary, _ = runs.train(lockstep, data, f"{work}/{name}", *shape, *options, **where)
        return float(summary["images_per_second"]), summary

    for number in range(rounds):
        first, summary = rate("single", "--mode", "single", core=0)
        both, both_summary = rate("ddp", "--mode", "ddp", ranks=2)
        second, _ = rate("single", "--mode", "single", core=1)
        ratios.append(2 * both / (first + second))
        shares.append([float(row[name]) / float(row["training_seconds"]) for row in (summary, both_summary)
                       for name in ("data_seconds", "exposed_communication_seconds")])
        print(f"single {first:.2f} and {second:.2f}, ddp {both:.2f} images/s: {ratios[-1]:.3f}", flush=True)

data1, _, data2, exposed = (statistics.median(column) for column in zip(*shares))
print(f"data {100 * data1:.1f}% of single, {100 * data2:.1f}% of ddp; exposed communication {100 * exposed:.1f}%")
print(f"{rounds} rounds of {count} images, 2 ranks over 1: {runs.spread(ratios)}")
print(runs.verdict(statistics.median(ratios), 1.85))
