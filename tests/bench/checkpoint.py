#!/usr/bin/env python3
"""What checkpoints cost a run: the CNN on 2 ranks of cpu, a core each, against the bars of issue 16.

usage: checkpoint.py LOCKSTEP [PART...]   (cost blocked rate signal restart memory; all where none is named)

cost     images/s with --checkpoint-every 10s over without, runs of some 21 s (two checkpoints), in turn
blocked  what the trainers stand still for one, over a memcpy of a rank's bytes: both ranks' at once, as they
         copy, out of memory that is in no cache, into pages that were touched before
rate     bytes of checkpoints over the time from the copy to the publication of each, where the ranks wait for it
         (--best, with --keep 1: older files' pages serve again), over `dd` with fsync of the same bytes, in turn
signal   SIGTERM to both ranks at some moment, to the end of mpirun with a state that is whole
restart  from the start to the first step, going on from a checkpoint in the middle of an epoch, less that of a
         fresh start
memory   most memory of a rank (VmHWM) with checkpoints, less that without, over the bytes of its part

Medians of CHECKPOINT_ROUNDS (5) rounds, with their ranges. Wants an idle machine; CHECKPOINT_WORK names the
folder whose disk is measured (the place of temporary files where none is named).
"""
import ctypes
import multiprocessing
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import runs

RANKS = 2
ROUNDS = int(os.environ.get("CHECKPOINT_ROUNDS", "5"))
BATCH = 128
OPTIONS = ["--mode", "ddp", "--threads", 1, "--global-batch", BATCH, "--epochs", 1]
PARTS = ["cost", "blocked", "rate", "signal", "restart", "memory"]
SECONDS = 21.5  # of training in a run of `cost`: two checkpoints, 10 s apart, and their writing
MIB = 1 << 20

lockstep = os.path.abspath(sys.argv[1])
missed = []


def report(name, value, bar, at_least, values, unit=""):
    missed.extend([] if (value >= bar if at_least else value <= bar) else [name])
    print(f"{name}: {runs.verdict(value, bar, at_least)}; rounds: "
          f"{', '.join(f'{each:.3f}' for each in values)}{unit}", flush=True)


def train(data, folder, *options):
    return runs.train(lockstep, data, folder, *OPTIONS, *options, ranks=RANKS)[0]


def checkpoints_of(folder):
    return sorted(name for name in os.listdir(f"{folder}/checkpoints") if re.fullmatch(r"step-\d+", name))


def saved(folder, name, value):
    """A number of the state in a checkpoint's manifest: as it was when that checkpoint was begun."""
    path = f"{folder}/checkpoints/{name}/manifest.h5"
    text = subprocess.run(["h5dump", "-m", "%.9g", "-d", f"/state/{value}", path], check=True, capture_output=True,
                          text=True).stdout
    return float(re.search(r"\(0\): ([-+.e\d]+)", text).group(1))


def part_bytes(folder):
    """Of the newest checkpoint: each rank's part."""
    path = f"{folder}/checkpoints/{checkpoints_of(folder)[-1]}"
    return [os.path.getsize(f"{path}/{name}") for name in sorted(os.listdir(path)) if name.startswith("part")]


def before_last(folder):
    """Checkpoints of a run but that of its end: how many, seconds blocked, seconds of writing."""
    name = checkpoints_of(folder)[-1]  # counts itself
    return saved(folder, name, "checkpoints") - 1, *(saved(folder, name, f"checkpoint_{of}_seconds")
                                                     for of in ("blocked", "write"))


# ---- the bars' other sides


def copy(core, count, gate, results):
    """A rank's share of the memory's speed: seconds of each of 20 copies of `count` bytes."""
    os.sched_setaffinity(0, {core})
    source, target = (ctypes.create_string_buffer(b"x" * count, count) for _ in range(2))
    other = ctypes.create_string_buffer(64 * MIB)
    found = []
    for _ in range(20):
        ctypes.memset(other, len(found), len(other))  # the caches have something else then
        gate.wait()
        began = time.perf_counter()
        ctypes.memmove(target, source, count)
        found.append(time.perf_counter() - began)
    results.put(found)


def copy_seconds(sizes):
    """Median over the copies of the slower rank's time."""
    gate, results = multiprocessing.Barrier(len(sizes)), multiprocessing.Queue()
    cores = sorted(os.sched_getaffinity(0))
    ranks = [multiprocessing.Process(target=copy, args=(cores[rank], size, gate, results))
             for rank, size in enumerate(sizes)]
    for rank in ranks:
        rank.start()
    times = [results.get() for _ in ranks]
    for rank in ranks:
        rank.join()
    return statistics.median(map(max, zip(*times)))


def dd_rate(source, target, count):
    """Bytes/s of `count` bytes of a file in the page cache to another one, on the disk."""
    began = time.perf_counter()
    subprocess.run(["dd", f"if={source}", f"of={target}", "bs=1M", f"count={count}", "iflag=count_bytes,fullblock",
                    "conv=fsync"], check=True, capture_output=True)
    seconds = time.perf_counter() - began
    os.remove(target)
    return count / seconds


# ---- the rows


def cost(work, small):
    rate = float(train(small, f"{work}/calibrate")["images_per_second"])
    images = int(rate * SECONDS) // BATCH * BATCH
    data = runs.synthetic(lockstep, f"{work}/large", images, BATCH)
    ratios, beside = [], []
    for number in range(ROUNDS):
        found = {}
        for with_them in (number % 2 == 0, number % 2 == 1):
            options = ["--checkpoint-every", "10s"] if with_them else []
            row = train(data, f"{work}/cost", *options)
            found[with_them] = float(row["images_per_second"])
            if with_them:
                count, _, seconds = before_last(f"{work}/cost")
                beside.append(sum(part_bytes(f"{work}/cost")) * count / seconds / 1e6)
        ratios.append(found[True] / found[False])
        print(f"  round {number + 1}: {found[False]:.1f} images/s without, {found[True]:.1f} with {count:.0f} in "
              f"{images / found[True]:.1f} s", flush=True)
    report("cost of a checkpoint each 10 s, share of the images/s", 1 - statistics.median(ratios), 0.02, False,
           [1 - ratio for ratio in ratios])
    print(f"  written beside training at {runs.spread(beside)} MB/s")


def blocked(work, small):
    each, ratios = [], []
    for number in range(ROUNDS):
        train(small, f"{work}/blocked", "--checkpoint-every", 4)
        count, seconds, _ = before_last(f"{work}/blocked")
        sizes = part_bytes(f"{work}/blocked")
        memory = copy_seconds(sizes)
        each.append(seconds / count)
        ratios.append(each[-1] / memory)
        print(f"  round {number + 1}: {1e3 * each[-1]:.3f} ms each of {count:.0f}, a copy of {max(sizes) / 1e6:.1f} MB "
              f"a rank {1e3 * memory:.3f} ms", flush=True)
    report("blocked by one checkpoint, over one copy of its bytes", statistics.median(ratios), 1.5, False, ratios)


def rate(work, _):
    tiny, ratios = runs.synthetic(lockstep, f"{work}/tiny", 2 * BATCH, BATCH), []
    for number in range(ROUNDS):
        row = runs.train(lockstep, tiny, f"{work}/rate", *OPTIONS[:-1], 8, "--best", "loss", "--keep", 1,
                         ranks=RANKS)[0]
        ours = float(row["checkpoint_bytes"]) / float(row["checkpoint_write_seconds"])
        name = f"{work}/rate/checkpoints/{checkpoints_of(f'{work}/rate')[-1]}"
        whole = f"{work}/whole"
        with open(whole, "wb") as to:
            for part in sorted(os.listdir(name)):
                with open(f"{name}/{part}", "rb") as file:
                    to.write(file.read())
        os.sync()
        disk = statistics.median(dd_rate(whole, f"{work}/rate/copy", os.path.getsize(whole)) for _ in range(3))
        ratios.append(ours / disk)
        print(f"  round {number + 1}: {ours / 1e6:.1f} MB/s of {row['checkpoints']}, dd {disk / 1e6:.1f} MB/s "
              f"({os.path.getsize(whole) / 1e6:.1f} MB)", flush=True)
    report("write rate, over dd with fsync", statistics.median(ratios), 0.8, True, ratios)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def sigterm(work, small):
    seconds, dice = [], random.Random(16)
    for number in range(ROUNDS):
        folder = f"{work}/signal-{number}"
        command = ["mpirun", "--bind-to", "core", "--map-by", "core", "-n", str(RANKS), lockstep, "train", "--data",
                   small, "--device", runs.DEVICE, "--results", folder, *map(str, OPTIONS[:-1]), "1000",
                   "--checkpoint-every", "2s"]
        with subprocess.Popen(command, env=runs.ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as run:
            while not os.path.exists(f"{folder}/checkpoints/last"):
                if run.poll() is not None:
                    raise SystemExit(f"{' '.join(command)}: exit {run.returncode}\n{run.stderr.read()}")
                time.sleep(0.01)
            time.sleep(dice.uniform(0, 2.5))
            before, ranks = checkpoints_of(folder)[-1], children(run.pid)
            began = time.perf_counter()
            for rank in ranks:
                os.kill(rank, signal.SIGTERM)
            out, error = run.communicate()
            seconds.append(time.perf_counter() - began)
        name = checkpoints_of(folder)[-1]
        check = subprocess.run([lockstep, "checkpoint", "verify", f"{folder}/checkpoints/{name}"], capture_output=True,
                               text=True)
        if name == before or check.returncode:
            raise SystemExit(f"after SIGTERM: exit {run.returncode}, newest {name}, before {before}\n{check.stderr}\n"
                             f"{out[-400:]}\n{error}")
        print(f"  round {number + 1}: {seconds[-1]:.3f} s, exit code {run.returncode}, saved {name}", flush=True)
    report("SIGTERM to the exit with a saved state, s", statistics.median(seconds), 3, False, seconds)
    print(f"  the slowest: {max(seconds):.3f} s")


def restart(work, small):
    train(small, f"{work}/from", "--checkpoint-every", 5, "--keep", 100)
    name = f"{work}/from/checkpoints/{checkpoints_of(f'{work}/from')[-2]}"
    more, first = [], "start_to_first_step_seconds"
    for number in range(max(ROUNDS, 5)):
        found = {}
        for resumed in (number % 2 == 0, number % 2 == 1):
            row = train(small, f"{work}/restart", "--checkpoint-every", "epoch", "--resume",
                        name if resumed else "none")
            if row["attempts"] != ("2" if resumed else "1"):
                raise SystemExit(f"--resume {name}: attempt {row['attempts']}")
            found[resumed] = float(row[first])
        more.append(found[True] - found[False])
        print(f"  round {number + 1}: fresh {found[False]:.3f} s, resumed {found[True]:.3f} s", flush=True)
    report("to the first step after resume, more than a fresh start, s", statistics.median(more), 0.5, False, more)


def memory(work, small):
    ratios = []
    for number in range(ROUNDS):
        found = {}
        for with_them in (False, True):
            row = train(small, f"{work}/memory", *(["--checkpoint-every", 5] if with_them else []))
            found[with_them] = [int(each) for each in row["rank_peak_memory_bytes"].split(";")]
        sizes = part_bytes(f"{work}/memory")
        more = [a - b for a, b in zip(found[True], found[False])]
        ratios.append(max(extra / size for extra, size in zip(more, sizes)))
        print(f"  round {number + 1}: {', '.join(f'{extra / 1e6:.2f}' for extra in more)} MB more, parts of "
              f"{', '.join(f'{size / 1e6:.2f}' for size in sizes)} MB; without {found[False]}", flush=True)
    report("extra memory of a rank, over the bytes of its part", statistics.median(ratios), 1, False, ratios)


def main():
    wanted = sys.argv[2:] or PARTS
    if set(wanted) - set(PARTS):
        raise SystemExit(__doc__)
    parts = {"cost": cost, "blocked": blocked, "rate": rate, "signal": sigterm, "restart": restart, "memory": memory}
    with tempfile.TemporaryDirectory(dir=os.environ.get("CHECKPOINT_WORK")) as work:
        small = runs.synthetic(lockstep, f"{work}/small", 16 * BATCH, BATCH)
        for part in wanted:
            parts[part](work, small)
    print(f"{', '.join(missed)}: missed" if missed else "all of these hold")


main()
sys.exit(bool(missed))
