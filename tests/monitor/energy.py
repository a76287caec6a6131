#!/usr/bin/env python3
"""Whole runs beside counters of CPU packages that draw 50 W (a folder in the place of the kernel's
powercap zones): epochs.csv, summary.csv, the closing table, a run in two attempts, time to accuracy;
and where there are no counters.

    energy.py LOCKSTEP

TAP on standard output.
"""
import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

lockstep = os.path.abspath(sys.argv[1])
tap = Tap()
WATTS = 50


def case(name, *complaints):
    found = [str(text) for wrong, text in complaints if wrong]
    tap.check(name, not found, "\n".join(found))


class Packages(threading.Thread):
    """Two of them; a write in place, of one length, as a counter that is read beside it."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.files = []
        for index in range(2):
            zone = f"{folder}/intel-rapl:{index}"
            os.makedirs(zone)
            for name, text in (("name", f"package-{index}"), ("max_energy_range_uj", "10" * 9)):
                with open(f"{zone}/{name}", "w") as file:
                    file.write(text + "\n")
            self.files.append(os.open(f"{zone}/energy_uj", os.O_RDWR | os.O_CREAT))
        self.began = time.monotonic()
        self.count()

    def count(self):
        microjoules = int((time.monotonic() - self.began) * WATTS / 2 * 1e6)
        for file in self.files:
            os.pwrite(file, b"%020d\n" % microjoules, 0)

    def run(self):
        while True:
            time.sleep(0.01)
            self.count()


def start(results, folder, *more, ranks=1, epochs=3):
    environment = dict(os.environ, LOCKSTEP_POWERCAP=folder, OMPI_ALLOW_RUN_AS_ROOT="1",
                       OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    launcher = [] if ranks == 1 else ["mpirun", "--oversubscribe", "--bind-to", "none", "-n",
                                      str(ranks)]
    return subprocess.Popen(
        [*launcher, lockstep, "train", "--data", "data", "--model", "cnn", "--device", "cpu",
         "--threads", "1", "--batch-per-rank", "8", "--oversubscribe", "--results", results,
         "--epochs", str(epochs), *more],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True)


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def finish(run, results):
    log = run.communicate()[0]
    if run.returncode:
        return log, None, None
    return log, rows_of(f"{results}/summary.csv")[0], rows_of(f"{results}/epochs.csv")


def complaints(summary, epochs, tolerance=0.03):
    """The summary is the epochs' sum, and 50 J a second."""
    joules = float(summary["cpu_energy_joules"] or "nan")
    expected = WATTS * float(summary["training_seconds"])
    sum_of_epochs = sum(float(row["cpu_energy_joules"] or "nan") for row in epochs)
    each = joules / float(summary["images"])
    return [(not abs(joules - expected) <= tolerance * expected + 1, f"{joules} J, not {expected}"),
            (not abs(sum_of_epochs - joules) <= 1e-6 * joules, f"{sum_of_epochs} J in the epochs"),
            (not abs(float(summary["cpu_joules_per_image"]) - each) <= 1e-6 * each, "J an image"),
            (summary["gpu_energy_joules"] != "", "energy of a GPU that is not there")]


def counted(folder):
    log, summary, epochs = finish(start("one", folder, "--mode", "single"), "one")
    if not summary:
        return case("energy of a run", (True, log))
    text = f"energy in training time: CPU packages {float(summary['cpu_energy_joules']):.1f} J ("
    case("energy of a run: of each epoch, of all, of an image", *complaints(summary, epochs),
         (summary["cpu_energy"] != "2 CPU packages (RAPL)", summary["cpu_energy"]),
         (text not in log, log))


def counted_once(folder):
    if not shutil.which("mpirun"):
        return tap.skip("two ranks of a host", "mpirun is not installed")
    log, summary, epochs = finish(start("two", folder, "--mode", "ddp", ranks=2), "two")
    if not summary:
        return case("two ranks of a host", (True, log))
    case("two ranks of a host: its packages are counted once", *complaints(summary, epochs))


def in_two_attempts(folder):
    """Told to end in the middle of an epoch, and gone on with: what was used counts, and no more
    (a checkpoint does not know what came after the last reading, at most a second before it)."""
    more = ("--mode", "single", "--checkpoint-every", "epoch")
    run = start("resumed", folder, *more)
    deadline = time.monotonic() + 60
    while not os.path.exists("resumed/epochs.csv") or not rows_of("resumed/epochs.csv"):
        if time.monotonic() > deadline or run.poll() is not None:
            return case("a run in two attempts", (True, run.communicate()[0]))
        time.sleep(0.01)
    time.sleep(0.2)
    run.send_signal(signal.SIGTERM)
    first = run.communicate()[0]
    log, summary, epochs = finish(start("resumed", folder, *more), "resumed")
    if not summary:
        return case("a run in two attempts", (True, first + log))
    joules, seconds = float(summary["cpu_energy_joules"]), float(summary["training_seconds"])
    case("a run in two attempts: the energy of both",
         (summary["attempts"] != "2", f"{summary['attempts']} attempts: {first}"),
         (not WATTS * (seconds - 1.1) - 1 <= joules <= WATTS * seconds * 1.03 + 1,
          f"{joules} J in {seconds} s"))


def to_accuracy():
    epochs = rows_of("one/epochs.csv")
    best = max(float(row["test_accuracy"]) for row in epochs)
    until = [float(row["test_accuracy"]) >= best for row in epochs].index(True) + 1
    expected = sum(float(row["cpu_energy_joules"]) for row in epochs[:until])
    report = [lockstep, "report", "one", "--target-accuracy", f"{best:g}"]
    found = subprocess.run(report, capture_output=True, text=True)
    subprocess.run([*report, "--format", "csv", "--output", "speedup.csv"], check=True)
    (row,) = [row for row in rows_of("speedup.csv") if row["scaling"] == "target"]
    case("time to accuracy: and energy",
         (row["target_epochs"] != str(until), f"{row['target_epochs']}, not {until}"),
         (not abs(float(row["target_cpu_joules"]) - expected) <= 1e-6 * expected,
          f"{row['target_cpu_joules']} J, not {expected}"),
         (row["target_gpu_joules"] != "", "of no GPU"),
         (f"{expected:.1f} J CPUs" not in found.stdout, found.stdout))


def not_there():
    log, summary, epochs = finish(start("none", "/nowhere/powercap", "--mode", "single", epochs=1),
                                  "none")
    if not summary:
        return case("without counters", (True, log))
    case("without counters: empty, and the header says why",
         (summary["cpu_energy_joules"] + summary["cpu_joules_per_image"] != "", "a value"),
         (epochs[0]["cpu_energy_joules"] != "", "a value of an epoch"),
         (log.count("/nowhere/powercap: No such file or directory") != 1, log),
         ("energy in training time" in log, log))


with tempfile.TemporaryDirectory() as scratch:
    os.chdir(scratch)
    subprocess.run([lockstep, "pack", "synthetic", "data", "--images", "1024", "--test-images", "16", "--size",
                    "16"], check=True, capture_output=True)
    zones = f"{scratch}/powercap"
    Packages(zones).start()
    counted(zones)
    counted_once(zones)
    in_two_attempts(zones)
    to_accuracy()
    not_there()
    os.chdir("/")
sys.exit(tap.done())
