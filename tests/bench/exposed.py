#!/usr/bin/env python3
"""What communication and loading cost a step of ddp: measured by leaving them out, beside what the
step's own clock says.

usage: exposed.py LOCKSTEP [RANKS [ROUNDS [OPTION-OF-TRAIN...]]]

Each round trains the same epochs as they are, with --ablate comm and with --ablate data, one after
the other in changing order, a core a rank, 64 images a rank; exposed = (real - ablated) / real of a
step's time. Medians over the rounds and their ranges; the bar is issue 4's.
"""
import statistics
import sys
import tempfile

import runs

BAR = 0.04  # of the step, 2 ranks on one node
IMAGES = 6400

lockstep = sys.argv[1]
ranks = int(sys.argv[2]) if len(sys.argv) > 2 else 2
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
options = sys.argv[4:]


def step(data, folder, what):
    """Milliseconds a step; the share of it that its clock calls exposed communication, and data."""
    row, _ = runs.train(lockstep, data, folder, "--mode", "ddp", "--threads", 1, "--epochs", 1, "--ablate", what,
                        *options, ranks=ranks)
    if row["ablate"] != what:
        raise SystemExit(f"{folder}: ablate is {row['ablate']}")
    seconds = float(row["training_seconds"])
    return {"ms": 1e3 * seconds / int(row["steps"]),
            "comm": float(row["exposed_communication_seconds"]) / seconds,
            "data": float(row["data_seconds"]) / seconds}


found = {"none": [], "comm": [], "data": []}
with tempfile.TemporaryDirectory() as work:
    shards = runs.synthetic(lockstep, f"{work}/shards", IMAGES, 64)
    print(f"ddp, {ranks} ranks, {rounds} rounds, {IMAGES} images {' '.join(options)}")
    print("round   step ms   without comm   without loader   exposed: comm   loader   its clock: comm   data")
    for number in range(rounds):
        order = list(found)
        for what in order[number % 3:] + order[:number % 3]:
            found[what].append(step(shards, f"{work}/{what}", what))
        real, comm, data = (found[what][-1] for what in ("none", "comm", "data"))
        print(f"{number + 1:5}   {real['ms']:7.2f}   {comm['ms']:12.2f}   {data['ms']:14.2f}"
              f"   {1 - comm['ms'] / real['ms']:13.1%}   {1 - data['ms'] / real['ms']:6.1%}"
              f"   {real['comm']:15.1%}   {real['data']:4.1%}", flush=True)

exposed = {what: [1 - ablated["ms"] / real["ms"] for real, ablated in zip(found["none"], found[what])]
           for what in ("comm", "data")}
clocks = {what: [real[what] for real in found["none"]] for what in ("comm", "data")}
for what, name in (("comm", "communication"), ("data", "loading")):
    print(f"exposed {name}, share of the step: {runs.spread(exposed[what])}; by the step's clock: "
          f"{runs.spread(clocks[what])}")
if ranks == 2:
    print(f"exposed communication: {runs.verdict(statistics.median(exposed['comm']), BAR, at_least=False)}")
