#!/usr/bin/env python3
"""Runs that are killed at random moments and go on at another number of ranks: each must end with the bits
of the run that was not.

usage: killed.py LOCKSTEP [RUNS [SEED [FIRST]]]   (6 runs, a dozen kills; each run's moments follow from the seed and its number)

A run is killed one to three times: some of the time anywhere between its start and its end, else after the first
save of the attempt has begun, when it trains and saves by turns. By hand, with 500 runs for 1,000 kills, this goes
on at the run FIRST where it was stopped."""
import csv
import os
import random
import shutil
import signal
import sys
import tempfile
import time

import faults

lockstep = os.path.abspath(sys.argv[1])
runs = int(sys.argv[2]) if len(sys.argv) > 2 else 6
seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
first = int(sys.argv[4]) if len(sys.argv) > 4 else 0
faults.kit.need_mpirun()
tap = faults.kit.Tap()
scratch = tempfile.mkdtemp(prefix="lockstep-killed-")
data = faults.kit.pack(lockstep, os.path.join(scratch, "data"), 300, "--test-images", "70", "--size", "8", "--shards", "1")
RANKS = (1, 2, 4)
EPOCHS = 4
kills = {"all": 0, "saving": 0}


def whole(ranks):
    folder = os.path.join(scratch, f"whole-{ranks}")
    began = time.monotonic()
    code, _, error = faults.finish(faults.start(faults.command(lockstep, data, folder, ranks, epochs=EPOCHS)))
    if code:
        raise SystemExit(f"Bail out! a run without checkpoints: {code}\n{error}")
    return faults.result(folder)[1], time.monotonic() - began


def names(folder):
    try:
        return set(os.listdir(os.path.join(folder, "checkpoints")))
    except OSError:
        return set()


def saves(folder, before, process):
    """A save has begun that is none of `before`; or the process has ended."""
    return process.poll() is not None or any(name.startswith(".step-") for name in names(folder) - before)


def attempt(folder, ranks, moment, aimed, dice):
    """One attempt, killed at `moment` seconds from its start or, aimed, from its first save, where it has not ended by
    then: its exit code, None where it was killed. A rank alone is killed, or all of them at once."""
    before = names(folder)
    process = faults.start(faults.command(lockstep, data, folder, ranks, "--checkpoint-every", str(dice.choice((1, 2, 3))),
                                          "--keep", "2", epochs=EPOCHS))
    if moment is None:
        return faults.finish(process)
    if aimed:
        faults.wait_for(lambda: saves(folder, before, process))
    time.sleep(moment)
    found = faults.ranks_of(process)
    running = process.poll() is None
    for pid in found if dice.random() < 0.3 else [dice.choice(found)] if found else []:
        faults.end(pid, signal.SIGKILL)
    code, out, error = faults.finish(process, faults.PATIENCE)
    killed = running and bool(found) and code not in (0, 124)
    kills["all"] += killed
    kills["saving"] += killed and aimed
    return (None if killed else code), out, error


def wrong_ledger(folder, steps):
    """What is wrong with attempts.csv, though attempts were killed: each step was kept by one of them."""
    with open(os.path.join(folder, "attempts.csv"), newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    kept = sum(int(row["last_step"]) - int(row["first_step"]) - int(row["lost_steps"]) for row in rows)
    ends = [row["ended"] for row in rows]
    known = all(end in ("killed", "failure", "SIGTERM", "finished") for end in ends) and ends[-1] == "finished"
    return None if kept == steps and known else f"attempts.csv: {kept} steps of {steps} kept: {rows}"


def one(number, expected, seconds):
    """A run that is killed one to three times."""
    dice = random.Random(seed * 1000003 + number)
    folder = os.path.join(scratch, f"run-{number}")
    turns, before = dice.randint(1, 3), 0
    for turn in range(turns + 1):
        ranks = dice.choice([count for count in RANKS if count != before])
        before = ranks
        aimed = dice.random() < 0.6
        moment = dice.uniform(0, 0.3) if aimed else dice.uniform(0.1, 1.1) * seconds[ranks]
        code, out, error = attempt(folder, ranks, moment if turn < turns else None, aimed, dice)
        if code not in (None, 0):
            return f"attempt {turn + 1} on {ranks}: exit {code}: {out[-300:]} {error[-900:]}"
    summary, found = faults.result(folder)
    if found != expected:
        return f"after {summary['attempts']} attempts: {found} is not {expected}"
    why = wrong_ledger(folder, int(summary["steps"]))
    if not why:
        shutil.rmtree(folder)
    return why


bits, seconds = {}, {}
for count in RANKS:
    bits[count], seconds[count] = whole(count)
tap.check("strict runs on 1, 2 and 4 ranks are the same", len({repr(each) for each in bits.values()}) == 1, repr(bits))
wrong = []
for number in range(first, runs):
    why = one(number, bits[1], seconds)
    wrong += [(number, why)] if why else []
    print(f"# run {number}: {why or 'the same bits'} ({kills['all']} kills so far)", flush=True)
tap.check(f"{runs - first} killed runs end with the bits of the run that was not", not wrong,
          f"{len(wrong)} of {runs - first} do not; run {wrong[0][0]}: {wrong[0][1]}" if wrong else "")
print(f"# {runs - first - len(wrong)} of {runs - first}, seed {seed}; {kills['all']} kills, {kills['saving']} of them "
      "after the attempt's first save")
if not wrong:
    shutil.rmtree(scratch)
sys.exit(tap.done())
