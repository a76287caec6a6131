#!/usr/bin/env python3
"""--strict: after 16 steps the parameters have the same bits at 1, 2 and 4 ranks, at 1 and 2 threads
a rank, through shared memory and through messages, in fp32 and bf16; and without it they have not,
so that this test can fail.

usage: strict.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)

Two epochs of 8 steps. The last batch of each is short: of 13 images lanes have 3 or 4, of 1 image
three of four lanes are empty.
"""
import csv
import os
import sys
import tempfile

import kit

lockstep = sys.argv[1]
kit.need_mpirun()
kit.ENVIRONMENT["OMP_WAIT_POLICY"] = "passive"  # threads that spin take the cores from each other
tap = kit.Tap()
SAME = ["parameters_hash", "plan_id", "final_train_loss", "final_test_loss", "final_test_accuracy"]


def outcome(work, data, ranks, *options, columns=SAME):
    """What must not differ, of one run; ranks = 0: single, without mpirun."""
    mode = ["--mode", "ddp" if ranks else "single"]
    results = os.path.join(work, f"run{outcome.runs}")
    outcome.runs += 1
    done = kit.attempt(lockstep, data, results, ranks, *mode, "--global-batch", "24", *options)
    if done.returncode:
        raise SystemExit(f"Bail out! {' '.join(done.args)}: {done.returncode}\n{done.stderr}")
    with open(os.path.join(results, "summary.csv"), newline="") as file:
        row = next(csv.DictReader(file))
    if int(row["steps"]) != 16:
        raise SystemExit(f"Bail out! {row['steps']} steps")
    return [row[column] for column in columns]


outcome.runs = 0


def same(name, found, expected):
    tap.check(name, found == expected and found[0], f"{dict(zip(SAME, found))} against {expected}")


def everywhere(work, data, runs, *options):
    """All of `runs` (ranks, threads, more options) against single with one thread."""
    expected = outcome(work, data, 0, "--strict", *options)
    for ranks, threads, *more in runs:
        name = f"{ranks} ranks" if ranks else "single"
        same(f"{name}, {threads} threads, {' '.join([*options, *more])}: the same bits",
             outcome(work, data, ranks, "--strict", "--threads", threads, *options, *more), expected)
    return expected


with tempfile.TemporaryDirectory() as work:
    ragged = kit.pack(lockstep, os.path.join(work, "ragged"), 24 * 7 + 13, "--size", "8", "--test-images", "30")
    lone = kit.pack(lockstep, os.path.join(work, "lone"), 24 * 7 + 1, "--size", "8", "--test-images", "9")
    # The second measures in warm-up what strictness costs, as runs do unless kit.py's are told not to: no bit of it stays.
    fp32 = everywhere(work, ragged, [(0, "2"), (2, "2", "--strict-cost", "on"), (4, "1")], "--lanes", "4")
    with open(os.path.join(work, "run2", "summary.csv"), newline="") as file:
        cost = next(csv.DictReader(file))["strict_cost"]
    tap.check("what strictness costs was measured where it was asked for", cost not in ("", "nan"), cost)
    everywhere(work, lone, [(4, "1", "--bucket-mb", "0.3")], "--lanes", "4", "--augment", "crop-flip")
    kit.ENVIRONMENT["LOCKSTEP_SHARED_MEMORY"] = "0"
    for ranks in (2, 4):
        same(f"{ranks} ranks, by messages: the same bits", outcome(work, ragged, ranks, "--strict"), fp32)
    del kit.ENVIRONMENT["LOCKSTEP_SHARED_MEMORY"]
    if kit.has_bf16():
        everywhere(work, ragged, [(2, "1")], "--precision", "bf16")
    else:
        tap.skip("bf16", "this CPU has no bf16")
    other = outcome(work, ragged, 0, "--strict", "--lanes", "2")
    tap.check("another number of lanes is another sum", other[0] != fp32[0] and other[1] != fp32[1], f"{other}")
    # Two ranks that read each other's gradients (src/mode/pair.h) do what an all-reduce and whole updates do.
    for options in (["--factor-comm", "off", "--bucket-mb", "1"],
                    ["--factor-comm", "off", "--optimizer", "sgd", "--momentum", "0.9", "--bucket-mb", "64"]):
        shared = outcome(work, ragged, 2, *options)
        kit.ENVIRONMENT["LOCKSTEP_SHARED_MEMORY"] = "0"
        same(f"not strict, 2 ranks {' '.join(options)}: the bits that messages give",
             outcome(work, ragged, 2, *options), shared)
        del kit.ENVIRONMENT["LOCKSTEP_SHARED_MEMORY"]
    alone = outcome(work, ragged, 0, *options)
    tap.check("without --strict 1 and 2 ranks end with other bits", alone[0] != shared[0] and alone[0] and shared[0],
              f"{alone} {shared}")
sys.exit(tap.done())
