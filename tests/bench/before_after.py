#!/usr/bin/env python3
"""Two builds of lockstep side by side: the same bits, and what a change cost.

usage: before_after.py BEFORE AFTER [ROUNDS]   (two binaries; 5 rounds; ROUNDS 0: bits alone)

Bits: the CNN on generated images, 2 epochs whose last batch is short, in fp32 and bf16: single on 1 and
2 threads, dp on 2 ranks, ddp on 2 and 4 (buckets given, for `auto` measures), ddp with factors, --strict on
1, 2 and 4 ranks. Compared: parameters_hash, certificate_hash, and all losses and accuracies of epochs.csv.
Cost: the two in turn, ROUNDS times, the first one alternating; each figure is the median of the rounds' ratios
after / before. Images/s at least 0.98, start, memory and file size at most 1.05. Wants an idle machine.
"""
import os
import shutil
import statistics
import sys
import tempfile

import runs

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "modes"))
import kit  # noqa: E402

binaries = {"before": os.path.abspath(sys.argv[1]), "after": os.path.abspath(sys.argv[2])}
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
FIXED = ["--bucket-mb", "4", "--factor-comm", "off"]
STRICT = ["--strict", "--lanes", "4"]
SHAPES = [  # name, ranks (0: alone), options
    ("single, 1 thread", 0, ["--mode", "single", "--threads", 1]),
    ("single, 2 threads", 0, ["--mode", "single", "--threads", 2]),
    ("dp, 2 ranks", 2, ["--mode", "dp", "--threads", 1]),
    ("ddp, 2 ranks", 2, ["--mode", "ddp", "--threads", 1, *FIXED]),
    ("ddp, 4 ranks", 4, ["--mode", "ddp", "--threads", 1, *FIXED]),
    ("ddp, 2 ranks, factors", 2, ["--mode", "ddp", "--threads", 1, "--bucket-mb", "4", "--factor-comm", "on"]),
    ("strict, 1 rank", 0, ["--mode", "single", "--threads", 2, *STRICT]),
    ("strict, 2 ranks", 2, ["--mode", "ddp", "--threads", 1, *STRICT]),
    ("strict, 4 ranks", 4, ["--mode", "ddp", "--threads", 1, *STRICT]),
]
TIMED = [
    ("fp32, 1 thread", 0, ["--mode", "single", "--threads", 1]),
    ("fp32, 2 threads", 0, ["--mode", "single", "--threads", 2]),
    ("bf16, 1 thread", 0, ["--mode", "single", "--threads", 1, "--precision", "bf16"]),
    ("bf16, 2 threads", 0, ["--mode", "single", "--threads", 2, "--precision", "bf16"]),
    ("fp32, ddp, 2 ranks", 2, ["--mode", "ddp", "--threads", 1, *FIXED]),
    ("fp32, strict, 2 ranks", 2, ["--mode", "ddp", "--threads", 1, "--strict", "--lanes", "2"]),
]


precisions = ["fp32", "bf16"] if kit.has_bf16() else ["fp32"]


def one(which, data, folder, ranks, options):
    """One run; where there are fewer cores than ranks they share them."""
    few = ranks > len(os.sched_getaffinity(0))
    place = ["--oversubscribe", "--bind-to", "none"] if few else ["--bind-to", "core", "--map-by", "core"]
    command = ["mpirun", *place, "-n", str(ranks)] if ranks else []
    shutil.rmtree(folder, ignore_errors=True)
    command += [binaries[which], "train", "--data", data, "--device", runs.DEVICE, "--oversubscribe",
                "--results", folder, *map(str, options)]
    return runs.finish(command, folder, runs.ENVIRONMENT)


def outcome(summary, epochs):
    columns = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    return ([summary["parameters_hash"], summary["certificate_hash"]],
            [[row[column] for column in columns] for row in epochs])


def same_bits(work):
    data = runs.synthetic(binaries["before"], f"{work}/small", 1000, 200)
    parted = 0
    for precision in precisions:
        for name, ranks, options in SHAPES:
            options = [*options, "--precision", precision, "--epochs", 2, "--global-batch", 96]
            found = {which: outcome(*one(which, data, f"{work}/{which}", ranks, options)) for which in binaries}
            same = found["before"] == found["after"]
            parted += not same
            print(f"  {precision}  {name:22} {found['before'][0][0]}  "
                  f"{'the same' if same else 'DIFFERENT: ' + str(found['after'][0][0])}", flush=True)
    print(f"  {'holds' if not parted else 'MISSED'}: {parted} of {len(precisions) * len(SHAPES)} runs have other bits")
    return parted == 0


def cost(work):
    data = runs.synthetic(binaries["before"], f"{work}/large", 10000, 1000)
    good = True
    ratios = {}
    for number in range(rounds):
        for name, ranks, options in TIMED:
            if "bf16" in options and "bf16" not in precisions:
                continue
            row = {}
            given = [*options, "--epochs", 1, "--global-batch", 64 * max(ranks, 1)]
            for which in sorted(binaries, reverse=number % 2 == 0):
                row[which] = one(which, data, f"{work}/{which}", ranks, given)[0]
            for column in ("images_per_second", "start_to_first_step_seconds", "peak_memory_maximum_bytes"):
                ratio = float(row["after"][column]) / float(row["before"][column])
                ratios.setdefault((column, name), []).append(ratio)
    for (column, name), values in sorted(ratios.items()):
        speed = column == "images_per_second"
        middle = statistics.median(values)
        good &= middle >= 0.98 if speed else middle <= 1.05
        print(f"  {column:28} {name:22} {runs.spread(values)}  "
              f"{runs.verdict(middle, 0.98 if speed else 1.05, at_least=speed)}", flush=True)
    size = os.path.getsize(binaries["after"]) / os.path.getsize(binaries["before"])
    print(f"  size of the binary: {runs.verdict(size, 1.05, at_least=False)}")
    return good and size <= 1.05


with tempfile.TemporaryDirectory() as folder:
    if len(precisions) == 1:
        print("fp32 alone: this CPU has no products of bf16", flush=True)
    print("bits:", flush=True)
    well = same_bits(folder)
    if rounds:
        print(f"cost, after / before, {rounds} rounds in turn, median (least to most):", flush=True)
        well &= cost(folder)
sys.exit(not well)
