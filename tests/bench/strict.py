#!/usr/bin/env python3
"""--strict: the same bits at 1, 2 and 4 ranks, and what it costs at 2.

usage: strict.py LOCKSTEP DATA [ROUNDS]  (DATA: a packed data set, e.g. CIFAR-10; 5 rounds)

Bits: 2 epochs of DATA in a global batch of 128 with 4 lanes, fp32 (and bf16 where the CPU has it) at
1 rank (single), 2 and 4 ranks, at one rank with 2 threads, and (as root: it brings the test cluster up,
whose nodes see no /tmp of this machine, so DATA must not lie there) at 2 and 4 ranks on two nodes. Where
ranks are more than cores they share them. ROUNDS 0: only this.
Cost: images/s at 2 ranks, a core each, of --strict with 2 and with 4 lanes over ddp as it is, with the
same global batch of 128, rounds interleaved; the medians of the rounds' ratios are held against 5%
and 10%. And what the strict runs say of their cost by themselves (strict_cost, from their warm-up).
"""
import os
import statistics
import sys
import tempfile

import runs

lockstep, data = map(os.path.abspath, sys.argv[1:3])
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
IMAGES = 6400
SAME = ["parameters_hash", "plan_id", "final_train_loss", "final_test_loss", "final_test_accuracy"]


def strict_run(folder, ranks, nodes, environment, *options):
    mode = "ddp" if ranks else "single"
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks else []
    if nodes > 1:
        command = ["srun", f"-N{nodes}", f"-n{ranks}", "--mpi=pmix"]
    command += [lockstep, "train", "--data", data, "--device", runs.DEVICE, "--mode", mode, "--global-batch", "128",
                "--epochs", "2", "--oversubscribe", "--strict", "--lanes", "4", "--results", folder, *options]
    return runs.finish(command, folder, environment)[0]


def same_bits(work, precision):
    found = {}

    def one(ranks, threads, nodes=1, environment=runs.ENVIRONMENT):
        name = f"{ranks or 1} rank{'s' if ranks else ''}, {threads} thread{'s' if threads != '1' else ''}"
        name += f", {nodes} nodes" if nodes > 1 else ""
        row = strict_run(f"{work}/{precision}-{ranks}-{threads}-{nodes}", ranks, nodes, environment,
                         "--threads", threads, "--precision", precision)
        found[name] = [row[column] for column in SAME]
        print(f"  {precision}, {name:26} {' '.join(found[name])}", flush=True)
        return row

    for ranks, threads in ((0, "1"), (0, "2"), (2, "1"), (4, "1")):
        row = one(ranks, threads)
    if os.geteuid() == 0:
        with runs.Cluster("--oversubscribe-cpus", 2) as cluster:
            for ranks in (2, 4):
                one(ranks, "1", 2, cluster.environment)
    else:
        print("  two nodes: skipped, not root")
    identical = len(set(map(tuple, found.values()))) == 1
    print(f"  {'holds' if identical else 'MISSED'}: {row['steps']} steps in {precision}, "
          f"{'identical' if identical else 'DIFFERENT'} parameters, losses and accuracy", flush=True)
    return identical


def cost(work):
    small = runs.synthetic(lockstep, f"{work}/data", IMAGES, 64)
    ways = {"ddp": [], "2 lanes": ["--strict", "--lanes", 2], "4 lanes": ["--strict", "--lanes", 4]}
    ratios, told = {name: [] for name in ways}, {name: [] for name in ways}
    for _ in range(rounds):
        rates = {}
        for name, options in ways.items():
            row, _ = runs.train(lockstep, small, f"{work}/cost", "--mode", "ddp", "--global-batch", 128, "--epochs", 1,
                                "--threads", 1, *options, ranks=2)
            rates[name] = float(row["images_per_second"])
            told[name].append(float(row["strict_cost"] or "nan"))
        for name in ways:
            ratios[name].append(1 - rates[name] / rates["ddp"])
    good = True
    for name, bar in (("2 lanes", 0.05), ("4 lanes", 0.10)):
        middle = statistics.median(ratios[name])
        print(f"  {name}: costs {runs.spread([100 * r for r in ratios[name]])} % of ddp's images/s; a step by the run's "
              f"own measurement {runs.spread([100 * t for t in told[name]])} % more\n    "
              f"{runs.verdict(middle, bar, at_least=False)}")
        good = good and middle <= bar
    return good


# Beside the binary: two nodes of the test cluster see it there.
with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(lockstep))) as folder:
    print("2 epochs, global batch 128, 4 lanes")
    identical = [same_bits(folder, "fp32")]
    with open("/proc/cpuinfo", encoding="ascii") as file:
        if "avx512_bf16" in file.read():
            identical.append(same_bits(folder, "bf16"))
    if rounds:
        print(f"cost at 2 ranks, {rounds} rounds of {IMAGES} images, global batch 128")
    holds = cost(folder) if rounds else True
sys.exit(not (all(identical) and holds))
