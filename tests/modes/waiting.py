#!/usr/bin/env python3
"""Who waited for whom, in runs on the cpu device. One rank is stopped (SIGSTOP) for 40 ms in every 50: the
verdict names it, whatever the machine, and the other rank waits for as long as the first is at work (or stands
still in it), less what it does itself meanwhile. Ranks that nobody stops get no verdict. In each run ranks.csv averages to
epochs.csv, and the parts of the lost efficiency sum to the loss, none of them below 0 beyond noise.

usage: waiting.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)
"""
import csv
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import kit

lockstep = sys.argv[1]
kit.need_mpirun()
tap = kit.Tap()
PHASES = ["data_seconds", "forward_seconds", "backward_seconds", "optimizer_seconds", "other_seconds"]
LOST = ["lost_waiting", "lost_transfer", "lost_data", "lost_forward", "lost_backward", "lost_optimizer", "lost_rest"]


def rows(results, name):
    with open(os.path.join(results, name), newline="") as file:
        return list(csv.DictReader(file))


def rank_process(results, rank):
    """The process of a rank, by its environment and its --results; None while it is not there."""
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                environment = file.read().split(b"\0")
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                arguments = file.read().split(b"\0")
        except (OSError, ValueError):
            continue
        if f"OMPI_COMM_WORLD_RANK={rank}".encode() in environment and results.encode() in arguments:
            return int(entry)
    return None


# The slowest convolutions: beside a step that is short, a stopped rank's is mostly the transfer of 17 MB.
kit.ENVIRONMENT["LOCKSTEP_CONVOLUTIONS"] = "direct"


class Stopper(threading.Thread):
    """Stops rank 1 most of the time, from before the first step on (epochs.csv is there) until it ends;
    `share` of the time that it stood still, by the clock."""
    STOPPED, RUNNING = 0.04, 0.01

    def __init__(self, results):
        super().__init__(daemon=True)
        self.results, self.share, self.ended = results, 0.0, False

    def run(self):
        while not self.ended and not os.path.exists(os.path.join(self.results, "epochs.csv")):
            time.sleep(0.01)
        pid = rank_process(self.results, 1)
        start, still = time.monotonic(), 0.0
        try:
            while pid and not self.ended:
                os.kill(pid, signal.SIGSTOP)
                stopped = time.monotonic()
                time.sleep(self.STOPPED)
                os.kill(pid, signal.SIGCONT)
                still += time.monotonic() - stopped
                self.share = still / (time.monotonic() - start)
                time.sleep(self.RUNNING)
        except ProcessLookupError:
            pass


def train(work, data, name, mode, stopped=False):
    results = os.path.join(work, name)
    stopper = Stopper(results)
    if stopped:
        stopper.start()
    done = kit.attempt(lockstep, data, results, 0 if mode == "single" else 2, "--mode", mode, "--global-batch", "48",
                       "--profile", "12", step_log=False)
    stopper.ended = True
    if done.returncode:
        raise SystemExit(f"Bail out! {' '.join(done.args)}: {done.returncode}\n{done.stderr}")
    return results, done.stdout, stopper.share


def check_files(name, results):
    """ranks.csv against epochs.csv and itself."""
    ranks, epochs = rows(results, "ranks.csv"), rows(results, "epochs.csv")
    wrong = []
    for epoch in epochs:
        own = [row for row in ranks if row["epoch"] == epoch["epoch"]]
        for column in ["waiting_seconds", *PHASES[:4]]:
            mean = sum(float(row[column]) for row in own) / len(own)
            if abs(mean - float(epoch[column])) > 1e-6 * (1 + mean):
                wrong.append(f"epoch {epoch['epoch']} {column}: {mean} and {epoch[column]}")
        exposed = sum(float(row["waiting_seconds"]) + float(row["transfer_seconds"]) for row in own) / len(own)
        if abs(exposed - float(epoch["exposed_communication_seconds"])) > 1e-6 * (1 + exposed):
            wrong.append(f"epoch {epoch['epoch']}: exposed {exposed}")
    for row in ranks:
        parts = [float(row[column]) for column in ["waiting_seconds", "transfer_seconds", *PHASES]]
        if abs(sum(parts) - float(row["training_seconds"])) > 1e-6 or min(parts) < -1e-6:
            wrong.append(f"{row}")
    tap.check(f"{name}: ranks.csv averages to epochs.csv, its rows sum to their time", not wrong, wrong)


def overlap(a, b):
    """Seconds that lie in spans of both lists."""
    return sum(max(0, min(end, other_end) - max(start, other_start))
               for start, end in a for other_start, other_end in b if other_start < end and start < other_end) / 1e6


def waited_and_alone(results):
    """Seconds of each rank, in epoch 1, all of whose steps are profiled: waited for the other, and in the comm while the
    other was not, by the one clock of the profile. A rank that stands there alone either waits for the other, or moves
    data alone."""
    with open(os.path.join(results, "trace.json")) as file:
        events = [event for event in json.load(file)["traceEvents"] if event.get("cat") == "wait"]
    spans = [[(e["ts"], e["ts"] + e["dur"]) for e in events if e["pid"] == rank] for rank in (0, 1)]
    alone = [sum(end - start for start, end in own) / 1e6 - overlap(*spans) for own in spans]
    return [float(row["waiting_seconds"]) for row in rows(results, "ranks.csv") if row["epoch"] == "1"], alone


def little_is_missing(waited, alone):
    return waited[0] > 0.7 * alone[0]


def check_trace(mode, results):
    waited, alone = waited_and_alone(results)
    tap.check(f"{mode}: by the profile's one clock the waiting is not too high, and of the long one little is missing",
              all(waited[rank] < 1.02 * alone[rank] + 0.01 for rank in (0, 1)) and little_is_missing(waited, alone),
              f"waited for {waited}, alone in the comm for {alone}")


def check_lost(runs):
    """The row under the speedup table, as CSV has it."""
    done = subprocess.run([lockstep, "report", *runs, "--format", "csv"], capture_output=True, text=True)
    if done.returncode:
        tap.check("the row of the lost efficiency", False, done.stderr)
        return
    for row in csv.DictReader(io.StringIO(done.stdout)):
        if row["baseline"] == "1":
            continue
        lost = [float(row[column]) for column in LOST]
        efficiency = float(row["parallel_efficiency"])
        tap.check(f"{row['configuration']}: the parts sum to the loss", abs(sum(lost) + efficiency - 1) < 1e-6, lost)
        # Where ranks and a baseline had unlike shares of a busy machine, compute can be below; these cannot.
        tap.check(f"{row['configuration']}: waiting, transfer and the rest are not below 0",
                  min(lost[0], lost[1]) > -1e-6 and lost[-1] > -0.01, lost)


def check_stopped(mode, results, printed, share):
    ranks = rows(results, "ranks.csv")
    seconds = sum(float(row["training_seconds"]) for row in ranks if row["rank"] == "0")
    waited = [sum(float(row["waiting_seconds"]) for row in ranks if row["rank"] == rank) / seconds for rank in "01"]
    busy = [sum(float(row["busy_seconds"]) for row in ranks if row["rank"] == rank) / seconds for rank in "01"]
    # Both busy at once for as long as the less busy one at most: the rest of a rank's work is the other's waiting.
    tap.check(f"{mode}: each waits only while the other works, and for the rest of the stopped one's work",
              all(waited[rank] < busy[1 - rank] + 0.1 for rank in (0, 1)) and waited[0] > busy[1] - busy[0] - 0.1,
              f"stood still for {share:.3f} of the time, waited for {waited}, busy for {busy}")
    report = subprocess.run([lockstep, "report", results, os.path.join(os.path.dirname(results), "single")],
                            capture_output=True, text=True)
    lines = [line for line in printed.splitlines() + report.stdout.splitlines() if "steadily slow" in line]
    tap.check(f"{mode}: it is named where it trains and in the report",
              len(lines) == 2 and lines[0].startswith("rank 1 on host ") and f"{results}: rank 1 on host " in lines[1],
              f"{lines}\n{printed}\n{report.stderr}")
    summary = rows(results, "summary.csv")[0]
    cost = float(summary["straggler_cost_seconds"] or "nan")
    tap.check(f"{mode}: what it costs is the other rank's waiting", summary["straggler_ranks"] == "1"
              and abs(cost - waited[0] * seconds) < 1e-6, f"{summary['straggler_ranks']} {cost}")


with tempfile.TemporaryDirectory() as work:
    data = kit.pack(lockstep, os.path.join(work, "data"), 576, "--size", "32", "--test-images", "16")
    single = train(work, data, "single", "single")[0]
    check_files("single", single)
    for mode in ("ddp", "dp"):
        # Where other programs take all of the other rank's core it is no faster, and where they take this one's
        # while it moves data it stands in the comm alone: once in three must do.
        for attempt in range(3):
            stopped, printed, share = train(work, data, f"{mode}-stopped-{attempt}", mode, stopped=True)
            if "steadily slow" in printed and little_is_missing(*waited_and_alone(stopped)):
                break
        check_stopped(mode, stopped, printed, share)
        check_trace(mode, stopped)
        check_files(f"{mode}, one rank stopped", stopped)
    # A busy machine can favour one rank for a whole run, which is then named rightly: once in three must do.
    for attempt in range(3):
        even, printed, _ = train(work, data, f"ddp-{attempt}", "ddp")
        if "steadily slow" not in printed:
            break
    tap.check("no verdict where nobody is slow", "steadily slow" not in printed
              and rows(even, "summary.csv")[0]["straggler_ranks"] == "", printed)
    check_files("ddp", even)
    dp = train(work, data, "dp", "dp")[0]
    check_files("dp", dp)
    check_lost([single, even, dp])
sys.exit(tap.done())
