#!/usr/bin/env python3
"""Runs around which something else goes wrong: a rank whose numbers are none, a clock that is set back, a folder of
checkpoints that cannot be written, is another run's, or is gone.

usage: disturbed.py LOCKSTEP LIBRARY   (LIBRARY: disturbed, built)"""
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import faults

lockstep, library = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
faults.kit.need_mpirun()
tap = faults.kit.Tap()
scratch = tempfile.mkdtemp(prefix="lockstep-disturbed-")
data = faults.kit.pack(lockstep, os.path.join(scratch, "data"), 150, "--test-images", "8", "--size", "8", "--shards", "1")
STOPPED = 4
ENDLESS = 100000


def at(*names):
    return os.path.join(scratch, *names)


def start(name, ranks, *options, before=(), disturbed=None, **how):
    """The library and its words are the ranks' alone."""
    made = faults.command(lockstep, data, at(name), ranks, *options, **how)
    words = ["env", "LD_PRELOAD=" + library, *(f"DISTURBED_{name}={value}" for name, value in disturbed.items())] if disturbed else []
    place = made.index(lockstep)
    return faults.start([*made[:place], *before, *words, *made[place:]])


def run(*given, **how):
    return faults.finish(start(*given, **how))


def must(name, ranks, *options, **how):
    code, out, error = run(name, ranks, *options, **how)
    if code:
        raise SystemExit(f"Bail out! {name}: {code}\n{out[-500:]}\n{error}")
    return faults.result(at(name))


def lines_of(error):
    return [line for line in error.splitlines() if line.startswith("lockstep")]


def saved(folder):
    """The steps of the checkpoints there."""
    return sorted(int(name[5:15]) for name in os.listdir(folder) if name.startswith("step-")) if os.path.isdir(folder) else []


def has_saved(folder):
    return lambda: os.path.exists(os.path.join(folder, "last"))


def touch(path):
    with open(path, "w", encoding="ascii"):
        pass


def verified(folder):
    return all(subprocess.run([lockstep, "checkpoint", "verify", os.path.join(folder, name)], capture_output=True).returncode == 0
               for name in os.listdir(folder) if name.startswith("step-"))


summary, whole = must("whole", 2, epochs=3)

# ---- no number, on one rank
there, now = at("no-number", "checkpoints"), at("no-number.now")
for attempt in range(9):  # now and then the moment comes in an evaluation, which spoils nothing
    shutil.rmtree(at("no-number"), ignore_errors=True)
    process = start("no-number", 2, "--checkpoint-every", "2", "--keep", "1000", epochs=ENDLESS,
                    disturbed={"WHEN": now, "RANK": 1, "EXP": 40})
    if not faults.wait_for(has_saved(there)):
        raise SystemExit(f"Bail out! {faults.finish(process, 1)}")
    time.sleep(0.037 * attempt)
    touch(now)
    code, out, error = faults.finish(process, faults.PATIENCE)
    os.unlink(now)
    if "loss of evaluation" not in error:
        break
named = re.search(r"rank 1 \(host \S+\): the loss of training is not a finite number at step (\d+), here first", error)
tap.check("a loss that is no number on one rank ends the run with one line, which names rank and step",
          code == 1 and named and len(lines_of(error)) == 1, f"{code}: {out[-400:]} {error}")
lost = int(named.group(1)) if named else 0
tap.check("nothing is saved from that step on", saved(there) and max(saved(there)) < lost and verified(there),
          f"{saved(there)[-3:]}, lost at {lost}")
# 5 steps an epoch: to the end of one that lies behind it, against a run that nothing disturbed.
epochs = lost // 5 + 2
code, out, error = run("no-number", 2, "--checkpoint-every", "100000", epochs=epochs)
resumed = re.search(r"resumed  from \S+: step (\d+)", out)
tap.check("the next attempt goes back before it", code == 0 and resumed and int(resumed.group(1)) < lost, f"{code}: {out[-600:]} {error}")
summary, undisturbed = must("undisturbed", 1, epochs=epochs)
tap.check("and ends with the bits of the run that nothing disturbed", code == 0 and faults.result(at("no-number"))[1] == undisturbed)

# ---- a clock that is set back, or forth, by hours
for name, seconds in (("back", -7200), ("forth", 7200)):
    now, there = at(name + ".now"), at(name, "checkpoints")
    process = start(name, 2, "--checkpoint-every", "0.2s", "--keep", "1000", epochs=ENDLESS, disturbed={"WHEN": now, "CLOCK": seconds})
    if not faults.wait_for(has_saved(there)):
        raise SystemExit(f"Bail out! {faults.finish(process, 1)}")
    touch(now)
    had = saved(there)[-1]
    began = time.monotonic()
    went_on = faults.wait_for(lambda: len([step for step in saved(there) if step > had]) >= 4)
    seconds = time.monotonic() - began
    faults.end(faults.ranks_of(process)[0], signal.SIGTERM)
    code, out, error = faults.finish(process, faults.PATIENCE)
    tap.check(f"a clock that is set {name}: it saves on as often", went_on and code == STOPPED, f"{code}: {seconds:.1f} s, {out[-400:]} {error}")
    with open(at(name, "attempts.csv"), newline="", encoding="ascii") as file:
        row = next(csv.DictReader(file))
    tap.check(f"a clock that is set {name}: no time of the attempt is counted by it",
              0 < float(row["training_seconds"]) <= float(row["total_seconds"]) < 10 * faults.PATIENCE, row)
summary, found = must("back", 2, epochs=saved(at("back", "checkpoints"))[-1] // 5 + 1)
tap.check("and the next attempt goes on", summary["attempts"] == "2", summary["attempts"])

# ---- two runs, one folder
shared = at("shared")
process = start("first", 1, "--checkpoint-every", "2", "--checkpoint-dir", shared, epochs=ENDLESS)
if not faults.wait_for(has_saved(shared)):
    raise SystemExit(f"Bail out! {faults.finish(process, 1)}")
for title, name in (("of checkpoints", "second"), ("of results", "first")):
    code, out, error = run(name, 1, "--checkpoint-every", "2", "--checkpoint-dir", shared, "--resume", "none")
    tap.check(f"two runs, one folder {title}: the second is refused with a line that names the first", code == 2 and
              len(lines_of(error)) == 1 and "another process writes there" in error and str(process.pid) in error,
              f"{code}: {out[-300:]} {error}")
tap.check("and the first goes on", process.poll() is None)
faults.end(process.pid, signal.SIGKILL)
faults.finish(process, faults.PATIENCE)
left = os.path.exists(os.path.join(shared, "claim.txt"))
epochs = saved(shared)[-1] // 5 + 2
code, out, error = run("first", 1, "--checkpoint-every", "1000", "--checkpoint-dir", shared, epochs=epochs)
tap.check("what a killed run held is free at once, and goes on", left and code == 0 and "attempt 2" in out, f"{left} {code}: {out[-400:]} {error}")

# ---- a folder that cannot be written
# Who is root may write anywhere, but for this.
plain = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all") if os.geteuid() == 0 else ()
if plain and subprocess.run([*plain, "true"], capture_output=True).returncode:
    tap.skip("a folder that cannot be written", "root, and no setpriv that works")
else:
    locked = at("locked")
    os.mkdir(locked, 0o555)
    code, out, error = run("before", 1, "--checkpoint-every", "2", "--checkpoint-dir", locked, before=plain)
    tap.check("a folder that cannot be written before a run: refused, with a line", code == 2 and len(lines_of(error)) == 1 and
              locked in error and "Permission denied" in error, f"{code}: {out[-300:]} {error}")
    process = start("during", 1, "--checkpoint-every", "3", epochs=3, before=plain)
    there = at("during", "checkpoints")
    faults.wait_for(has_saved(there))
    os.chmod(there, 0o555)
    code, out, error = faults.finish(process)
    os.chmod(there, 0o755)
    # The last save is at the run's end, and is not skipped.
    tap.check("one that cannot be written any more: the run goes on, and says so", code == 0 and "was not saved" in out and
              "Permission denied" in out and faults.result(at("during"))[1] == whole, f"{code}: {out[-600:]} {error}")
    tap.check("and what was saved is whole", saved(there) and verified(there), saved(there))

# ---- a folder that is gone before a run goes on
process = start("gone", 1, "--checkpoint-every", "2", epochs=ENDLESS)
there = at("gone", "checkpoints")
faults.wait_for(has_saved(there))
faults.end(process.pid, signal.SIGTERM)
faults.finish(process, faults.PATIENCE)
os.rename(there, at("elsewhere"))
code, out, error = run("gone", 1, "--checkpoint-every", "2", epochs=3)
tap.check("a folder that is gone: nothing begins anew in silence", code == 2 and there in error and "--resume none" in error,
          f"{code}: {out[-400:]} {error}")
shutil.rmtree(scratch)
sys.exit(tap.done())
