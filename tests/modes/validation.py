#!/usr/bin/env python3
"""--validate-every: epochs that are not evaluated have empty cells, never a zero or an older value, and change
nothing of what is trained; the last is evaluated always. The same on 1 and 2 ranks, and through a resume in
the middle of them. Top-5 is what `lockstep evaluate` counts.

usage: validation.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)"""
import csv
import glob
import os
import re
import subprocess
import sys
import tempfile

import kit

lockstep = os.path.abspath(sys.argv[1])
kit.need_mpirun()
tap = kit.Tap()
MEASURED = ["test_loss", "test_accuracy", "test_top5_accuracy", "evaluation_seconds"]
TESTED = MEASURED[:3]
TRAINED = ["epoch", "train_loss", "train_accuracy", "images", "steps"]
EVERY = ["--strict", "--lanes", "2", "--global-batch", "24"]
SOME = EVERY + ["--validate-every", "2"]
EPOCHS = 5
VALIDATED = (2, 4, 5)


def of(row, columns):
    return [row[column] for column in columns]


def rows(folder, file):
    with open(os.path.join(folder, file), newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def run(work, name, ranks, *options, epochs=EPOCHS):
    folder = os.path.join(work, name)
    mode = ["--mode", "ddp"] if ranks > 1 else []
    _, epochs_csv = kit.train(lockstep, data, folder, ranks if ranks > 1 else 0, *mode, *options, epochs=epochs)
    return folder, epochs_csv, rows(folder, "summary.csv")[0]


def best_of(epochs):
    """The epochs that are the best so far."""
    best, out = -1.0, []
    for row in epochs:
        if row["test_accuracy"] and float(row["test_accuracy"]) > best:
            best = float(row["test_accuracy"])
            out.append(row["epoch"])
    return out


def holds(name, found, summary, whole):
    """Against the run that evaluates after each epoch."""
    every, every_summary = whole
    tap.check(f"{name}: it trains what it trained", [of(row, TRAINED) for row in found] ==
              [of(row, TRAINED) for row in every] and summary["parameters_hash"] == every_summary["parameters_hash"],
              f"{found} against {every}")
    wrong = [row for row, same in zip(found, every) if (of(row, TESTED) != of(same, TESTED) or
             not float(row["evaluation_seconds"]) > 0 if int(row["epoch"]) in VALIDATED
             else of(row, MEASURED) != [""] * len(MEASURED))]
    tap.check(f"{name}: test values after epochs {VALIDATED}, else empty cells", not wrong and len(found) == EPOCHS, wrong)
    tap.check(f"{name}: the best is one that was evaluated",
              [row["epoch"] for row in found if row["best"] == "1"] == best_of(found) and
              summary["best_epoch"] == best_of(found)[-1], found)
    tap.check(f"{name}: the summary has the last", [summary["final_" + column] for column in TESTED] ==
              of(found[-1], TESTED) and summary["validate_every"] == "2" and
              abs(float(summary["evaluation_seconds"]) - sum(float(row["evaluation_seconds"] or 0) for row in found)) < 1e-6,
              summary)


def log_holds(folder):
    with open(os.path.join(folder, "log.txt"), encoding="utf-8") as file:
        log = file.read()
    lines = [line.split() for line in log.splitlines() if re.match(r" +\d+ +\d\.\d+ +\d", line)]
    found = {int(words[0]): words[3:5] for words in lines}
    good = all((words == ["-", "-"]) == (epoch not in VALIDATED) for epoch, words in found.items())
    tap.check("the log's rows have a dash", good and len(found) == EPOCHS, log)
    tap.check("the header says it, and the closing table has top-5",
              "after every 2 epochs and after the last" in log and re.search(r"test accuracy [\d.]+% \(top-5 [\d.]+%\) at", log), log)


def report_holds(folder):
    shown = subprocess.run([lockstep, "report", folder, "--target-accuracy", "0.0001"], capture_output=True, text=True)
    tap.check("a report takes it", shown.returncode == 0 and "Time to accuracy" in shown.stdout,
              f"{shown.returncode}: {shown.stdout} {shown.stderr}")


def checkpoints_hold(work, whole):
    """Attempts that end in the middle of epochs without a test value."""
    for ranks, other in ((1, 2), (2, 1)):
        saved, _, _ = run(work, f"saved{ranks}", ranks, *SOME, "--checkpoint-every", "epoch", "--keep", "9", "--best", "accuracy")
        listed = subprocess.run([lockstep, "checkpoint", "ls", os.path.join(saved, "checkpoints")], capture_output=True, text=True)
        lines = [line for line in listed.stdout.splitlines() if "step-" in line]
        tap.check(f"{ranks} ranks: a checkpoint without a test value says so", len(lines) == EPOCHS and
                  sum("%" in line for line in lines) == len(VALIDATED), listed.stdout + listed.stderr)
        with open(os.path.join(saved, "checkpoints", "best"), encoding="ascii") as file:
            best = file.read().strip()
        steps = int(rows(saved, "epochs.csv")[0]["steps"])
        tap.check(f"{ranks} ranks: --best points to an epoch that was evaluated",
                  best == f"step-{steps * int(rows(saved, 'summary.csv')[0]['best_epoch']):010d}", best)
        for epoch in (1, 3):
            at = os.path.join(saved, "checkpoints", f"step-{steps * epoch:010d}")
            folder, found, summary = run(work, f"on{ranks}-{epoch}", other, *SOME, "--resume", at)
            holds(f"saved on {ranks} after epoch {epoch}, on with {other}", found, summary, whole)
            tap.check(f"on with {other} from epoch {epoch}: one event file", len(glob.glob(folder + "/events*")) == 1)


def top5_holds(work, ranks):
    folder, found, _ = run(work, f"last{ranks}", ranks, *SOME, "--checkpoint-every", "epoch")
    shown = subprocess.run([lockstep, "evaluate", "--data", data, "--device", "cpu", "--threads", "1", "--from",
                            os.path.join(folder, "checkpoints", "last")], capture_output=True, text=True)
    top = {match[1]: int(match[2]) for match in re.finditer(r"top-(\d) .*\((\d+)\)", shown.stdout)}
    images = 60
    tap.check(f"{ranks} ranks: top-1 and top-5 are what evaluate counts", top and
              abs(top["1"] / images - float(found[-1]["test_accuracy"])) < 1e-8 and
              abs(top["5"] / images - float(found[-1]["test_top5_accuracy"])) < 1e-8 and top["1"] < top["5"] < images,
              f"{shown.stdout} {shown.stderr} {found[-1]}")


with tempfile.TemporaryDirectory(prefix="lockstep-validation-") as work:
    data = kit.pack(lockstep, os.path.join(work, "data"), 90, "--test-images", "60", "--size", "8")
    _, every, every_summary = run(work, "every", 1, *EVERY)
    tap.check("after each epoch without it", all(row["test_top5_accuracy"] for row in every) and
              every_summary["validate_every"] == "", every)
    for ranks in (1, 2):
        folder, found, summary = run(work, f"some{ranks}", ranks, *SOME)
        holds(f"{ranks} ranks", found, summary, (every, every_summary))
        top5_holds(work, ranks)
    log_holds(folder)
    report_holds(os.path.join(work, "some1"))
    checkpoints_hold(work, (every, every_summary))
    _, once, _ = run(work, "once", 1, *EVERY, "--validate-every", "100", epochs=3)
    tap.check("more epochs than there are: the last alone", [bool(row["test_loss"]) for row in once] == [False, False, True], once)
sys.exit(tap.done())
