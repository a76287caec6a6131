#!/usr/bin/env python3
"""What data parallelism buys on one node of two cores, one core a rank, interleaved rounds.

usage: scaling.py LOCKSTEP [ROUNDS]

A round: single on core 0, ddp, single on core 1, dp, ddp and dp at single's global batch. The
ratio of a round is over the mean of its two baselines, so that a slow core or a slow minute
weighs on both sides.
"""
import statistics
import sys
import tempfile

import runs

lockstep, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
IMAGES = 6400
shape = ["--epochs", 1, "--threads", 1]
ratios = {"ddp, 64 a rank": [], "dp, 64 a rank": [], "ddp, global batch 64": [],
          "dp, global batch 64": []}
exposed, phases = [], []

with tempfile.TemporaryDirectory() as work:
    data = runs.synthetic(lockstep, f"{work}/data", IMAGES, 64)

    def rate(name, *options, **where):
        summary, _ = runs.train(lockstep, data, f"{work}/{name}", *shape, *options, **where)
        return float(summary["images_per_second"]), summary

    for number in range(rounds):
        first, summary = rate("single", "--mode", "single", core=0)
        ddp, ddp_summary = rate("ddp", "--mode", "ddp", ranks=2)
        second, _ = rate("single", "--mode", "single", core=1)
        base = (first + second) / 2
        ratios["ddp, 64 a rank"].append(ddp / base)
        ratios["dp, 64 a rank"].append(rate("dp", "--mode", "dp", ranks=2)[0] / base)
        for mode in ("ddp", "dp"):
            got, _ = rate(f"{mode}s", "--mode", mode, "--global-batch", 64, ranks=2)
            ratios[f"{mode}, global batch 64"].append(got / base)
        exposed.append(float(ddp_summary["exposed_communication_seconds"])
                       / float(ddp_summary["training_seconds"]))
        phases.append({name: float(summary[f"{name}_seconds"]) / float(summary["training_seconds"])
                       for name in ("data", "forward", "backward", "optimizer", "other")})

print(f"{rounds} rounds of {IMAGES} images, one core a rank; images/s over single on one core")
for name, values in ratios.items():
    print(f"  2 ranks, {name:22} {runs.spread(values)}")
print(f"  exposed communication of ddp, 64 a rank: {runs.spread([100 * e for e in exposed])} %")
print("  where single's time goes: " + ", ".join(
    f"{name} {100 * statistics.median(p[name] for p in phases):.1f}%" for name in phases[0]))
print(runs.verdict(statistics.median(ratios["ddp, 64 a rank"]), 1.9))
