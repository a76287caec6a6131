#!/usr/bin/env python3
"""Each system call with which a run writes into its folder fails, one run after the other: the k-th of them, k
from 1 to all. The run ends by itself, with one line that has the cause or with the right bits; each checkpoint
that has a name is whole; and the next attempt ends with the bits of the run that nothing disturbed.

usage: syscalls.py LOCKSTEP LIBRARY [--kinds | --all] [--progress FILE] [--jobs N] [--ranks N] [--error NAME]

LIBRARY: failing_calls, built. --all: each call, with each of the errors (some 3,000 trials, each of them two runs and
a `checkpoint verify`: 0.3 s of a core); --kinds: one call of each name on each file, with one of the errors or those
that are named (minutes); else one call of each name. --progress: what a call of this file has done is kept there, and
the next one of the same program goes on behind it."""
import argparse
import concurrent.futures
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import faults

ERRORS = ("ENOSPC", "EDQUOT", "EIO", "short", "half", "full")
READING = ("open", "read", "pread")
OPTIONS = ("--step-log", "--checkpoint-every", "epoch", "--keep", "1")
parser = argparse.ArgumentParser()
parser.add_argument("lockstep")
parser.add_argument("library")
parser.add_argument("--all", action="store_true")
parser.add_argument("--kinds", action="store_true")
parser.add_argument("--jobs", type=int, default=1)
parser.add_argument("--ranks", type=int, default=1)
parser.add_argument("--error", choices=ERRORS, action="append")
parser.add_argument("--progress")
given = parser.parse_args()
lockstep, library = os.path.abspath(given.lockstep), os.path.abspath(given.library)
if given.ranks > 1:
    faults.kit.need_mpirun()
tap = faults.kit.Tap()
scratch = tempfile.mkdtemp(prefix="lockstep-syscalls-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
# All of them run beside other work, or when there is none.
patience = 900 if given.all else faults.PATIENCE
data = faults.kit.pack(lockstep, os.path.join(scratch, "data"), 64, "--test-images", "32", "--size", "8", "--shards", "1")


def at(name):
    return os.path.join(scratch, name)


def command(folder, epochs, preload=()):
    # One rank has the same bits without lanes, and is there sooner.
    made = faults.command(lockstep, data, folder, given.ranks, *OPTIONS, epochs=epochs, strict=given.ranks > 1)
    place = made.index(lockstep)
    return made[:place] + list(preload) + made[place:]


def run(folder, epochs, **wishes):
    """Exit code, output, error. The library is the rank's alone: a launcher has nothing to do with it."""
    if not wishes:
        return faults.finish(faults.start(command(folder, epochs)), patience)
    names = [f"FAILING_{name}={value}" for name, value in wishes.items()]
    preload = ("env", "LD_PRELOAD=" + library, "FAILING_FOLDER=" + folder, *names)
    return faults.finish(faults.start(command(folder, epochs, preload)), patience)


def calls_of(record):
    """(K, name, path, whether it was made to fail) of each call."""
    with open(record, encoding="utf-8") as file:
        found = [line.split() for line in file]
    return [(int(each[0]), each[1], each[2], each[-1] == "failed") for each in found]


def role(call, folder):
    """What a call is, whatever numbers its names have."""
    _, name, path, _ = call
    path = re.sub(r"\.[0-9a-f]{32}-\d+|\.\d+-\d+-[0-9a-f]{8}|-[0-9a-f]{32}\.\d+|\.\d{10}\.[^/]*\.\d+\.0$", "", path[len(folder):])
    return name, re.sub(r"step-\d{10}(\.\d+)?", "step", path)


# ---- what there is to begin with, and what must come out
def must(folder, epochs, **wishes):
    code, out, error = run(folder, epochs, **wishes)
    if code:
        raise SystemExit(f"Bail out! {folder}: {code}\n{out[-500:]}\n{error}")


EPOCHS = 2
BITS = {}
for epochs in (EPOCHS, EPOCHS + 1):  # the next attempt has something to do in any case
    must(at(f"whole-{epochs}"), epochs)
    BITS[epochs] = faults.result(at(f"whole-{epochs}"))[1]
must(at("begun"), 1)
SCENARIOS = {"new": None, "goes on": at("begun")}


def prepare(scenario, folder):
    if SCENARIOS[scenario]:
        shutil.copytree(SCENARIOS[scenario], folder)


# ---- a trial
def verify(folder, again=False):
    """What is wrong with the checkpoints that have a name, or with what `last` names. again: of an attempt that nothing
    disturbed, whose checkpoints are whole as any."""
    there = os.path.join(folder, "checkpoints")
    names = sorted(os.listdir(there)) if os.path.isdir(there) else []
    if "last" in names:
        with open(os.path.join(there, "last"), encoding="ascii") as file:
            named = file.read()
        if named.strip() not in names or not named.endswith("\n"):
            return f"last names {named!r}, there are {names}"
    for name in names:
        if name.startswith("step-") and not again:
            done = subprocess.run([lockstep, "checkpoint", "verify", os.path.join(there, name)], capture_output=True, text=True)
            if done.returncode:
                return f"{name} is not whole: {done.stderr}"
    return None


def leftovers(folder):
    return [os.path.join(root, name) for root, folders, files in os.walk(folder) for name in folders + files
            if name.startswith(".") or name.startswith("claim")]


def cause_of(error):
    return os.strerror(getattr(errno, error, errno.ENOSPC))


def judge_end(folder, error, code, out, said, failed):
    """What is wrong with how the run ended."""
    lines = [line for line in said.splitlines() if line.startswith("lockstep")]
    if code == 124:
        return "it did not end"
    # What cannot be read is bad input.
    if code not in ((0, 1, 2) if failed and failed[0][1] in READING else (0, 1)):
        return f"exit code {code}"
    if code == 0:
        if error == "half" and "was not saved" in out:
            return "half a write was taken for a failure"
        if faults.result(folder)[1] != BITS[EPOCHS]:
            return "other bits"
        return None
    if error == "half":
        return "half a write ended it"
    if len(lines) != 1 or cause_of(error) not in lines[0]:
        return "not one line with the cause"
    return None


def trial(scenario, rank, call, error, number):
    folder, record = at(f"trial-{number}"), at(f"record-{number}")
    prepare(scenario, folder)
    wishes = {"CALL": call[0], "ERROR": error, "RECORD": record, "READS": int(scenario == "goes on"), "RANK": rank}
    code, out, said = run(folder, EPOCHS, **wishes)
    failed = [each for each in calls_of(record) if each[3]] if os.path.exists(record) else []
    why = judge_end(folder, error, code, out, said, failed) or verify(folder)
    # What could not be removed is there until the next attempt.
    removals = ("unlink", "unlinkat", "rmdir", "rename")
    left = leftovers(folder)
    if not why and left and error != "full" and not any(each[1] in removals for each in failed):
        why = f"left: {left}"
    if not why:
        again, more, line = run(folder, EPOCHS + 1)
        if again or faults.result(folder)[1] != BITS[EPOCHS + 1]:
            why = f"the next attempt: {again} {more[-500:]} {line}"
        elif leftovers(folder) or verify(folder, again=True):
            why = f"after the next attempt: {leftovers(folder)} {verify(folder, again=True)}"
    shown = role(failed[0], folder) if failed else ("none",)
    result = (scenario, call[0], error, code, shown, "warned" if "was not saved" in out else "", why)
    if why:
        result += (f"{out[-400:]} {said}",)
    shutil.rmtree(folder, ignore_errors=True)
    if os.path.exists(record):
        os.unlink(record)
    return result


# ---- which
def sample(found, folder):
    """One call of each kind; or of each name, of the save of a checkpoint where it has one."""
    first = {}
    for call in found:
        kind = role(call, folder)
        first.setdefault(kind if given.kinds else (kind[0], "/checkpoints/.step" in kind[1]), call)
    return list(first.values()) if given.kinds else [call for (name, saves), call in first.items()
                                                     if saves or (name, True) not in first]


def plan():
    """(scenario, rank, call, error) of each trial."""
    for turn, scenario, rank in ((*each, rank) for each in enumerate(SCENARIOS) for rank in range(given.ranks)):
        if scenario == "new" and not given.all and not given.kinds:
            continue
        folder = at(f"counted-{turn}-{rank}")
        prepare(scenario, folder)
        must(folder, EPOCHS, RECORD=at("record"), READS=turn, RANK=rank)
        found = calls_of(at("record"))
        os.unlink(at("record"))
        print(f"# {scenario}, rank {rank}: {len(found)} calls", flush=True)
        if not given.all:
            found = sample(found, folder)
            print(f"# {len(found)} of them", flush=True)
        for index, call in enumerate(found):
            for error in given.error or (ERRORS if given.all else (ERRORS[index % len(ERRORS)],)):
                yield scenario, rank, call, error


# ---- what was done before, a line a trial behind one that names the program and the list of trials
def digest(*files, more=""):
    found = hashlib.sha256(more.encode())
    for name in files:
        with open(name, "rb") as file:
            found.update(file.read())
    return found.hexdigest()


def begun(path, trials):
    """{(scenario, rank, call, error): result} of a file that goes on; a new one begins."""
    head = {"program": digest(lockstep, library, os.path.abspath(__file__)), "ranks": given.ranks, "of": len(trials)}
    if not os.path.exists(path):
        with open(path, "w", encoding="utf-8") as file:
            print(json.dumps(head), file=file)
        return {}
    with open(path, encoding="utf-8") as file:
        first, *lines = file.read().split("\n")
    if json.loads(first)["program"] != head["program"]:
        raise SystemExit(f"Bail out! {path} is of another program")
    rows = [json.loads(line) for line in lines[:-1]]  # behind the last line break: a row that was broken off
    with open(path, "w", encoding="utf-8") as file:
        print(first, *map(json.dumps, rows), sep="\n", file=file)
    return {tuple(row["trial"]): row["result"] for row in rows}


trials = list(plan())
keys = [(scenario, rank, call[0], error) for scenario, rank, call, error in trials]
results = begun(given.progress, trials) if given.progress else {}
print(f"# {len(results)} were done before", flush=True)
wrong = [result for result in results.values() if result[6]]
with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
    waiting = {pool.submit(trial, *each, number): keys[number] for number, each in enumerate(trials)
               if keys[number] not in results}
    for each in concurrent.futures.as_completed(waiting):
        result = each.result()
        print("#", *result[:6], result[6] or "", flush=True)
        if given.progress:
            with open(given.progress, "a", encoding="utf-8") as file:
                print(json.dumps({"trial": waiting[each], "result": result}), file=file)
        if result[6]:
            wrong.append(result)
            print(*("# " + line for line in result[7].splitlines()), sep="\n", flush=True)
tap.check(f"{len(results) + len(waiting)} failing calls are survived", not wrong, f"{len(wrong)} are not: {wrong[:1]}")
shutil.rmtree(scratch)
sys.exit(tap.done())
