#!/usr/bin/env python3
"""What an epoch costs beside its steps, from 10 epochs to 10,000: time and bytes written stay the same.

usage: epochs.py LOCKSTEP [--check]

--check: a test of seconds: bytes written an epoch do not grow from 100 to 800 epochs, and whoever
reads epochs.csv meanwhile finds whole rows, never fewer than before.
"""
import csv
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

lockstep = os.path.abspath(sys.argv[1])
check = "--check" in sys.argv[2:]


def watch(process, path):
    """(reads, what was wrong) of a reader that never stops."""
    reads, before = 0, 0
    while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):  # it stays, with its counts
        try:
            with open(path, "rb") as file:
                found = file.read()
        except FileNotFoundError:
            continue
        reads += 1
        lines = found.count(b"\n")
        if not found.endswith(b"\n") or lines < before:
            return reads, found[-200:]
        before = lines
        if len({line.count(b",") for line in found.splitlines()}) != 1:
            return reads, "a row is cut"
    return reads, ""


def train(epochs, read=False):
    results = f"run-{epochs}"
    process = subprocess.Popen(
        [lockstep, "train", "--data", "data", "--device", "cpu", "--mode", "single", "--threads", "1",
         "--oversubscribe", "--certificate", "off", "--epochs", str(epochs), "--results", results],
        stdout=subprocess.DEVNULL)
    wrong = watch(process, f"{results}/epochs.csv") if read else (0, "")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with open(f"/proc/{process.pid}/io", encoding="ascii") as file:
        written = int(dict(line.split(": ") for line in file)["wchar"])
    if process.wait():
        sys.exit(f"Bail out! {epochs} epochs: exit code {process.returncode}")
    with open(f"{results}/summary.csv", newline="", encoding="ascii") as file:
        summary = {name: float(value) for name, value in next(csv.DictReader(file)).items()
                   if name.endswith("_seconds") and value}
    beside = summary["total_seconds"] - sum(
        summary[f"{part}_seconds"] for part in ("training", "evaluation", "setup", "warmup"))
    with open(f"{results}/epochs.csv", newline="", encoding="ascii") as file:
        rows = len(list(csv.DictReader(file)))
    shutil.rmtree(results)
    return {"rows": rows, "bytes": written / epochs, "wrong": wrong,
            "beside": beside / epochs, "all": summary["total_seconds"] / epochs}


with tempfile.TemporaryDirectory(prefix="lockstep-epochs-") as work:
    os.chdir(work)
    subprocess.run([lockstep, "pack", "synthetic", "data", "--images", "8" if check else "64", "--test-images", "4" if check else "16",
                    "--size", "8"], check=True, stdout=subprocess.DEVNULL)
    if check:
        few, many = train(100), train(800, read=True)
        tap = Tap()
        tap.check(f"bytes an epoch: {few['bytes']:.0f} of 100 epochs, {many['bytes']:.0f} of 800",
                  many["bytes"] < 1.2 * few["bytes"])
        tap.check(f"{many['wrong'][0]} reads of a growing epochs.csv found whole rows",
                  many["wrong"][0] > 10 and not many["wrong"][1] and many["rows"] == 800, many)
        sys.exit(tap.done())
    print("epochs  ms an epoch  of it beside steps and evaluation  bytes written an epoch")
    for count in (10, 100, 1000, 10000):
        found = train(count)
        print(f"{count:6d}  {1e3 * found['all']:11.3f}  {1e3 * found['beside']:33.3f}  "
              f"{found['bytes']:22.0f}", flush=True)
