#!/usr/bin/env python3
"""--profile: trace.json as Python's json reads it, and layers.csv, of runs on one device.

usage: trace.py LOCKSTEP DEVICE    (cpu; or cuda of an emulated lockstep)

Spans of one row are apart or nested; every rank has every step, phase and layer; phases fill their
step; an all-reduce ends on no rank before it began on all, so the clocks are aligned; the rows of
layers.csv sum to the step and tile the gradient. TAP.
"""
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "modes"))
import kit  # noqa: E402

lockstep, device = sys.argv[1:]
tap = kit.Tap()
PHASES = ["load", "stage", "data", "forward", "backward", "optimizer"]
LAYERS = ["conv1", "pool1", "conv2", "pool2", "fc1", "fc2"]


def check(name, *complaints):
    found = [text for wrong, text in complaints if wrong]
    tap.check(name, not found, "\n".join(text[:2000] for text in found))


def run(name, ranks, *options, gpus=1):
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                       CUDA_VISIBLE_DEVICES=",".join(map(str, range(gpus))) if device == "cuda" else "",
                       LOCKSTEP_EMULATED_GPUS=str(gpus))
    environment["ASAN_OPTIONS"] = "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks > 1 else []
    command += [lockstep, "train", "--data", "data", "--device", device, "--epochs", "1", "--threads", "1", "--oversubscribe", "--plan-cache", "plans", "--results", name, *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    if done.returncode:
        check(f"{name}: it runs", (True, f"exit {done.returncode}\n{done.stderr}"))
        return None
    trace = layers = None
    if "--profile" in options:
        with open(f"{name}/trace.json", encoding="utf-8") as file:
            trace = json.load(file)
        with open(f"{name}/layers.csv", newline="", encoding="ascii") as file:
            layers = list(csv.DictReader(file))
    with open(f"{name}/summary.csv", newline="", encoding="utf-8") as file:
        return trace, layers, next(csv.DictReader(file)), done.stdout


def nanoseconds(event):
    """Begin and end: the file has microseconds with three decimals."""
    begin = round(event["ts"] * 1000)
    return begin, begin + round(event["dur"] * 1000)


def overlapping(events):
    """Spans of one row that are neither apart nor nested."""
    bad, outer = [], []
    for event in sorted(events, key=lambda e: (nanoseconds(e)[0], -nanoseconds(e)[1])):
        begin, end = nanoseconds(event)
        while outer and nanoseconds(outer[-1])[1] <= begin:
            outer.pop()
        if outer and end > nanoseconds(outer[-1])[1]:
            bad.append((outer[-1], event))
        outer.append(event)
    return bad


def inside(events, whole):
    begin, end = nanoseconds(whole)
    return [e for e in events if begin <= nanoseconds(e)[0] and nanoseconds(e)[1] <= end and e is not whole]


def length(event):
    begin, end = nanoseconds(event)
    return end - begin


def step_complaints(step, row, factors):
    """What is wrong inside one step of a rank; also how much of it is in no phase."""
    events = inside(row, step)
    phases = [e for e in events if e["cat"] == "phase"]
    spare = length(step) - sum(map(length, phases))
    wrong = [([e["name"] for e in phases] != PHASES, f"phases {[e['name'] for e in phases]}"),
             (spare < 0, f"the phases last longer than the step: {spare} ns")]
    for phase, order in (("forward", LAYERS), ("backward", LAYERS[::-1])):
        whole = next((e for e in phases if e["name"] == phase), None)
        layers = [e for e in inside(events, whole) if e["cat"] == "layer"] if whole else []
        if factors and phase == "backward":  # products of gathered factors come last, as layers of their own
            last = layers[len(LAYERS):]
            wrong.append(([e["name"] for e in last] != ["fc2", "fc1"], f"products of factors: {[e['name'] for e in last]}"))
            layers = layers[:len(LAYERS)]
        wrong.append(([e["name"] for e in layers] != order, f"{phase}: {[e['name'] for e in layers]}"))
        for layer in layers if phase == "backward" else []:
            found = sorted(e["name"] for e in inside(events, layer) if e["cat"] == "pass" and e["name"] != "relu")
            expected = ["backward_data"] * (layer["name"] != "conv1") + \
                ["backward_weights"] * (not layer["name"].startswith("pool") and not (factors and layer["name"].startswith("fc")))
            wrong.append((found != expected, f"backward of {layer['name']}: {found}"))
    wrong.append((sum(e["cat"] == "loss" for e in events) != 1, "no loss"))
    return wrong, spare / length(step)


def check_rows(name, trace, ranks):
    events = trace["traceEvents"]
    spans = [e for e in events if e["ph"] == "X"]
    rows = {}
    for event in spans:
        rows.setdefault((event["pid"], event["tid"]), []).append(event)
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    processes = {e["pid"] for e in events if e["name"] == "process_name"}
    bad = [pair for row in rows.values() for pair in overlapping(row)]
    check(f"{name}: rows are named, and their spans are apart or nested",
          (bad, f"{len(bad)}, the first {bad[:1]}"),
          (not set(rows) <= set(names), f"rows {sorted(rows)}, names {names}"),
          (processes != set(range(ranks)), f"processes {processes}"),
          ({e["ph"] for e in events} != {"X", "M"}, "other kinds of events"),
          (any(e["dur"] < 0 or e["ts"] < 0 for e in spans), "a negative time"))
    return {name: {pid: rows.get((pid, tid), []) for (pid, tid) in names if names[pid, tid] == name}
            for name in set(names.values())}, [rows[key] for key in rows if names[key].startswith("collectives")]


def check_steps(name, compute, ranks, count, most_spare, factors):
    wrong, spares = [], []
    for rank in range(ranks):
        row = compute.get(rank, [])
        steps = [e for e in row if e["cat"] == "step"]
        wrong.append(([e["args"]["step"] for e in steps] != list(range(count)), f"rank {rank}: steps {steps}"))
        for step in steps:
            complaints, spare = step_complaints(step, row, factors)
            wrong += complaints
            spares.append(spare)
    wrong.append((not spares or min(spares) > most_spare, f"of the steps in no phase: {spares}"))
    check(f"{name}: every step has its phases, and every layer its passes", *wrong)


def check_layers(name, layers, trace, parameters, count):
    """At one step the rows sum to it."""
    sums = sum(float(row["seconds"]) for row in layers)
    step = next(e for e in trace["traceEvents"] if e.get("cat") == "step" and e["pid"] == 0)
    ranges = sorted((int(row["gradient_first"]), int(row["gradient_count"])) for row in layers)
    tiles, end = True, 0
    for first, size in (r for r in ranges if r[1]):
        tiles &= first == end
        end = first + size
    by_name = {(row["layer"], row["phase"]): row for row in layers}
    conv2 = by_name["conv2", "forward"]
    expected = 2 * count * 4 * 4 * 9 * 64 * 128  # 8 x 8 images, after one pooling
    floors = [row for row in layers if row["floor_seconds"]]
    factored = [row for row in layers if row["out_features"]]
    check(f"{name}: layers.csv sums to the step, tiles the gradient, has floors",
          (abs(sums - length(step) / 1e9) > 1e-6 * sums + 1e-7, f"rows {sums}, step {length(step) / 1e9}"),
          (not tiles or end != parameters, f"{ranges}, {parameters} parameters"),
          ([int(row["order"]) for row in layers] != list(range(1, len(layers) + 1)), "order"),
          (float(conv2["flop"]) != expected, f"conv2 forward: {conv2['flop']} FLOP, expected {expected}"),
          ([row["layer"] for row in factored] != ["fc2", "fc1"] or any(
              row["kind"] != "linear" or row["phase"] != "backward_weights"
              or (int(row["in_features"]) + 1) * int(row["out_features"]) != int(row["gradient_count"])
              for row in factored), f"features: {factored}"),
          (len(floors) < len(layers) - 2 or any(float(row["floor_seconds"]) <= 0 for row in floors), f"{floors}"))


def pairs(collectives, ranks):
    """The same collective of every rank: the nth that it began."""
    by_rank = [sorted((e for row in collectives for e in row if e["pid"] == rank), key=lambda e: e["ts"])
               for rank in range(ranks)]
    return list(zip(*by_rank, strict=True))


def check_collectives(name, trace, collectives, compute, ranks, kinds):
    note = trace["otherData"]["note"]
    within = float(note.split("within ")[1].split(" us")[0])
    same = pairs(collectives, ranks)
    late = [group for group in same
            if group[0]["name"] in ("allreduce", "offer") and max(e["ts"] for e in group) > min(e["ts"] + e["dur"] for e in group) + 50 + 10 * within]
    waits = [e for e in compute[0] if e["cat"] == "wait"]
    steps = [e for e in compute[0] if e["cat"] == "step"]
    mine = [e for row in collectives for e in row if e["pid"] == 0]
    placed = [e for step in steps for e in inside(mine, step)]
    check(f"{name}: collectives of the ranks, in aligned clocks",
          (not same or {e["name"] for e in mine} != kinds, f"{ {e['name'] for e in mine} }"),
          (late, f"ended before it began elsewhere: {late[:2]} ({note})"),
          (not waits, "nothing was waited for"),
          (len(placed) != len(mine), f"{len(mine) - len(placed)} of {len(mine)} outside their steps"),
          (any(e["args"]["bytes"] <= 0 for e in mine), "no bytes"))


def profile(name, ranks, steps, *options, batch=8, kinds=None, gpus=1):
    found = run(name, ranks, *options, "--global-batch", str(batch), "--profile", str(steps), gpus=gpus)
    if not found:
        return
    trace, layers, summary, said = found
    rows, collectives = check_rows(name, trace, ranks)
    # Between phases stand only marks; on a GPU's stream, words for the watcher too.
    check_steps(name, rows["compute"], ranks, steps, 0.05 if device == "cpu" else 0.5, name == "factors")
    if steps == 1:
        check_layers(name, layers, trace, int(summary["parameters"]), batch // ranks)
    if kinds:
        check_collectives(name, trace, collectives, rows["compute"], ranks, kinds)
    if name == "ddp":
        plain = run("plain", ranks, *options, "--global-batch", str(batch), gpus=gpus)
        hashes = plain and plain[2]["parameters_hash"], summary["parameters_hash"]
        check("a profile changes no bit of the training", (hashes[0] != hashes[1] or not hashes[0], f"{hashes}"))
    eager = "one call at a time" in said
    check(f"{name}: what the run says of it",
          (summary["profile_steps"] != str(steps), f"profile_steps {summary['profile_steps']}"),
          ("sum" not in said or "large copy" not in said, said),
          (eager != (summary["graph"] == "yes"), f"graph {summary['graph']!r}"),
          ("no room" in said, said),
          (device == "cuda" and f"a step of {batch} images took" not in said, said),
          (device == "cuda" and not float(summary["step_floor_seconds"] or 0) > 0, "no floor of a step"),
          (device == "cpu" and summary["step_floor_seconds"], "a floor of a step on cpu"),
          (device != "cpu" and "loader thread" in rows, f"rows {set(rows)}"))
    seen_rows.update(rows)


seen_rows = set()  # of all profiles
with tempfile.TemporaryDirectory() as folder:
    lockstep = os.path.abspath(lockstep)
    os.chdir(folder)
    subprocess.run([lockstep, "pack", "synthetic", "data", "--images", "44", "--size", "8", "--test-images", "8",
                    "--seed", "3"], check=True, capture_output=True,
                   env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
    profile("single", 1, 1, "--mode", "single")
    low = ["--precision", "bf16"] if device == "cuda" or kit.has_bf16() else []
    profile("all steps", 1, 5, "--mode", "single", *low)
    if shutil.which("mpirun"):
        ddp = ["--mode", "ddp", "--bucket-mb", "0.3", "--factor-comm", "off"]
        # Two ranks on a CPU read each other's gradients where they lie.
        profile("ddp", 2, 2, *ddp, kinds={"offer" if device == "cpu" else "allreduce"}, gpus=2)
        if device == "cuda":
            profile("ddp on one GPU", 2, 1, *ddp, "--share-gpu", kinds={"allreduce"})
        else:
            profile("factors", 2, 1, "--mode", "ddp", "--factor-comm", "on", kinds={"allgather", "allreduce"})
            profile("dp", 3, 1, "--mode", "dp", batch=9,
                    kinds={"broadcast", "scatter", "gather", "reduce"})
    # In one profile alone the loader may be ahead of all its steps.
    if device == "cpu":
        check("the loader's thread has a row", ("loader thread" not in seen_rows, f"rows {seen_rows}"))
sys.exit(tap.done())
