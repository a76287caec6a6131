#!/usr/bin/env python3
"""What sharding costs: images/s of each sharded mode over ddp, and what a rank holds.

usage: modes.py LOCKSTEP [ROUNDS [MODEL [BATCH]]]   (5 rounds, vit-s16, 8 images a rank)

Two ranks, a core each, on generated images of 224 x 224; two epochs of 4 steps. The modes in turn, ROUNDS times,
each round beginning with the next of them; a figure is the median of the rounds' ratios mode / ddp of the faster
epoch's images/s. Wants an idle machine.
"""
import os
import statistics
import sys
import tempfile

import runs

lockstep = os.path.abspath(sys.argv[1])
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
model = sys.argv[3] if len(sys.argv) > 3 else "vit-s16"
batch = int(sys.argv[4]) if len(sys.argv) > 4 else 8
BARS = {"zero1": 1.0, "zero2": 0.98}  # images/s over ddp, at least
RANKS = 2
HELD = ("parameters", "gradients", "optimizer", "communication")


def one(work, data, mode):
    """Images/s, and MB that rank 0 holds of each kind."""
    summary, epochs = runs.train(lockstep, data, os.path.join(work, mode), "--model", model, "--mode", mode, "--threads", 1,
                                 "--batch-per-rank", batch, "--epochs", 2, ranks=RANKS)
    return (max(float(row["images_per_second"]) for row in epochs),
            [int(summary[f"memory_{kind}_bytes"]) / 1e6 for kind in HELD])


with tempfile.TemporaryDirectory() as work:
    data = os.path.join(work, "data")
    runs.subprocess.run([lockstep, "pack", "synthetic", data, "--images", str(4 * RANKS * batch), "--test-images",
                         str(RANKS * batch), "--size", "224"], check=True, capture_output=True)
    modes = ["ddp", *BARS]
    speeds, held = {mode: [] for mode in modes}, {}
    for number in range(rounds):
        for mode in modes[number % len(modes):] + modes[:number % len(modes)]:
            speed, held[mode] = one(work, data, mode)
            speeds[mode].append(speed)
            print(f"  round {number + 1}  {mode:6} {speed:8.3f} images/s", flush=True)
    print(f"{model}, {RANKS} ranks, {batch} images a rank; MB a rank: {', '.join(HELD)}")
    missed = 0
    for mode in modes:
        ratio = statistics.median(speed / ddp for speed, ddp in zip(speeds[mode], speeds["ddp"], strict=True))
        missed += ratio < BARS.get(mode, 0)
        print(f"  {mode:6} {statistics.median(speeds[mode]):8.3f} images/s  {ratio:.3f} of ddp"
              f"{f' (at least {BARS[mode]})' if mode in BARS else ''}  {'  '.join(f'{each:.1f}' for each in held[mode])}")
sys.exit(missed > 0)
