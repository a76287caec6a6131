#!/usr/bin/env python3
"""What a recorded step is made of: every kernel, copy and call of a library that one training step of the CNN
puts into its graph, by name, and how many they are at most. A call of cuDNN, cuBLASLt or NCCL counts as one;
what the real libraries add to it (a padding, the sum of a split product) is not seen here.

usage: launches.py LOCKSTEP-EMULATED
"""
import csv
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

lockstep = sys.argv[1]
tap = Tap()
check = tap.check


def short(label):
    """"void (anonymous namespace)::adam<float>(int)" is "adam"."""
    name = re.sub(r"\(anonymous namespace\)::", "", label)
    return re.sub(r"^(void|static) ", "", name).split("(")[0].split("<")[0]


def graphs(files):
    """The nodes of each graph that any rank made: (name, stream, priority)."""
    found = {}
    for path in files:
        with open(path) as file:
            for line in file:
                graph, _, stream, priority, _, label = line.rstrip("\n").split(" ", 5)
                found.setdefault((path, graph), []).append((short(label), int(stream), int(priority)))
    return list(found.values())


def record(work, name, ranks, *options, avoid=""):
    """The largest graph of a training step, and the hash of its parameters; None and the reason where it failed."""
    path = os.path.join(work, name.replace(" ", "-") + ".graph")
    results = os.path.join(work, name.replace(" ", "-"))
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                       CUDA_VISIBLE_DEVICES=",".join(map(str, range(ranks))), LOCKSTEP_EMULATED_GPUS=str(ranks),
                       LOCKSTEP_EMULATED_GRAPHS=path, LOCKSTEP_CUDA_AVOID=avoid)
    environment["ASAN_OPTIONS"] = "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks > 1 else []
    command += [lockstep, "train", "--data", os.path.join(work, "data"), "--device", "cuda", "--precision", "bf16",
                "--epochs", "1", "--batch-per-rank", "8", "--graph-steps", "1", "--threads", "1", "--oversubscribe", "--plan-cache",
                os.path.join(work, "plans"), "--results", results, *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    if done.returncode:
        return None, f"{' '.join(command)}: exit {done.returncode}\n# " + "\n# ".join(done.stderr.splitlines()[:40])
    made = [nodes for nodes in graphs(glob.glob(path + ".*")) if any("cross_entropy" in each[0] for each in nodes)]
    with open(os.path.join(results, "summary.csv"), newline="") as file:
        return (max(made, key=len, default=[]), next(csv.DictReader(file))["parameters_hash"])


def holds(work, name, most, ranks, *options):
    """Prints the launches, and holds their number. Returns them and the hash."""
    nodes, found = record(work, name, ranks, *options)
    if nodes is None:
        check(name, False, found)
        return [], None
    print(f"# {name}: {len(nodes)} launches")
    for number, (label, stream, priority) in enumerate(nodes, 1):
        print(f"#   {number:2} stream {stream} priority {priority:2}  {label}")
    check(f"{name}: {most} launches", len(nodes) == most, f"{len(nodes)} launches")
    return nodes, found


def urgencies(name, nodes):
    """A collective goes before what computes, and that before the update, which nobody waits for yet."""
    def of(*labels):
        return {priority for label, _, priority in nodes if label.startswith(labels)}
    computes, updates, collectives = of("cuDNN", "cuBLASLt"), of("adam"), of("nccl")
    check(f"{name}: the update gives way, a collective does not",
          len(computes) == len(updates) == 1 and max(computes) < min(updates)
          and all(each < min(computes) for each in collectives), f"{computes} {updates} {collectives}")


# Each of the switches, the launches that its change saves in a step of `single`, and whether the bits are the same
# without: a cast that is left out rounds as before, other sums are added up in another order.
SWITCHES = [("relu-bits", 1, True), ("low-biases", 4, True), ("left-gradients", 2, True), ("padded-input", 0, True), ("pooled-sums", 4, False),
            ("grouped-updates", 2, True), ("update-advance", 1, True), ("priorities", 0, True)]


def switches(work, nodes, found):
    for word, saved, same in SWITCHES:
        without, bits = record(work, f"without {word}", 1, "--mode", "single", avoid=word)
        if without is None:
            check(f"without {word}", False, bits)
            continue
        check(f"without {word}: {saved} launches more", len(without) == len(nodes) + saved,
              f"{len(without)} against {len(nodes)}: {[each[0] for each in without]}")
        if same:
            check(f"without {word}: the same bits", bits == found, f"{bits} against {found}")
        if word == "priorities":
            check("without priorities all nodes have one", len({each[2] for each in without}) == 1, f"{without}")


if not shutil.which("mpirun"):
    print("1..0 # SKIP mpirun is not installed")
    sys.exit(0)
with tempfile.TemporaryDirectory() as folder:
    subprocess.run([lockstep, "pack", "synthetic", os.path.join(folder, "data"), "--images", "32", "--size", "16",
                    "--test-images", "8", "--seed", "3"], check=True, capture_output=True,
                   env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
    launches, bits = holds(folder, "single", 18, 1, "--mode", "single")
    urgencies("single", launches)
    switches(folder, launches, bits)
    for name, most, factors in ("ddp at 2 ranks", 20, "off"), ("ddp at 2 ranks with factors", 29, "on"):
        # One bucket: how many pay is measured, and would be another number on a slow day.
        launches, _ = holds(folder, name, most, 2, "--mode", "ddp", "--factor-comm", factors, "--bucket-mb", "64")
        urgencies(name, launches)
sys.exit(tap.done())
