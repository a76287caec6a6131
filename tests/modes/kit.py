"""Runs lockstep train in a mode at a number of ranks, for the tests beside this file: TAP lines, and
what the run's files say."""
import csv
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402, F401: for who imports this

ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   CUDA_VISIBLE_DEVICES="")


def need_mpirun():
    if not shutil.which("mpirun"):
        print("mpirun is not installed")
        sys.exit(77)


def has_bf16():
    """Products of bf16, which device cpu wants for that precision."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        return bool(re.search(r"\b(avx512_bf16|amx_bf16)\b", file.read()))


def pack(lockstep, folder, images, *options):
    subprocess.run([lockstep, "pack", "synthetic", folder, "--images", str(images), "--seed", "3",
                    *options], check=True, capture_output=True)
    return folder


def start_soon(options):
    """What leaves out, in a strict run of a few steps, the longest part of its start: what strictness costs."""
    return ["--strict-cost", "off"] if "--strict" in options and "--strict-cost" not in options else []


def attempt(lockstep, data, results, ranks, *options, device="cpu", epochs=2, step_log=True, limit=240):
    """The finished process of one run; ranks = 0: without mpirun."""
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks else []
    options = [*options, *start_soon(options)]
    command += [lockstep, "train", "--data", data, "--device", device, "--epochs", str(epochs),
                "--seed", "5", "--threads", "1", "--oversubscribe",
                *(["--step-log"] if step_log else []), "--results", results, *options]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=limit)


def train(lockstep, data, results, ranks, *options, **how):
    """The loss of each step, and epochs.csv's rows."""
    done = attempt(lockstep, data, results, ranks, *options, **how)
    if done.returncode:
        raise SystemExit(f"Bail out! {' '.join(done.args)}: {done.returncode}\n{done.stderr}")
    with open(os.path.join(results, "steps.csv"), newline="") as file:
        steps = [float(row["loss"]) for row in csv.DictReader(file)]
    with open(os.path.join(results, "epochs.csv"), newline="") as file:
        return steps, list(csv.DictReader(file))


def apart(got, want):
    """The largest difference of two lists of losses."""
    return max(abs(a - b) for a, b in zip(got, want, strict=True))


def outcome(summary):
    """What runs of the same bits have alike."""
    return [summary[name] for name in ("parameters_hash", "certificate_hash", "final_train_loss", "final_test_loss")]


def same_bits(tap, name, summary, expected):
    found = outcome(summary)
    tap.check(name, found == expected and all(expected), f"{found} against {expected}")
