#!/usr/bin/env python3
"""What logging costs a run: the certificate, its hashes of the parameters, and TensorBoard's event
file, on (as they are by default) against off.

usage: overhead.py LOCKSTEP [RANKS [ROUNDS [OPTION-OF-TRAIN...]]]

Each round trains the same epoch of generated images three times, in changing order, a core a rank:
without any of it, as it is by default, and with a hash of the parameters at every step. Cost: images/s
without over images/s with, less 1; "to the end" has the run's whole time but set-up and warm-up in it,
where the files are written. Medians of the rounds' ratios and their ranges; the bar is issue 5's.
What a hash at every step costs, over 64, is the default's once more, out of a difference that stands
above the noise. CPU time instead of images/s says the same on a machine that others use.
"""
import statistics
import sys
import tempfile

import runs

BAR = 0.01  # of images/s
IMAGES = 6400  # 100 steps of 64
EVERY = 64  # --certificate-every's default

lockstep = sys.argv[1]
ranks = int(sys.argv[2]) if len(sys.argv) > 2 else 0
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 7
options = sys.argv[4:]
mode = ["--mode", "ddp" if ranks > 1 else "single", "--global-batch", 64, "--threads", 1, "--epochs", 1]
kinds = {"off": ["--certificate", "off", "--tensorboard", "off"], "on": [], "each": ["--certificate-every", 1]}
figures = ["images/s", "to the end", "CPU time"]


def train(data, folder, kind):
    """Seconds an image: of training, of the whole run, of the CPU while training."""
    row, _ = runs.train(lockstep, data, folder, *mode, *kinds[kind], *options, ranks=ranks,
                        core=None if ranks else 0)
    if row["certificate_every"] != {"off": "", "on": str(EVERY), "each": "1"}[kind]:
        raise SystemExit(f"{folder}: certificate_every is '{row['certificate_every']}'")
    seconds = float(row["training_seconds"])
    whole = float(row["total_seconds"]) - float(row["setup_seconds"]) - float(row["warmup_seconds"])
    return [part / int(row["images"]) for part in (seconds, whole, seconds * float(row["cpu_utilisation_mean"]))]


cost = {"on": [], "each": []}  # a list of figures a round
with tempfile.TemporaryDirectory() as work:
    shards = runs.synthetic(lockstep, f"{work}/shards", IMAGES, 64)
    print(f"{ranks or 1} ranks, {rounds} rounds, {IMAGES} images {' '.join(options)}")
    print("round   images/s off   by default: images/s   to the end   CPU time   a hash a step: images/s   CPU time")
    for number in range(rounds):
        order = list(kinds)[number % 3:] + list(kinds)[:number % 3]
        found = {kind: train(shards, f"{work}/{kind}", kind) for kind in order}
        for kind in cost:
            cost[kind].append([a / b - 1 for a, b in zip(found[kind], found["off"])])
        on, each = cost["on"][-1], cost["each"][-1]
        print(f"{number + 1:5}   {1 / found['off'][0]:12.1f}   {on[0]:20.2%}   {on[1]:10.2%}   {on[2]:8.2%}"
              f"   {each[0]:23.2%}   {each[2]:8.2%}", flush=True)
for index, name in enumerate(figures):
    direct, each = ([row[index] for row in cost[kind]] for kind in ("on", "each"))
    print(f"cost by {name}: {runs.spread(direct)}; from a hash a step: {statistics.median(each) / EVERY:.4f}")
print(f"logging: {runs.verdict(statistics.median(row[0] for row in cost['on']), BAR, at_least=False)}")
