#!/usr/bin/env python3
"""What breaks between GPUs ends the job: soon, with one line that says which rank and which
collective, on every rank, and nothing waits. TAP on stdout.

    comm_faults.py COMM_STEPS
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

STEPS = sys.argv[1]
DEADLINE_SECONDS = 2
NO_DEADLINE_SECONDS = 100  # where an error is to be seen before any deadline
GRACE_SECONDS = 40  # start, joining, the echo's patience, the end: sanitised, and beside other tests
FAILED, BAD_LAUNCH = 1, 3

tap = Tap()


def run(ranks, kind, mode, steps, gpus, fault="", deadline=NO_DEADLINE_SECONDS):
    """(the ranks' exit codes where they were not 0, mpirun's where all were, lines of lockstep's own
    on stderr, all of stderr, seconds, the stand-in's log)"""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        codes = os.path.join(folder, "codes")
        os.mkdir(codes)
        environment = dict(
            os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
            LOCKSTEP_EMULATED_GPUS=str(gpus), LOCKSTEP_EMULATED_NCCL=fault,
            LOCKSTEP_EMULATED_NCCL_LOG=log, COMM_TEST_DEADLINE=str(deadline),
            COMM_TEST_CODES=codes,
            ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
        start = time.monotonic()
        # Recovery keeps mpirun from ending the ranks that are left: they must do it themselves.
        done = subprocess.run(
            ["timeout", "-k", "5", "150", "mpirun", "--oversubscribe", "--bind-to", "none",
             "--enable-recovery", "-n", str(ranks), STEPS, kind, mode, str(steps)],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        seconds = time.monotonic() - start
        written = open(log).read() if os.path.exists(log) else ""
        left = [int(open(os.path.join(codes, name)).read()) for name in os.listdir(codes)]
    own = [line for line in done.stderr.splitlines() if line.startswith("lockstep: ")]
    return left or [done.returncode], own, done.stderr, seconds, written


def case(name, problems, stderr=""):
    tap.check(name, not problems, "\n".join([*problems, *(f"  stderr: {line}" for line in stderr.splitlines())]))


def goes_well(name, *arguments):
    codes, own, stderr, _, _ = run(*arguments)
    case(name, [] if codes == [0] and not own else [f"exit codes {codes}"], stderr)


def joins_on_all_units(name):
    """NCCL's threads run where any thread of the rank may, not where its main thread is bound."""
    units = len(os.sched_getaffinity(0))
    _, _, stderr, _, log = run(2, "cuda/nccl", "eager", 1, 2)
    wanted = [f"rank {rank}: joins on {units} units" for rank in range(2)]
    case(name, [] if sorted(log.split("\n")[:2]) == wanted else [f"expected {wanted} in {log!r}"], stderr)


def ends(name, arguments, pattern, fault="", code=FAILED, killed=0, aborts=None, limit=None,
         deadline=NO_DEADLINE_SECONDS):
    """All ranks that were not killed leave with `code`, within `limit`; one line, that matches."""
    got, own, stderr, seconds, log = run(*arguments, fault=fault, deadline=deadline)
    limit = limit or DEADLINE_SECONDS + GRACE_SECONDS
    problems = []
    if got != [code] * (arguments[0] - killed):
        problems.append(f"exit codes {got}, expected {code}")
    if len(own) != 1 or not re.search(pattern, own[0] if own else ""):
        problems.append(f"expected one line like '{pattern}', found {own}")
    if seconds > limit:
        problems.append(f"it took {seconds:.1f} s, expected {limit} s at most")
    if aborts is not None and f"rank {aborts}: aborted" not in log:
        problems.append(f"rank {aborts} did not abort its communicator: {log!r}")
    case(name, problems, stderr)


def main():
    if not shutil.which("mpirun"):
        print("1..0 # SKIP mpirun is not installed")
        return 0
    nccl, staged = "cuda/nccl", "cuda/mpi"
    where = r"in training, epoch 1, step \d+"
    first, second = r"allreduce of 40000 fp32", r"allreduce of 60000 fp32"
    goes_well("eager, the host far ahead", 2, nccl, "eager", 300, 2)
    goes_well("replayed", 3, nccl, "graph", 40, 3)
    goes_well("staged", 2, staged, "eager", 50, 1)
    goes_well("one rank", 1, nccl, "graph", 20, 1)

    joins_on_all_units("NCCL's threads may run on all of a rank's units")

    for mode in ("eager", "graph"):
        ends(f"NCCL's system error on one rank, {mode}", (3, nccl, mode, 100, 3),
             rf"rank 1 \(host \S+\): nccl {second} failed \(unhandled system error: "
             rf"the stand-in was told to break\) {where}", fault="system:10:1", aborts=1)
        ends(f"a collective that stalls, {mode}", (2, nccl, mode, 100, 2),
             rf"rank [01] \(host \S+\): nccl {first} has not ended for {DEADLINE_SECONDS} s .*"
             rf"--comm-timeout\) {where} \(the device: in a step\)", fault="stall:9:1",
             deadline=DEADLINE_SECONDS)
        ends(f"a rank is lost, {mode}", (3, nccl, mode, 100, 3),
             rf"rank 2 \(host \S+\) died {where}", fault="exit:9:2", killed=1)
    ends("a collective that stalls in the first of many recordings", (2, nccl, "graphs", 100, 2),
         rf"rank [01] \(host \S+\): nccl {first} has not ended for {DEADLINE_SECONDS} s .*{where}",
         fault="stall:9:1", deadline=DEADLINE_SECONDS)
    ends("NCCL's remote error", (2, nccl, "eager", 100, 2),
         rf"rank 1 \(host \S+\): nccl {first} failed \(remote process exited.*\) {where}",
         fault="remote:9:1", aborts=1)
    ends("a call that NCCL refuses", (2, nccl, "eager", 100, 2),
         rf"rank 1 \(host \S+\): nccl {first} failed \(unhandled system error: the stand-in was "
         rf"told to refuse\) {where}", fault="refuse:11:1")
    ends("a rank that does not come, nccl", (2, nccl, "hang", 100, 2),
         rf"rank 0 \(host \S+\): nccl {first} has not ended for {DEADLINE_SECONDS} s .*{where}",
         deadline=DEADLINE_SECONDS)
    ends("a rank that does not come, staged", (2, staged, "hang", 100, 1),
         rf"rank 0 \(host \S+\): mpi {first} has not ended for {DEADLINE_SECONDS} s .*{where}",
         deadline=DEADLINE_SECONDS)
    ends("two ranks on one GPU, nccl", (2, nccl, "eager", 1, 1),
         r"--comm nccl: rank 0 \(host \S+\) and rank 1 \(host \S+\) share one GPU \(GPU-.*"
         r"--gpu-bind=single:1", code=BAD_LAUNCH, limit=GRACE_SECONDS)
    goes_well("two ranks on one GPU, auto", 2, "cuda/auto", "eager", 5, 1)
    return tap.done()


sys.exit(main())
