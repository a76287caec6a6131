#!/usr/bin/env python3
"""Signals to a run with checkpoints: the first one has the state saved and the run left with a code of its own,
also where one rank alone got it; the second ends the run at once, and the checkpoint before stays good.

usage: signals.py LOCKSTEP"""
import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import faults

lockstep = os.path.abspath(sys.argv[1])
STOPPED = 4
faults.kit.need_mpirun()
tap = faults.kit.Tap()
scratch = tempfile.mkdtemp(prefix="lockstep-signals-")
data = faults.kit.pack(lockstep, os.path.join(scratch, "data"), 300, "--test-images", "70", "--size", "16", "--shards", "1")
EPOCHS = 4


def at(name):
    return os.path.join(scratch, name)


def start(name, ranks, *options, **how):
    return faults.start(faults.command(lockstep, data, at(name), ranks, *options, epochs=EPOCHS, **how))


def is_training(name):
    """A row of epochs.csv: training goes on."""
    try:
        with open(os.path.join(at(name), "epochs.csv"), encoding="ascii") as file:
            return len(file.readlines()) > 1
    except OSError:
        return False


code, _, error = faults.finish(start("whole", 1))
if code:
    raise SystemExit(f"Bail out! {error}")
whole = faults.result(at("whole"))[1]

# To rank 0 alone: in an evaluation, below.
CASES = [("SIGTERM", 2, "all"), ("SIGINT", 1, 0), ("SIGUSR1", 4, 2)]
for name, ranks, who in CASES:
    title = f"{name} to {'rank ' + str(who) if who != 'all' else 'all'} of {ranks}"
    folder = f"{name}-{ranks}-{who}"
    process = start(folder, ranks, "--checkpoint-every", "1000")
    if not faults.wait_for(lambda: is_training(folder)):
        raise SystemExit(f"Bail out! {faults.finish(process, 1)}")
    pids = sorted(faults.ranks_of(process))
    began = time.monotonic()
    for pid in pids if who == "all" else [pids[who]]:
        faults.end(pid, getattr(signal, name))
    code, out, error = faults.finish(process, faults.PATIENCE)
    seconds = time.monotonic() - began
    tap.check(f"{title}: saved, and left with {STOPPED}", code == STOPPED and f"stopped  by {name}" in out,
              f"{code}: {out[-400:]} {error}")
    tap.check(f"{title}: within {faults.PATIENCE} s", seconds < faults.PATIENCE, seconds)
    print(f"# {seconds:.2f} s from the signal to the end")
    code, out, error = faults.finish(start(folder, 2 if ranks == 1 else 1, "--checkpoint-every", "1000"))
    if code:
        tap.check(f"{title}: goes on", False, f"{code}: {out[-400:]} {error}")
        continue
    summary, found = faults.result(at(folder))
    tap.check(f"{title}: goes on to the same bits", found == whole and summary["attempts"] == "2",
              f"{found} is not {whole}")
    with open(os.path.join(at(folder), "attempts.csv"), newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    tap.check(f"{title}: the ledger says so, and that nothing was lost", [row["ended"] for row in rows] == [name, "finished"] and
              summary["lost_steps"] == "0" and 0 < float(summary["goodput"]) < 1 and
              abs(sum(float(row["training_seconds"]) for row in rows) - float(summary["training_seconds"])) <
              0.001, f"{rows} {summary['training_seconds']}")

# In an evaluation, which is most of these epochs: it is given up, and what was trained is saved.
long = faults.kit.pack(lockstep, os.path.join(scratch, "long"), 60, "--test-images", "3000", "--shards", "1")


def evaluate(name, ranks, *options):
    return faults.start(faults.command(lockstep, long, at(name), ranks, *options, epochs=2))


code, out, error = faults.finish(evaluate("long-whole", 2))
for attempt in range(5):  # beside much other work the moment may still be one of training
    shutil.rmtree(at("long-run"), ignore_errors=True)
    process = evaluate("long-run", 2, "--checkpoint-every", "1000")
    faults.wait_for(lambda: is_training("long-run"))
    time.sleep(0.3 * (attempt + 1))
    began = time.monotonic()
    faults.end(faults.ranks_of(process)[0], signal.SIGTERM)
    code, out, error = faults.finish(process, faults.PATIENCE)
    seconds = time.monotonic() - began
    listed = subprocess.run([lockstep, "checkpoint", "ls", os.path.join(at("long-run"), "checkpoints")], capture_output=True,
                            text=True).stdout
    if code != STOPPED or "step-0000000003" not in listed:
        break
tap.check("SIGTERM in an evaluation: saved after all of the epoch's images", code == STOPPED and
          listed.splitlines()[1].split()[2:4] == ["2", "60"], f"{code}: {listed} {out[-300:]} {error}")
print(f"# {seconds:.2f} s from the signal to the end")
code, out, error = faults.finish(evaluate("long-run", 1, "--checkpoint-every", "1000"))
tap.check("and it goes on with the evaluation, to the same bits", code == 0 and
          faults.result(at("long-run"))[1] == faults.result(at("long-whole"))[1], f"{code}: {out[-500:]} {error}")

def saved_once(name):
    process = start(name, 2, "--checkpoint-every", "2")
    faults.wait_for(lambda: os.path.exists(os.path.join(at(name), "checkpoints", "last")))
    return process, sorted(faults.ranks_of(process))


# Two at once are one request: scancel's to the step, and the one that the batch script hands on.
process, pids = saved_once("same")
for number in (signal.SIGTERM, signal.SIGUSR1):
    for pid in pids:
        faults.end(pid, number)
code, out, error = faults.finish(process, faults.PATIENCE)
tap.check("a second signal at once is the same request", code == STOPPED, f"{code}: {error}")

# A later one ends the run as one without checkpoints would, here while the ranks cannot agree on a save; what there
# is stays good.
process, pids = saved_once("twice")
faults.end(pids[1], signal.SIGSTOP)
for _ in range(2):
    faults.end(pids[0], signal.SIGTERM)
    time.sleep(1.5)
faults.end(pids[1], signal.SIGCONT)
code, out, error = faults.finish(process, faults.PATIENCE)
tap.check("a second signal ends it at once", code == 143 and "interrupted by SIGTERM" in error, f"{code}: {error}")
code, out, error = faults.finish(start("twice", 4, "--checkpoint-every", "2"))
tap.check("and the checkpoint before is good", code == 0 and faults.result(at("twice"))[1] == whole, f"{code}: {error}")

# A time limit saves by itself.
began = time.monotonic()
code, out, error = faults.finish(faults.start(faults.command(lockstep, data, at("limit"), 1, "--time-limit", "3", epochs=1000)))
tap.check("a time limit saves and ends before it", code == STOPPED and "stopped  by the time limit" in out and
          time.monotonic() - began < 3 + faults.PATIENCE, f"{code}: {time.monotonic() - began} s, {out[-300:]} {error}")

# Without checkpoints nothing has changed.
process = start("plain", 1)
faults.wait_for(lambda: is_training("plain"))
process.terminate()
code, out, error = faults.finish(process, faults.PATIENCE)
tap.check("without checkpoints SIGTERM ends a run with its line and 143", code == 143 and "interrupted by SIGTERM" in error,
          f"{code}: {error}")
shutil.rmtree(scratch)
sys.exit(tap.done())
