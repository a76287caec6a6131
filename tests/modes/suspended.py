#!/usr/bin/env python3
"""Time in which a process was stopped is no time of training: the run is marked, `report` leaves it
out, and a machine that is merely loaded marks nothing.

usage: suspended.py LOCKSTEP SHIM      SHIM: the library of ../doctor/shim.c
"""
import csv
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time

from kit import ENVIRONMENT, Tap, need_mpirun, pack

STOP_SECONDS, FREEZE_SECONDS = 1.5, 4.5
lockstep, shim = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
need_mpirun()
tap = Tap()


def start(results, ranks, *options, epochs=120, **environment):
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks else []
    mode = "ddp" if ranks else "single"
    return subprocess.Popen(
        [*command, lockstep, "train", "--data", "data", "--device", "cpu", "--mode", mode,
         "--epochs", str(epochs), "--threads", "1", "--oversubscribe", "--results", results,
         *options], env=dict(ENVIRONMENT, **environment), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True)


def rank_of(process, rank):
    """The process of a rank below mpirun."""
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
            with open(f"/proc/{name}/environ", "rb") as file:
                ours = f"OMPI_COMM_WORLD_RANK={rank}".encode() in file.read().split(b"\0")
        except (OSError, ValueError, IndexError):
            continue
        if ours and parent == process.pid:
            return int(name)
    raise SystemExit(f"Bail out! no process of rank {rank}")


def wait_for_training(process, results):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with open(f"{results}/epochs.csv", encoding="ascii") as file:
                if len(file.readlines()) > 2:
                    return
        except OSError:
            pass
        time.sleep(0.01)
    raise SystemExit(f"Bail out! no training in {results}: {process.stderr.read()}")


def pause(pid):
    os.kill(pid, signal.SIGSTOP)
    time.sleep(STOP_SECONDS)
    os.kill(pid, signal.SIGCONT)


def rows(results, name):
    with open(f"{results}/{name}", newline="", encoding="ascii") as file:
        return list(csv.DictReader(file))


def stopped(results, process):
    """Summary, and the seconds in its columns and in those of its epochs."""
    code = process.wait(timeout=120)
    if code:
        raise SystemExit(f"Bail out! exit code {code}: {process.stderr.read()}")
    summary = rows(results, "summary.csv")[0]
    return (float(summary["suspended_seconds"]), float(summary["suspended_total_seconds"]),
            sum(float(row["suspended_seconds"]) for row in rows(results, "epochs.csv")))


def is_pause(seconds):
    return STOP_SECONDS - 0.3 < seconds < STOP_SECONDS + 2


def report(*arguments):
    done = subprocess.run([lockstep, "report", *arguments], capture_output=True, text=True,
                          env=ENVIRONMENT, check=False)
    return done.returncode, done.stdout, done.stderr


class Freezer:
    """A control group of our own below the test's, of version 1 or 2."""

    def __init__(self, version):
        self.switch, self.words = (("freezer.state", ("FROZEN", "THAWED")) if version == 1 else
                                   ("cgroup.freeze", ("1", "0")))
        with open("/proc/self/cgroup", encoding="ascii") as file:
            groups = [line.rstrip("\n").split(":", 2) for line in file]
        with open("/proc/self/mountinfo", encoding="ascii") as file:
            mounts = [line.split() for line in file]
        for words in mounts:
            kind, super_options = words[words.index("-") + 1], words[-1].split(",")
            right = kind == "cgroup2" if version == 2 else kind == "cgroup" and "freezer" in super_options
            own = [path for number, names, path in groups
                   if (number == "0" if version == 2 else "freezer" in names.split(","))]
            if right and own:
                root = words[3]
                inside = os.path.relpath(own[0], root) if own[0].startswith(root) else "."
                self.folder = os.path.join(words[4], inside, f"lockstep-test-{os.getpid()}")
                os.mkdir(self.folder)
                return
        raise OSError(f"no freezer of version {version} is mounted")

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="ascii") as file:
            file.write(text)

    def freeze(self, pid, seconds):
        self.write("cgroup.procs", str(pid))
        self.write(self.switch, self.words[0])
        time.sleep(seconds)
        self.write(self.switch, self.words[1])

    def remove(self):
        os.rmdir(self.folder)


def burn():
    while True:
        pass


def a_stopped_run():
    process = start("alone", 0)
    wait_for_training(process, "alone")
    pause(process.pid)
    found = stopped("alone", process)
    tap.check("a stopped run says for how long", is_pause(found[0]) and is_pause(found[1]) and
              abs(found[0] - found[2]) < 1e-6, found)
    with open("alone/log.txt", encoding="ascii") as file:
        text = file.read()
    tap.check("in the line of the epoch and at the end", text.count("SUSPENDED for") == 2, text)


def a_stopped_rank():
    process = start("two", 2)
    wait_for_training(process, "two")
    pause(rank_of(process, 1))
    found = stopped("two", process)
    tap.check("one rank that stops marks the run", is_pause(found[0]), found)


def what_report_says():
    process = start("whole", 0, epochs=20)
    stopped("whole", process)
    code, out, err = report("whole", "alone", "two")
    tap.check("report leaves them out, a line each",
              code == 2 and err.count("did not run for") == 2 and "--allow suspended" in err and
              "DDP" not in out, (code, out, err))
    code, out, err = report("alone", "two", "--allow", "suspended")
    tap.check("--allow suspended makes it a footnote",
              code == 0 and "] By --allow it stands here though it did not run for" in out and
              "DDP" in out, (code, out, err))


def a_profile():
    process = start("profiled", 0, "--profile", "2")
    wait_for_training(process, "profiled")
    pause(process.pid)
    found = stopped("profiled", process)
    done = subprocess.run([lockstep, "forecast", "profiled", "--preset", "1gbe"], text=True,
                          capture_output=True, env=ENVIRONMENT, check=False)
    tap.check("a forecast of it is refused", done.returncode == 2 and "did not run for" in done.stderr,
              (found, done.returncode, done.stdout, done.stderr))


def a_frozen_run(version):
    """As a paused container: no signal comes, so that only a longer gap counts."""
    title = f"a run that a control group (version {version}) froze says for how long"
    try:
        freezer = Freezer(version)
    except OSError as reason:
        tap.skip(title, reason)
        return
    results = f"frozen-{version}"
    process = start(results, 0)
    try:
        wait_for_training(process, results)
        freezer.freeze(process.pid, FREEZE_SECONDS)
        found = stopped(results, process)
    finally:
        process.kill()
        process.wait()
        freezer.remove()
    tap.check(title, FREEZE_SECONDS - 0.3 < found[0] < FREEZE_SECONDS + 2 and
              abs(found[0] - found[2]) < 1e-6, found)


def a_machine_asleep():
    """No clock but CLOCK_BOOTTIME goes on meanwhile: that one is moved on. It may fall between epochs, where it is
    no training time: once in three it must not."""
    for attempt in range(3):
        wakes = f"wakes-{attempt}"
        process = start(f"asleep-{attempt}", 0, LD_PRELOAD=shim, SHIM_ASLEEP=wakes,
                        ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0")
        wait_for_training(process, f"asleep-{attempt}")
        with open(wakes, "wb"):
            pass
        found = stopped(f"asleep-{attempt}", process)
        if found[0] > 0 or not 9.7 < found[1] < 12:
            break
    tap.check("a machine that was asleep says for how long",
              9.7 < found[0] < 12 and abs(found[0] - found[2]) < 1e-6, found)


def a_loaded_machine():
    others = [multiprocessing.Process(target=burn, daemon=True)
              for _ in range(4 * len(os.sched_getaffinity(0)))]
    for each in others:
        each.start()
    found = stopped("loaded", start("loaded", 2, epochs=6))
    for each in others:
        each.kill()
    tap.check("a loaded machine is none that stopped", found == (0, 0, 0), found)


with tempfile.TemporaryDirectory(prefix="lockstep-suspended-") as work:
    os.chdir(work)
    pack(lockstep, "data", 512, "--test-images", "64", "--size", "8")
    a_stopped_run()
    a_stopped_rank()
    what_report_says()
    a_profile()
    a_frozen_run(1)
    a_frozen_run(2)
    a_machine_asleep()
    a_loaded_machine()
    os.chdir("/")
sys.exit(tap.done())
