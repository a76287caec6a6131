#!/usr/bin/env python3
"""What a library refuses in a whole run does not end it, and stands in the log with what was taken instead,
whichever rank it was; the switches of LOCKSTEP_CUDA_AVOID take their ways, and say so.

usage: fallbacks.py LOCKSTEP-EMULATED
"""
import csv
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from by_rank import by_rank  # noqa: E402
from tap import Tap  # noqa: E402

lockstep = sys.argv[1]
tap = Tap()
check = tap.check


def run(work, name, *options, ranks=("",), avoid="", plans="off"):
    """A run of one rank or more, each told what its libraries refuse: (summary's row, log), or (None, why)."""
    results = os.path.join(work, name.replace(" ", "-"))
    gpus = len(ranks)
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                       CUDA_VISIBLE_DEVICES=",".join(map(str, range(gpus))), LOCKSTEP_EMULATED_GPUS=str(gpus),
                       LOCKSTEP_CUDA_AVOID=avoid)
    environment["ASAN_OPTIONS"] = "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")
    program = [lockstep, "train", "--data", os.path.join(work, "data"), "--device", "cuda", "--seed", "5", "--epochs",
               "1", "--global-batch", "8", "--threads", "1", "--oversubscribe", "--plan-cache", plans,
               "--results", results, *options]
    if gpus > 1:
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(gpus),
                   *by_rank(*([*["env", f"LOCKSTEP_EMULATED_REFUSE={refuse}"] * bool(refuse), *program]
                              for refuse in ranks))]
    else:
        command = program
        environment["LOCKSTEP_EMULATED_REFUSE"] = ranks[0]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    if done.returncode:
        return None, f"{' '.join(command)}: exit {done.returncode}\n" + done.stderr[:3000]
    with open(os.path.join(results, "log.txt")) as log, open(os.path.join(results, "summary.csv"), newline="") as file:
        return next(csv.DictReader(file)), log.read()


def trains(name, got, want, says, bound):
    row, log = got
    far = abs(float(row["final_test_loss"]) - float(want["final_test_loss"])) if row else None
    missing = [] if row is None else [text for text in says if text not in log]
    check(f"{name}: trains and says so", row is not None and far <= bound and not missing,
          f"loss differs by {far}, not in the log: {missing}\n{log}")


def alone(work, precision, bound, refusals, avoided):
    base = ["--mode", "single", "--precision", precision]
    plans = os.path.join(work, f"plans-{precision}") # timed once
    clean, why = run(work, f"{precision} clean", *base, plans=plans)
    check(f"{precision}: a clean run has no warning", clean is not None and "; taken: " not in why, why)
    if clean is None:
        return
    for refuse in refusals:
        kind, what = {"b": ("product", "cuBLASLt"), "d": ("convolution", "cuDNN")}[refuse[0]]
        trains(f"{precision}, {refuse} of {what} refused",
               run(work, f"{precision} {refuse.replace(':', ' ')}", *base, ranks=[refuse], plans=plans),
               clean, [f"warning  rank 0: {kind}", "; taken: " + ("a kernel of ours" if "-" in refuse[5:] else "")], bound)
    for avoid in avoided:
        trains(f"{precision}, without {avoid}", run(work, f"{precision} without {avoid}", *base, avoid=avoid, plans=plans),
               clean, [f"LOCKSTEP_CUDA_AVOID={avoid}"], bound)


def verbose(work):
    row, log = run(work, "verbose", "--mode", "single", "--verbose")
    check("--verbose says which engines were refused", row is not None and "refused  rank 0: " in log
          and "cannot be captured" in log, log)


def kept(work):
    """Choices of an earlier run that no longer run."""
    plans = os.path.join(work, "plans")
    first, why = run(work, "kept first", "--mode", "single", plans=plans)
    check("choices are kept", first is not None and os.path.exists(plans), why)
    got = run(work, "kept", "--mode", "single", ranks=["dnn-run:1-2"], plans=plans)
    trains("a kept engine that does not run any more", got, first or {"final_test_loss": "nan"},
           ["the kept engine", "; taken: engine"], 1e-3)


def two(work):
    base = ["--mode", "ddp", "--bucket-mb", "0.3", "--factor-comm", "off"]
    clean, why = run(work, "two clean", *base, ranks=["", ""])
    check("two ranks: a clean run has no warning", clean is not None and "; taken: " not in why, why)
    if clean is None:
        return
    trains("rank 0's engines do not run on rank 1", run(work, "two imported", *base, ranks=["", "dnn-run:1-2"]),
           clean, ["warning  rank 1: convolution", "rank 0's engine", "; taken: engine"], 1e-3)
    trains("cuBLASLt refuses on rank 1 alone", run(work, "two products", *base, ranks=["", "blas-run:1-"]),
           clean, ["warning  rank 1: product", "; taken: a kernel of ours"], 1e-3)
    factors = ["--mode", "ddp", "--bucket-mb", "0.3", "--factor-comm", "on"]
    clean, why = run(work, "factors clean", *factors, ranks=["", ""])
    check("factors on two ranks: a clean run has no warning", clean is not None and "; taken: " not in why, why)
    trains("factors, and cuBLASLt refuses on rank 1 alone", run(work, "factors", *factors, ranks=["", "blas-run:1-"]),
           clean, ["the ranks compute products of gathered factors by different plans; taken: an all-reduce"], 1e-3)
    strict = ["--mode", "ddp", "--strict", "--bucket-mb", "0.3"]
    clean, why = run(work, "strict clean", *strict, ranks=["", ""])
    got = run(work, "strict mixed", *strict, ranks=["", "dnn-run:1-"])
    trains("a strict run whose ranks differ", got, clean, ["the ranks compute by different plans"], 1e-3)
    check("its plans are no other run's", clean is not None and got[0] is not None
          and "different plans" not in why and not clean["plan_id"].endswith("-mixed")
          and got[0]["plan_id"].endswith("-mixed"), f"{clean} {got}")


with tempfile.TemporaryDirectory() as folder:
    subprocess.run([lockstep, "pack", "synthetic", os.path.join(folder, "data"), "--images", "20", "--size", "8",
                    "--test-images", "8", "--seed", "3"], check=True, capture_output=True,
                   env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
    alone(folder, "fp32", 1e-3, ["blas-query:1", "blas-query:1-", "blas-run:60-", "dnn-run:1-", "dnn-query:1-"],
          ["fused-sums", "cublaslt,cudnn"])
    alone(folder, "bf16", 0.1, ["blas-query:1-:7", "blas-run:1-:7", "dnn-run:60-"], ["fused-bias,fused-sums", "cublaslt,cudnn"])
    verbose(folder)
    kept(folder)
    if shutil.which("mpirun"):
        two(folder)
sys.exit(tap.done())
