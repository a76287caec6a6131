#!/usr/bin/env python3
"""Whole runs of the program on an emulated GPU, seen by the monitor through a library in NVML's
place: gpu.csv, the columns of summary.csv, the closing table; and without NVML.

    seen.py LOCKSTEP STAND-IN      (the stand-in that has no energy counter: always 250 W, 80%)

TAP on standard output. Needs an emulated lockstep; ranks are started by mpirun where it is there.
"""
import csv
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

lockstep, stand_in = map(os.path.abspath, sys.argv[1:])
tap = Tap()


def case(name, *complaints):
    found = [str(text) for wrong, text in complaints if wrong]
    tap.check(name, not found, "\n".join(found))


def train(results, nvml, *more, launcher=()):
    environment = dict(os.environ, LOCKSTEP_NVML=nvml, CUDA_VISIBLE_DEVICES="0",
                       OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    run = subprocess.run(
        [*launcher, lockstep, "train", "--data", "data", "--model", "cnn", "--device", "cuda",
         "--results", results, *more],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if run.returncode != 0:
        return run.stdout + run.stderr, None, None
    with open(f"{results}/summary.csv", newline="") as file:
        (summary,) = csv.DictReader(file)
    with open(f"{results}/gpu.csv", newline="") as file:
        samples = list(csv.DictReader(file))
    return run.stdout, summary, samples


def near(text, expected, tolerance):
    return text and abs(float(text) - expected) <= tolerance * expected


def seen():
    log, summary, samples = train("seen", stand_in, "--mode", "single", "--batch-per-rank", "4",
                                "--epochs", "24")
    if not summary:
        return case("a run that is seen", (True, log))
    seconds = float(summary["training_seconds"])
    times = [float(row["seconds"]) for row in samples]
    case("a run that is seen",
         (not near(summary["gpu_utilisation_mean"], 0.8, 1e-6), summary["gpu_utilisation_mean"]),
         (not near(summary["gpu_mean_power_watts"], 250, 1e-6), summary["gpu_mean_power_watts"]),
         (not near(summary["gpu_energy_joules"], 250 * seconds, 0.1),
          f"{summary['gpu_energy_joules']} J in {seconds} s"),
         (summary["gpu_peak_memory_maximum_bytes"] != "2000000000", "peak memory"),
         (summary["gpu_maximum_temperature_celsius"] != "60", "temperature"),
         (summary["gpu_clocks_held_back_by"] != "power cap", summary["gpu_clocks_held_back_by"]),
         ("GPUs in training time: utilisation 80.0%" not in log, log),
         (len(times) < 4 or times[0] >= 0 or times != sorted(times), f"times {times}"),
         (any(row["power_watts"] != "250" or row["sm_clock_mhz"] != "1980" for row in samples),
          "a sample has another power or clock"),
         ({row["training"] for row in samples} != {"0", "1"}, "no sample in or out of training"))


def unseen():
    log, summary, samples = train("unseen", "/nowhere/libnvidia-ml.so.1", "--mode", "single",
                                  "--batch-per-rank", "8", "--epochs", "1")
    if not summary:
        return case("a run without NVML", (True, log))
    columns = [name for name in summary if name.startswith("gpu_")]
    filled = [name for name in columns if summary[name]]
    gpu = ["gpu_utilisation_percent", "gpu_memory_bytes", "power_watts", "sm_clock_mhz",
           "memory_clock_mhz", "temperature_celsius", "clocks_held_back_by"]
    case("a run without NVML says so once and leaves its columns empty",
         (filled or len(columns) < 6, f"filled: {filled} of {columns}"),
         (log.count("/nowhere/libnvidia-ml.so.1") != 1, log),
         ("in training time" in log, log),
         (not samples or any(row[name] for row in samples for name in gpu), "a sample has values"))


def shared():
    mpirun = shutil.which("mpirun")
    if not mpirun:
        return tap.skip("two ranks on one GPU", "mpirun is not installed")
    log, summary, samples = train(
        "shared", stand_in, "--mode", "ddp", "--share-gpu", "--oversubscribe", "--batch-per-rank",
        "4", "--epochs", "1", launcher=[mpirun, "--oversubscribe", "--bind-to", "none", "-n", "2"])
    if not summary:
        return case("two ranks on one GPU", (True, log))
    one, two = (float(text) for text in summary["rank_gpu_energy_joules"].split(";"))
    case("two ranks on one GPU: a sample of each, its energy once",
         (not near(summary["gpu_energy_joules"], one, 1e-6),
          f"{summary['gpu_energy_joules']} J of {one} and {two}"),
         ({row["rank"] for row in samples} != {"0", "1"}, "no sample of each rank"))


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    subprocess.run([lockstep, "pack", "synthetic", "data", "--images", "8", "--test-images", "2", "--size", "8"],
                   check=True, capture_output=True)
    seen()
    unseen()
    shared()
    os.chdir("/")
sys.exit(tap.done())
