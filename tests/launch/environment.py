#!/usr/bin/env python3
"""What a site's profile may set: variables that lockstep decides by itself have no effect, those that
change bits or times are recorded and compared.

usage: environment.py LOCKSTEP
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

lockstep = os.path.abspath(sys.argv[1])
LISTED = ("OMP_", "GOMP_", "KMP_", "HWLOC_", "DNNL_", "ONEDNN_", "UCX_", "NCCL_", "MALLOC_", "LD_",
          "GLIBC_", "CUDA_", "CUBLAS", "CUDNN_", "OMPI_", "PMIX_", "LOCKSTEP_", "FI_", "NVIDIA_TF32")
plain = {name: value for name, value in os.environ.items() if not name.startswith(LISTED)}
plain.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n"]
tap = Tap()


def train(results, *options, mode="single", threads=0):
    return [lockstep, "train", "--data", "data", "--device", "cpu", "--mode", mode, "--epochs", "1",
            "--threads", str(threads), "--results", results, *options]


def run(command, **environment):
    return subprocess.run(command, env={**plain, **environment}, capture_output=True, text=True,
                          timeout=120, check=False)


def summary(results):
    with open(f"{results}/summary.csv", newline="", encoding="ascii") as file:
        return next(csv.DictReader(file))


def facts(results, command, **environment):
    done = run(command, **environment)
    if done.returncode:
        return {"error": done.stderr}
    return summary(results)


def taken_out():
    """One at a time: the cores and threads are those of a run without it."""
    usual = facts("usual", train("usual"))
    tap.check("nothing is set, and nothing recorded", usual["environment"] == "" and
          usual["communication_environment"] == "" and usual["environment_taken_out"] == "", usual)
    for number, setting in enumerate([
            {"OMP_PROC_BIND": "true"}, {"GOMP_CPU_AFFINITY": "0"}, {"OMP_PLACES": "{0}"},
            {"OMP_THREAD_LIMIT": "1"}, {"OMP_MAX_ACTIVE_LEVELS": "0"},
            {"OMP_DYNAMIC": "true", "OMP_NUM_THREADS": "1"}, {"HWLOC_SYNTHETIC": "pu:64"},
            {"HWLOC_XMLFILE": "/nowhere", "HWLOC_THISSYSTEM": "1"},
            {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16", "DNNL_DEFAULT_FPMATH_MODE": "ANY"}]):
        found = facts(f"taken{number}", train(f"taken{number}"), **setting)
        text = "; ".join(f"{name}={value}" for name, value in sorted(setting.items()))
        same = all(found.get(column) == usual[column] for column in
                   ("rank_threads", "rank_cores", "parameters_hash", "environment"))
        tap.check(f"{text} has no effect, and is recorded",
              same and found.get("environment_taken_out") == text, (found, usual))
    done = run([lockstep, "doctor"], OMP_PROC_BIND="true")
    tap.check("doctor says so", "of no effect: OMP_PROC_BIND=true" in done.stdout, done.stdout)


def on_ranks():
    if not shutil.which("mpirun") or len(os.sched_getaffinity(0)) < 2:
        return
    found = facts("ranks", [*MPIRUN, "2", *train("ranks", mode="ddp", threads=1)],
                  GOMP_CPU_AFFINITY="0", UCX_TLS="tcp")
    cores = found.get("rank_cores", "").split(";")
    tap.check("two ranks have cores of their own", len(set(cores)) == 2, found)
    tap.check("what communication reads has a column of its own",
          found.get("communication_environment") == "UCX_TLS=tcp" and found["environment"] == "",
          found)
    program = train("unlike", mode="ddp", threads=1)
    done = run([*MPIRUN, "2", *by_rank(["env", "DNNL_MAX_CPU_ISA=AVX2", *program], program)])
    tap.check("ranks that would compute other bits are refused",
          done.returncode == 2 and "the ranks differ: environment is" in done.stderr, done)
    done = run([lockstep, "report", "usual", "ranks", "--allow", "threads,libraries"])
    tap.check("a single without them is its baseline", "(DDP)" in done.stdout, done)


def compared():
    facts("passive", train("passive", "--global-batch", "32"), OMP_WAIT_POLICY="passive")
    facts("again", train("again", "--global-batch", "32"))
    tap.check("kept and recorded", summary("passive")["environment"] == "OMP_WAIT_POLICY=passive",
          summary("passive"))
    done = run([lockstep, "report", "passive", "again"])
    tap.check("report compares it", done.returncode == 2 and
          "environment is OMP_WAIT_POLICY=passive in passive but not given in again" in done.stderr,
          done)
    done = run([lockstep, "report", "passive", "again", "--allow", "environment"])
    tap.check("--allow environment makes it a footnote", done.returncode == 0 and
          "though environment is OMP_WAIT_POLICY=passive" in done.stdout, done)


with tempfile.TemporaryDirectory(prefix="lockstep-environment-") as work:
    os.chdir(work)
    run([lockstep, "pack", "synthetic", "data", "--images", "128", "--test-images", "32", "--size", "8"])
    taken_out()
    on_ranks()
    compared()
    os.chdir("/")
sys.exit(tap.done())
