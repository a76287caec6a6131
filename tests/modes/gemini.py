#!/usr/bin/env python3
"""gemini: with most of the state in a file, the bits of single with --strict at 1, 2 and 4 ranks, clipped and not, and
of ddp in fp16; checkpoints go on in other modes and back; what is held stays within --device-memory; what cannot be
is refused in a line; a disk that fails and a rank that is killed end the job with a line.

usage: gemini.py LOCKSTEP FAILING_CALLS  (the binary and the library; needs mpirun, exit 77 where there is none)
"""
import atexit
import csv
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "faults"))
import faults  # noqa: E402
from faults import kit  # noqa: E402

lockstep, failing = (os.path.abspath(each) for each in sys.argv[1:3])
kit.need_mpirun()
kit.ENVIRONMENT["OMP_WAIT_POLICY"] = "passive"
tap = kit.Tap()
work = tempfile.mkdtemp(prefix="lockstep-gemini-")
atexit.register(shutil.rmtree, work, True)
disk = os.path.join(work, "disk")
os.mkdir(disk)
# Four steps, the last short; a model of many blocks, of which few need to be in memory at once.
data = kit.pack(lockstep, os.path.join(work, "data"), 8 * 3 + 1, "--size", "8", "--test-images", "5")
MODEL = ["--model", "vit-ti16", "--patch", "4"]
runs = 0


def run(ranks, mode, *options, expected=0, device="cpu", model=MODEL):
    """The run's folder and its summary, or what it said; ranks = 0: without mpirun."""
    global runs
    runs += 1
    folder = os.path.join(work, f"run{runs}")
    done = kit.attempt(lockstep, data, folder, ranks, "--mode", mode, *model, "--certificate-every", "2",
                       "--global-batch", "8", *options, device=device, epochs=1, step_log=False)
    if done.returncode != expected:
        raise SystemExit(f"Bail out! {' '.join(done.args)}: {done.returncode}\n{done.stderr}")
    if expected:
        return folder, done.stderr
    with open(os.path.join(folder, "summary.csv"), newline="") as file:
        return folder, next(csv.DictReader(file))


def least(ranks, *options, **how):
    """--device-memory and --offload-dir of a rank that keeps as much as can be in the file."""
    _, error = run(ranks, "gemini", *options, "--device-memory", "1", "--offload-dir", disk, expected=2, **how)
    found = re.search(r"--device-memory 1: a rank would hold ([0-9.]+) MB", error)
    tap.check(f"{ranks} ranks: a bound that is too small says what is needed", found, error[-300:])
    return ["--device-memory", str(int(float(found[1])) + 1), "--offload-dir", disk]


def same(name, summary, expected, offloads=True):
    kit.same_bits(tap, name, summary, expected)
    if offloads:
        most, moved = float(summary["offloaded_bytes"]), float(summary["offload_moved_bytes"])
        tap.check(f"{name}: most of its state is in the file, and is moved",
                  most > float(summary["memory_optimizer_bytes"] or 0) and moved > 4 * most, (most, moved))


def within(name, summary, bound):
    held = sum(float(summary[f"memory_{kind}_bytes"]) for kind in
               ("parameters", "gradients", "optimizer", "packed", "activations", "workspace", "communication"))
    tap.check(f"{name}: within its bound", 0 < held <= 1.01 * int(bound[1]) * 1e6, (held, bound))  # each kind of the rank that has most


# ---- bits
STRICT = ["--strict", "--lanes", "4", "--strict-cost", "off", "--ema", "0.9", "--weight-decay", "0.01"]
bits = kit.outcome(run(0, "single", *STRICT)[1])
same("without a bound: the bits of single", run(1, "gemini", *STRICT)[1], bits, offloads=False)
for ranks, *more in ((1, "--threads", "2"), (2, "--prefetch", "2"), (4, "--shard-within", "2")):
    bound = least(ranks, *STRICT, *more)
    _, summary = run(ranks, "gemini", *STRICT, *more, *bound)
    same(f"gemini on {ranks} {' '.join(more)}: the bits of single", summary, bits)
    within(f"gemini on {ranks}", summary, bound)
    if ranks == 1:  # a part here, a part in the file
        roomy = ["--device-memory", str(int(bound[1]) + 30), *bound[2:]]
        _, more_here = run(1, "gemini", *STRICT, *roomy, "--placement", "auto")
        tap.check("with more room, found by steps: the summary says so",
                  "--device-memory" in more_here["placement_note"] and not summary["placement_note"], more_here["placement_note"])
        same("with more room: the bits of single", more_here, bits, offloads=False)
        tap.check("with more room: less in the file",
                  0 < float(more_here["offloaded_bytes"]) < float(summary["offloaded_bytes"]), more_here["offloaded_bytes"])
        within("with more room", more_here, roomy)
CLIPPED = [*STRICT, "--clip-norm", "0.5"]
clipped = kit.outcome(run(0, "single", *CLIPPED)[1])
same("clipped, on 2: the bits of single", run(2, "gemini", *CLIPPED, *least(2, *CLIPPED))[1], clipped)

PARTS = ["--accumulate", "2"]
_, parts = run(2, "fsdp", *PARTS)
same("not strict, in two parts, on 2: the bits of fsdp", run(2, "gemini", *PARTS, *least(2, *PARTS))[1], kit.outcome(parts))

SCALED = ["--precision", "fp16"]
HOW = {"device": "ref", "model": []}
_, summary = run(2, "ddp", *SCALED, "--factor-comm", "off", **HOW)
_, found = run(2, "gemini", *SCALED, *least(2, *SCALED, **HOW), **HOW)
same("fp16, on 2: the bits of ddp", found, kit.outcome(summary), offloads=False)
tap.check("fp16, on 2: some of its state is in the file", float(found["offloaded_bytes"]) > 0, found["offloaded_bytes"])
# ---- checkpoints
SAVED = ["--checkpoint-every", "2", "--keep", "100"]
bound = least(2, *STRICT)
for (mode, ranks, own), (then, next_ranks, its) in ((("gemini", 2, bound), ("ddp", 2, [])), (("ddp", 2, []), ("gemini", 2, bound))):
    folder, _ = run(ranks, mode, *STRICT, *SAVED, *own)
    middle = os.path.join(folder, "checkpoints", "step-0000000002")
    same(f"from {mode} to {then}: the same bits", run(next_ranks, then, *STRICT, *its, "--resume", middle)[1], bits, offloads=False)

# ---- what is refused
folder_missing = [*bound[:2], "--offload-dir", os.path.join(work, "none")]
for mode, options, line in (("gemini", [*STRICT, *bound[:2]], "do not fit into --device-memory"),
                            ("gemini", [*STRICT, *folder_missing], "cannot make a file there: No such file"),
                            ("ddp", bound[2:], "--offload-dir belongs to --mode gemini")):
    _, error = run(2, mode, *options, expected=2)
    lines = [each for each in error.splitlines() if each.startswith("lockstep")]
    tap.check(f"{mode} {options[-1]} is refused in a line", len(lines) == 1 and line in lines[0], error[-300:])


def job(folder, *options, epochs=100000, apart=(), preload=()):
    """Started; `apart`: the second rank's own options."""
    rank = [*preload, lockstep, "train", "--data", data, "--device", "cpu", "--mode", "gemini", "--threads", "1", "--oversubscribe",
            "--epochs", str(epochs), "--global-batch", "8", *MODEL, "--results", folder, *options]
    split = ["-n", "1", *rank, *bound, ":", "-n", "1", *rank, *apart] if apart else ["-n", "2", *rank, *bound]
    return faults.start(["mpirun", "--oversubscribe", "--bind-to", "none", *split])


other = ["--device-memory", str(int(bound[1]) + 1), *bound[2:]]
code, _, error = faults.finish(job(os.path.join(work, "apart"), *STRICT, apart=other), 60)
tap.check("unlike bounds are refused in a line", code == 2 and "the ranks differ: device-memory is" in error, (code, error[-300:]))

# ---- ends: a disk that fails under way, and a killed rank
for name, cause in (("ENOSPC", "No space left on device"), ("EIO", "Input/output error")):
    preload = ["env", "LD_PRELOAD=" + failing, "FAILING_FOLDER=" + disk, "FAILING_CALL=60", "FAILING_ERROR=" + name, "FAILING_RANK=1"]
    code, _, error = faults.finish(job(os.path.join(work, name), *STRICT, preload=preload), 60)
    lines = [each for each in error.splitlines() if each.startswith("lockstep")]
    tap.check(f"{name} under way ends the job in a line",
              code == 1 and len(lines) == 1 and f"--offload-dir {disk}: cannot write" in lines[0] and cause in lines[0],
              (code, error[-300:]))
killed = os.path.join(work, "killed")
process = job(killed, *STRICT)
faults.kill_a_rank(tap, process, killed)
tap.check("nothing is left in the folder", not os.listdir(disk), os.listdir(disk))
sys.exit(tap.done())
