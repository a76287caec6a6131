#!/usr/bin/env python3
"""What logging costs a run: the certificate, its hashes of the parameters, and TensorBoard's event
file, on (as they are by default) against off.

usage: overhead.py LOCKSTEP [RANKS [ROUNDS [OPTION-OF-TRAIN...]]]

Each round trains the same epoch of generated images twice, in changing order, a core a rank: images/s
without over images/s with, less 1. The event file is written outside the training time, so the second
figure has the time to the run's end in it, less set-up. Medians of the ratios over the rounds, and
their ranges; the bar is issue 5's. With more logging than the default (say --certificate-every 8)
the cost of a hash can be told from the noise: it goes with the hashes a step.
"""
import statistics
import sys
import tempfile

import runs

BAR = 0.01  # of images/s
IMAGES = 9600  # 150 steps of 64

lockstep = sys.argv[1]
ranks = int(sys.argv[2]) if len(sys.argv) > 2 else 0
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 7
options = sys.argv[4:]
mode = ["--mode", "ddp" if ranks > 1 else "single", "--global-batch", 64, "--threads", 1, "--epochs", 1]
kinds = {"off": ["--certificate", "off", "--tensorboard", "off"], "on": []}


def train(data, folder, kind):
    row, _ = runs.train(lockstep, data, folder, *mode, *kinds[kind], *options, ranks=ranks,
                        core=None if ranks else 0)
    if bool(row["certificate_hash"]) != (kind == "on"):
        raise SystemExit(f"{folder}: the certificate is {row['certificate_hash'] or 'not there'}")
    whole = float(row["total_seconds"]) - float(row["setup_seconds"])
    return float(row["images_per_second"]), int(row["images"]) / whole


training, whole = [], []
with tempfile.TemporaryDirectory() as work:
    shards = runs.synthetic(lockstep, f"{work}/shards", IMAGES, 64)
    print(f"{ranks or 1} ranks, {rounds} rounds, {IMAGES} images {' '.join(options)}")
    print("round   images/s off        on   cost: training   to the end")
    for number in range(rounds):
        found = {}
        for kind in list(kinds)[::1 if number % 2 else -1]:
            found[kind] = train(shards, f"{work}/{kind}", kind)
        training.append(found["off"][0] / found["on"][0] - 1)
        whole.append(found["off"][1] / found["on"][1] - 1)
        print(f"{number + 1:5}   {found['off'][0]:12.1f}   {found['on'][0]:7.1f}   {training[-1]:14.2%}"
              f"   {whole[-1]:10.2%}", flush=True)
print(f"cost of logging, share of images/s: {runs.spread(training)}; to the end: {runs.spread(whole)}")
print(f"logging: {runs.verdict(statistics.median(training), BAR, at_least=False)}")
