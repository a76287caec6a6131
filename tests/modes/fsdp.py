#!/usr/bin/env python3
"""fsdp: with --strict the bits of single and ddp at 1, 2 and 4 ranks, at several threads, through shared memory and
through messages, of a CNN, a residual network and a transformer; a checkpoint goes on in ddp and back; what a rank
holds is what the formulas say; a rank that is killed ends the job with a line.

usage: fsdp.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)
"""
import atexit
import csv
import os
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
work = tempfile.mkdtemp(prefix="lockstep-fsdp-")
atexit.register(shutil.rmtree, work, True)
# Two epochs of 3 steps, the last of each short: of one image three lanes of four are empty.
data = kit.pack(lockstep, os.path.join(work, "data"), 24 * 2 + 1, "--size", "8", "--test-images", "9")
runs = 0


def run(ranks, mode, *options, expected=0, device="cpu", epochs=2, data=data):
    """The run's folder and its summary, or what it said; ranks = 0: without mpirun."""
    global runs
    runs += 1
    folder = os.path.join(work, f"run{runs}")
    batch = [] if "--global-batch" in options else ["--global-batch", "24"]
    done = kit.attempt(lockstep, data, folder, ranks, "--mode", mode, "--certificate-every", "2", *batch, *options,
                       device=device, epochs=epochs, step_log=False)
    if done.returncode != expected:
        raise SystemExit(f"Bail out! {' '.join(done.args)}: {done.returncode}\n{done.stderr}")
    if expected:
        return folder, done.stderr
    with open(os.path.join(folder, "summary.csv"), newline="") as file:
        return folder, next(csv.DictReader(file))


def same(name, summary, expected):
    kit.same_bits(tap, name, summary, expected)


# ---- bits
STRICT = ["--strict", "--lanes", "4", "--ema", "0.9", "--weight-decay", "0.01", "--clip-norm", "0.5"]
_, whole = run(0, "single", *STRICT)
bits = kit.outcome(whole)
for ranks, *more in ((1, "--threads", "3"), (2, "--threads", "2", "--prefetch", "2"), (4,),
                     (2, "--reshard-after-forward", "off")):
    same(f"fsdp on {ranks} {' '.join(more)}: the bits of single", run(ranks, "fsdp", *STRICT, *more)[1], bits)
kit.ENVIRONMENT["LOCKSTEP_SHARED_MEMORY"] = "0"
same("fsdp on 4 by messages: the bits of single", run(4, "fsdp", *STRICT)[1], bits)
del kit.ENVIRONMENT["LOCKSTEP_SHARED_MEMORY"]
_, summary = run(2, "zero3", *STRICT, "--seed", "6")
tap.check("another seed has other bits", kit.outcome(summary)[0] != bits[0], kit.outcome(summary))
tap.check("zero3 is fsdp", summary["mode"] == "fsdp", summary["mode"])
_, summary = run(2, "ddp", *STRICT, "--accumulate", "2")
same("in two parts, fsdp on 4: the bits of ddp on 2", run(4, "fsdp", *STRICT, "--accumulate", "2")[1], kit.outcome(summary))

# Sums of two ranks have one order.
_, summary = run(2, "ddp", "--factor-comm", "off")
_, found = run(2, "fsdp")
same("not strict, fsdp on 2: the bits of ddp", found, kit.outcome(summary))
tap.check("what ddp would have held is what ddp plans, within 5%, and fits",
          abs(float(found["ddp_memory_bytes"]) / float(summary["memory_planned_bytes"]) - 1) < 0.05
          and float(found["ddp_room_bytes"]) > float(found["ddp_memory_bytes"]) and float(found["ddp_step_seconds"]) > 0,
          [found[f"ddp_{name}"] for name in ("memory_bytes", "room_bytes", "step_seconds")])
tap.check("ddp says nothing of it", summary["ddp_memory_bytes"] == summary["ddp_step_seconds"] == "", summary["ddp_memory_bytes"])
_, parts = run(2, "fsdp", "--accumulate", "3")
tap.check("not strict, in three parts: within rounding of one",
          abs(float(parts["final_train_loss"]) - float(summary["final_train_loss"])) < 1e-5,
          (parts["final_train_loss"], summary["final_train_loss"]))

# A rate so high that gradients of a scaled loss overflow: such an update is nobody's.
SCALED = ["--precision", "fp16", "--learning-rate", "0.1", "--global-batch", "12"]
_, summary = run(2, "ddp", *SCALED, "--factor-comm", "off", device="ref", epochs=1)
_, found = run(2, "fsdp", *SCALED, device="ref", epochs=1)
same("fp16, fsdp on 2: the bits of ddp", found, kit.outcome(summary))
tap.check("fp16: the updates that ddp skips, some", found["skipped_updates"] == summary["skipped_updates"] != "0",
          (found["skipped_updates"], summary["skipped_updates"]))

# ---- bits of other models; memory, by each kind's formula: 4P/N, nothing, 8P/N
few = kit.pack(lockstep, os.path.join(work, "few"), 24, "--size", "8", "--test-images", "4")
for model, *more in (["resnet18-small"], ["vit-ti16", "--patch", "4"]):
    options = ["--model", model, *more, "--strict", "--lanes", "4"]
    _, summary = run(0, "single", *options, epochs=1, data=few)
    for ranks in (2, 4) if model == "vit-ti16" else (2,):
        _, found = run(ranks, "fsdp", *options, epochs=1, data=few)
        same(f"{model}, fsdp on {ranks}: the bits of single", found, kit.outcome(summary))
        optimizer = int(summary["memory_optimizer_bytes"])
        formulas = {"memory_optimizer_bytes": optimizer / ranks, "memory_gradients_bytes": 0,
                    "memory_parameters_bytes": optimizer / 2 / ranks}
        if model != "vit-ti16":  # running statistics of a lane each
            del formulas["memory_parameters_bytes"]
        elif ranks == 2:  # a block's forward is made again from parameters that are gathered again
            again = run(ranks, "fsdp", *options, "--recompute", "block", epochs=1, data=few)[1]
            same(f"{model}, fsdp on {ranks}, computed again: the bits of single", again, kit.outcome(summary))
            tap.check(f"{model}, computed again: fewer activations",
                      float(again["memory_activations_bytes"]) < 0.9 * float(found["memory_activations_bytes"]),
                      (again["memory_activations_bytes"], found["memory_activations_bytes"]))
        for column, formula in formulas.items():
            tap.check(f"{model}, fsdp on {ranks}: {column} within 5% of its formula",
                      abs(float(found[column]) - formula) <= 0.05 * formula, (found[column], formula))

# ---- checkpoints
SAVED = ["--checkpoint-every", "2", "--keep", "100"]
for mode, ranks, then in (("fsdp", 2, (("ddp", 4), ("fsdp", 4))), ("ddp", 2, (("fsdp", 4),))):
    folder, _ = run(ranks, mode, *STRICT, *SAVED)
    middle = os.path.join(folder, "checkpoints", "step-0000000002")
    for next_mode, next_ranks in then:
        same(f"from {mode} on {ranks} to {next_mode} on {next_ranks}: the same bits",
             run(next_ranks, next_mode, *STRICT, "--resume", middle)[1], bits)

# ---- ends
killed = os.path.join(work, "killed")
process = faults.start(["mpirun", "--oversubscribe", "--bind-to", "none", "-n", "2", lockstep, "train", "--data", data,
                        "--device", "cpu", "--mode", "fsdp", "--threads", "1", "--oversubscribe", "--epochs", "100000",
                        "--global-batch", "24", "--results", killed, "--step-log"])
faults.kill_a_rank(tap, process, killed)
for mode, options, line in (("ddp", ["--prefetch", "2"], "--prefetch belongs to --mode fsdp"),
                            ("fsdp", ["--grad-comm", "bf16"], "--grad-comm bf16 belongs to --mode ddp")):
    _, error = run(2, mode, *options, expected=2)
    tap.check(f"{mode} {' '.join(options)} is refused in a line", line in error, error[-300:])
sys.exit(tap.done())
