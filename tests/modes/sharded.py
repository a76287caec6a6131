#!/usr/bin/env python3
"""zero1 and zero2: with --strict the bits of single at 1, 2 and 4 ranks, of a CNN, a residual network and a
transformer; a checkpoint of each mode goes on in another; what a rank holds is what the formulas say; fp16's
skipped updates and sums that are not strict are ddp's; a rank that is killed ends the job with a line.

usage: sharded.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)
"""
import atexit
import csv
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "faults"))
import faults  # noqa: E402
from faults import kit  # noqa: E402

lockstep = os.path.abspath(sys.argv[1])
kit.need_mpirun()
kit.ENVIRONMENT["OMP_WAIT_POLICY"] = "passive"  # threads that spin take the cores from each other
tap = kit.Tap()
work = tempfile.mkdtemp(prefix="lockstep-sharded-")
atexit.register(shutil.rmtree, work, True)
# Two epochs of 6 steps, the last of each short.
data = kit.pack(lockstep, os.path.join(work, "data"), 24 * 5 + 13, "--size", "8", "--test-images", "30")
runs = 0


def run(ranks, mode, *options, expected=0, device="cpu", epochs=2, data=data):
    """The run's folder and its summary; ranks = 0: single, without mpirun."""
    global runs
    runs += 1
    folder = os.path.join(work, f"run{runs}")
    done = kit.attempt(lockstep, data, folder, ranks, "--mode", mode, "--certificate-every", "3",
                       *(options if "--global-batch" in options else ["--global-batch", "24", *options]), device=device, epochs=epochs, step_log=False)
    if done.returncode != expected:
        raise SystemExit(f"Bail out! {' '.join(done.args)}: {done.returncode}\n{done.stderr}")
    if expected:
        return folder, done.stderr
    with open(os.path.join(folder, "summary.csv"), newline="") as file:
        return folder, next(csv.DictReader(file))


def same(name, summary, expected):
    kit.same_bits(tap, name, summary, expected)


# ---- bits
CNN = ["--strict", "--lanes", "4", "--ema", "0.9", "--weight-decay", "0.01"]
_, summary = run(0, "single", *CNN)
bits = kit.outcome(summary)
for mode, ranks, *more in (("zero1", 1), ("zero1", 2, "--verbose"), ("zero1", 4, "--bucket-mb", "0.1"),
                          ("zero2", 2, "--strict-cost", "on"), ("zero2", 4)):
    folder, summary = run(ranks, mode, *CNN, *more)
    same(f"cnn, {mode} on {ranks}: the bits of single", summary, bits)
    if "--verbose" in more:
        with open(os.path.join(folder, "log.txt"), encoding="utf-8") as file:
            line = re.search(r"memory  optimizer: .*", file.read())[0]
        megabytes = [float(number) for number in re.findall(r"([0-9.]+) MB", line)]
        tap.check("zero1 on 2: moments and average are planned as parts", max(megabytes) < 1.05 * min(megabytes), line)
kit.ENVIRONMENT["LOCKSTEP_SHARED_MEMORY"] = "0"
same("cnn, zero2 on 4 by messages: the bits of single", run(4, "zero2", *CNN)[1], bits)
del kit.ENVIRONMENT["LOCKSTEP_SHARED_MEMORY"]
_, other = run(2, "zero1", *CNN, "--seed", "6")
tap.check("another seed has other bits", kit.outcome(other)[0] != bits[0], kit.outcome(other))

CLIPPED = [*CNN, "--clip-norm", "0.02"]
_, summary = run(0, "single", *CLIPPED)
tap.check("a norm that is clipped has other bits", kit.outcome(summary)[0] != bits[0], kit.outcome(summary))
for mode, ranks in (("zero1", 2), ("zero2", 4)):
    same(f"cnn, clipped by norm, {mode} on {ranks}: the bits of single", run(ranks, mode, *CLIPPED)[1], kit.outcome(summary))

SUMMED = ["--accumulate", "2", "--factor-comm", "off", "--optimizer", "sgd", "--momentum", "0.9"]
_, summary = run(2, "ddp", *SUMMED, epochs=1)
for mode in ("zero1", "zero2"):
    same(f"not strict, in two parts, {mode} on 2: the bits of ddp", run(2, mode, *SUMMED[:2], *SUMMED[4:], epochs=1)[1],
         kit.outcome(summary))

few = kit.pack(lockstep, os.path.join(work, "few"), 16, "--size", "8", "--test-images", "4")
# A rate so high that gradients of a scaled loss overflow: such an update is nobody's.
SCALED = ["--precision", "fp16", "--learning-rate", "0.1", "--global-batch", "8"]
_, summary = run(2, "ddp", *SCALED, "--factor-comm", "off", device="ref", epochs=1, data=few)
_, found = run(2, "zero2", *SCALED, device="ref", epochs=1, data=few)
same("fp16, zero2 on 2: the bits of ddp", found, kit.outcome(summary))
tap.check("fp16, zero2: the updates that ddp skips, some", found["skipped_updates"] == summary["skipped_updates"] != "0",
          (found["skipped_updates"], summary["skipped_updates"]))

# ---- other models, and memory by each kind's formula, in bytes: on N ranks an Nth of the optimizer's, for zero2 of
# the gradient too, which otherwise is a row a lane
for model, mode, ranks, *more in (["resnet18-small", "zero2", 2], ["vit-ti16", "zero1", 2, "--patch", "4"],
                                  ["vit-ti16", "zero2", 4, "--patch", "4"]):
    lanes = 4 if mode == "zero2" and ranks == 4 else 2
    options = ["--model", model, *more, "--strict", "--lanes", str(lanes), "--global-batch", "8"]
    _, summary = run(0, "single", *options, epochs=1, data=few)
    _, found = run(ranks, mode, *options, epochs=1, data=few)
    same(f"{model}, {mode} on {ranks}: the bits of single", found, kit.outcome(summary))
    whole = int(summary["memory_optimizer_bytes"])
    held = {"memory_optimizer_bytes": whole / ranks,
            "memory_gradients_bytes": whole / 2 / ranks if mode == "zero2" else whole / 2}
    for column, formula in held.items():
        tap.check(f"{model}, {mode} on {ranks}: {column} within 5% of its formula",
                  abs(float(found[column]) / formula - 1) < 0.05, (found[column], formula))

# ---- checkpoints
SAVED = ["--checkpoint-every", "3", "--keep", "100"]
for mode, ranks, then in (("zero2", 2, (("ddp", 4), ("zero1", 2))), ("ddp", 2, (("zero2", 4),))):
    folder, summary = run(ranks, mode, *CNN, *SAVED)
    bits = kit.outcome(summary)
    middle = os.path.join(folder, "checkpoints", "step-0000000003")
    for next_mode, next_ranks in then:
        found = run(next_ranks, next_mode, *CNN, "--resume", middle)[1]
        same(f"from {mode} on {ranks} to {next_mode} on {next_ranks}: the same bits", found, bits)

# ---- ends
process = faults.start(["mpirun", "--oversubscribe", "--bind-to", "none", "-n", "2", lockstep, "train", "--data", data,
                        "--device", "cpu", "--mode", "zero2", "--threads", "1", "--oversubscribe", "--epochs", "100000",
                        "--global-batch", "24", "--results", os.path.join(work, "killed"), "--step-log"])
faults.kill_a_rank(tap, process, os.path.join(work, "killed"))

for options, line in ((["--grad-comm", "bf16"], "--grad-comm bf16 belongs to --mode ddp"),
                      (["--factor-comm", "on"], "--factor-comm on belongs to --mode ddp")):
    _, error = run(2, "zero1", *options, expected=2)
    tap.check(f"{' '.join(options)} is refused in a line", line in error, error[-300:])
sys.exit(tap.done())
