#!/usr/bin/env python3
"""Going on at the borders: right before, at and behind an epoch's end, at the last step; and as another kind of run,
which is taken, or refused by the option's name.

usage: borders.py LOCKSTEP"""
import csv
import os
import shutil
import sys
import tempfile
import time

import faults

lockstep = os.path.abspath(sys.argv[1])
faults.kit.need_mpirun()
tap = faults.kit.Tap()
scratch = tempfile.mkdtemp(prefix="lockstep-borders-")
# 5 batches an epoch, two epochs.
data = faults.kit.pack(lockstep, os.path.join(scratch, "data"), 150, "--test-images", "40", "--size", "8", "--shards", "1")
LAST = 10


def at(name, *more):
    return os.path.join(scratch, name, *more)


def run(name, ranks, *options, **how):
    return faults.finish(faults.start(faults.command(lockstep, data, at(name), ranks, *options, **how)))


def must(name, ranks, *options, **how):
    code, out, error = run(name, ranks, *options, **how)
    if code:
        raise SystemExit(f"Bail out! {name}: {code}\n{out[-500:]}\n{error}")
    return faults.result(at(name))


def checkpoint(name, step):
    return at(name, "checkpoints", f"step-{step:010d}")


summary, whole = must("whole", 1)
for step, where in ((4, "one step before an epoch's end"), (5, "an epoch's end"), (6, "one step behind it")):
    name = f"at-{step}"
    summary, found = must(name, 1, "--checkpoint-every", str(step), "--keep", "9")
    tap.check(f"saved at {where}", os.path.isdir(checkpoint(name, step)) and found == whole, os.listdir(at(name, "checkpoints")))
    summary, found = must("from", 2, "--resume", checkpoint(name, step))
    tap.check(f"and from {where} on two ranks to the same bits", found == whole and summary["attempts"] == "2" and
              summary["steps"] == str(LAST), f"{found} is not {whole}")
    shutil.rmtree(at("from"))
summary, found = must("from", 2, "--resume", checkpoint("at-5", LAST))
tap.check("from the last step: nothing is trained, and the result is the same", found == whole, f"{found} is not {whole}")
code, out, error = run("at-5", 1)
tap.check("after the end, in its own folder: it says so, and 0", code == 0 and "nothing to do" in out, f"{code}: {out} {error}")

# A run that goes on in mid-epoch, its ledger read all the time: a save is in place while it evaluates.
bare = faults.kit.pack(lockstep, at("bare"), 150, "--test-images", "20000", "--size", "8", "--shards", "1")
running = faults.start(faults.command(lockstep, bare, at("ledger"), 1, "--resume", checkpoint("at-6", 6), "--allow", "data",
                                      "--checkpoint-every", "1"))
seen, ledger = [], at("ledger", "attempts.csv")
while running.poll() is None:
    time.sleep(0.002)  # the cores are the run's
    if os.path.exists(ledger):
        with open(ledger, newline="", encoding="ascii") as file:
            seen += list(csv.DictReader(file))
code, out, error = faults.finish(running)
times = [float(row["training_seconds"]) for row in seen if row["attempt"] == "1"]
tap.check("no row of its ledger has less time in it than the one before", code == 0 and len(times) > 1 and min(times) >= 0 and
          times == sorted(times), f"{code}: {error} {times[:3]} {min(times)}")

# As another kind of run.
saved = checkpoint("at-4", 4)
summary, found = must("mode", 2, "--resume", saved, "--factor-comm", "off", strict=True, mode="ddp")
tap.check("a checkpoint of single, on to ddp: the same bits", found == whole, f"{found} is not {whole}")
must("ddp", 2, "--checkpoint-every", "4", strict=False)
summary, found = must("dp", 2, "--resume", checkpoint("ddp", 4), strict=False, mode="dp")
tap.check("one of ddp, on to dp", summary["attempts"] == "2" and summary["steps"] == str(LAST) and len(found[2]) == 2, summary["steps"])
for option, words, how in (("strict", (), {"strict": False}), ("device", (), {"device": "ref"}),
                           ("precision", ("--precision", "bf16"), {"device": "ref"})):
    name = saved
    if option == "precision":
        must("ref", 1, "--checkpoint-every", "4", device="ref", epochs=1)
        name = checkpoint("ref", 4)
    code, out, error = run("refused", 1, "--resume", name, *words, **how)
    lines = [line for line in error.splitlines() if line.startswith("lockstep")]
    tap.check(f"another --{option}: refused by name, with a line", code == 2 and len(lines) == 1 and f"--{option} was" in lines[0],
              f"{code}: {out[-300:]} {error}")
shutil.rmtree(scratch)
sys.exit(tap.done())
