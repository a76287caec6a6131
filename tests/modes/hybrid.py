#!/usr/bin/env python3
"""Sharding inside groups of ranks (--shard-within), replicated between them: 4 ranks in groups of 2 stand for two nodes
of two. With --strict the bits of single in zero1, zero2 and fsdp, through shared memory and through messages, clipped
by norm and with an average; without it, those of one another, and no gradient is counted twice; a checkpoint goes on in
ddp and back; what a rank holds is what the formulas say of a group's ranks.

usage: hybrid.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)
"""
import atexit
import csv
import os
import shutil
import sys
import tempfile

import kit

lockstep = os.path.abspath(sys.argv[1])
kit.need_mpirun()
kit.ENVIRONMENT["OMP_WAIT_POLICY"] = "passive"  # threads that spin take the cores from each other
tap = kit.Tap()
work = tempfile.mkdtemp(prefix="lockstep-hybrid-")
atexit.register(shutil.rmtree, work, True)
# Two epochs of 3 steps, the last of each short.
data = kit.pack(lockstep, os.path.join(work, "data"), 24 * 2 + 5, "--size", "8", "--test-images", "9")
runs = 0
WITHIN = ["--shard-within", "2"]
STRICT = ["--strict", "--lanes", "4", "--ema", "0.9", "--clip-norm", "0.5"]


def run(ranks, mode, *options, expected=0):
    """The run's folder and its summary, or what it said; ranks = 0: without mpirun."""
    global runs
    runs += 1
    folder = os.path.join(work, f"run{runs}")
    done = kit.attempt(lockstep, data, folder, ranks, "--mode", mode, "--certificate-every", "2", "--global-batch", "24",
                       *options, step_log=False)
    if done.returncode != expected:
        raise SystemExit(f"Bail out! {' '.join(done.args)}: {done.returncode}\n{done.stderr}")
    if expected:
        return folder, done.stderr
    with open(os.path.join(folder, "summary.csv"), newline="") as file:
        return folder, next(csv.DictReader(file))


def same(name, summary, expected):
    kit.same_bits(tap, name, summary, expected)


# ---- strict, and a checkpoint of each kind
SAVED = ["--checkpoint-every", "3", "--keep", "100"]
alone, whole = run(0, "single", *STRICT, *SAVED)
bits = kit.outcome(whole)
for mode in ("zero1", "zero2"):
    same(f"{mode} in groups: the bits of single", run(4, mode, *WITHIN, *STRICT)[1], bits)
folder, found = run(4, "fsdp", *WITHIN, *STRICT, *SAVED)
same("fsdp in groups: the bits of single", found, bits)
tap.check("the summary names the groups", found["shard_ranks"] == "2" and whole["shard_ranks"] == "",
          (found["shard_ranks"], whole["shard_ranks"]))
for column, share in (("memory_optimizer_bytes", 1 / 2), ("memory_parameters_bytes", 1 / 2)):
    formula = float(whole[column]) * share
    tap.check(f"fsdp in groups: {column} within 5% of a half", abs(float(found[column]) - formula) < 0.05 * formula,
              (found[column], formula))
step = os.path.join("checkpoints", "step-0000000003")
same("from fsdp in groups to ddp on 2: the same bits", run(2, "ddp", *STRICT, "--resume", os.path.join(folder, step))[1], bits)
same("from single to zero2 in groups: the same bits",
     run(4, "zero2", *WITHIN, *STRICT, "--resume", os.path.join(alone, step))[1], bits)

# ---- not strict: a group's sum, then the groups'; clipped, so that a norm that counted copies twice would show
CLIPPED = ["--clip-norm", "0.5", "--factor-comm", "off"]
_, first = run(4, "fsdp", *WITHIN, *CLIPPED[:2])
kit.ENVIRONMENT["LOCKSTEP_SHARED_MEMORY"] = "0"
same("not strict, zero1 in groups by messages: the bits of fsdp in groups", run(4, "zero1", *WITHIN, *CLIPPED[:2])[1],
     kit.outcome(first))
del kit.ENVIRONMENT["LOCKSTEP_SHARED_MEMORY"]
_, ddp = run(4, "ddp", *CLIPPED)
tap.check("not strict: ddp's loss but for rounding",
          abs(float(first["final_train_loss"]) - float(ddp["final_train_loss"])) < 1e-5 * float(ddp["final_train_loss"]),
          (first["final_train_loss"], ddp["final_train_loss"]))
_, single = run(2, "fsdp", "--shard-within", "1")
same("groups of one rank: the bits of ddp", single, kit.outcome(run(2, "ddp", "--factor-comm", "off")[1]))
same("ranks of one node: as without", run(2, "fsdp", "--shard-within", "node")[1], kit.outcome(run(2, "fsdp")[1]))

# ---- refusals
for ranks, mode, within, expected, line in (
        (2, "ddp", "node", 2, "--shard-within belongs to --mode zero1, zero2, fsdp and gemini; found it with --mode ddp"),
        (2, "fsdp", "both", 2, "--shard-within: expected node, world or a number of ranks, found 'both'"),
        (3, "fsdp", "2", 3, "groups have 2 and 1 ranks")):
    _, error = run(ranks, mode, "--shard-within", within, expected=expected)
    tap.check(f"{mode} --shard-within {within} on {ranks} is refused in a line", line in error, error[-300:])
sys.exit(tap.done())
