#!/usr/bin/env python3
"""Training on the emulated cuda device follows the cpu device, loss by loss: in every mode, at 1, 2
and 4 ranks, each with a GPU of its own (nccl) or all on one (mpi, staged), as a graph and without,
in every precision, under several orders of the device's work.

usage: train.py LOCKSTEP-EMULATED PART  (single, precisions, ranks, sharded, strict, resnet, vit, or brief; needs mpirun)

It shows that the host code of cuda/ orders its work rightly and asks the libraries for the right
thing. What it cannot show stands in README.md; no number of it is a GPU's.
"""
import csv
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "modes"))
import kit  # noqa: E402

lockstep, part = sys.argv[1:]
tap = kit.Tap()
check = tap.check


def run(work, name, device, ranks, *options, seed=1, gpus=1, order="random", data="data", step_log=True):
    """The losses of a run's steps (where they are logged: the host then waits for each), the losses of its
    epochs, and its summary's row; None and the reason where it failed. All runs share one cache of cuDNN's
    plans: other plans may have other bits."""
    results = os.path.join(work, name.replace(" ", "-"))
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                       CUDA_VISIBLE_DEVICES=",".join(map(str, range(gpus))), LOCKSTEP_EMULATED_GPUS=str(gpus),
                       LOCKSTEP_EMULATED_SEED=str(seed), LOCKSTEP_EMULATED_ORDER=order)
    # What MPI's plug-ins leave behind when they are unloaded has no name that a suppression matches.
    if ranks == 1:
        environment["LOCKSTEP_EMULATED_CALLS"] = results + ".calls"
    environment["ASAN_OPTIONS"] = "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks > 1 else []
    command += [lockstep, "train", "--data", os.path.join(work, data), "--device", device, "--seed", "5",
                "--epochs", "2", "--global-batch", "8", "--threads", "1", "--oversubscribe",
                "--plan-cache", os.path.join(work, "plans"), "--plan-seconds", "1000", "--results", results, *options]
    command += (["--step-log"] if step_log else []) + kit.start_soon(options)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    if done.returncode:
        return None, f"{' '.join(command)} (seed {seed}, {gpus} GPUs, {order}): exit {done.returncode}\n# " + \
            "\n# ".join(done.stderr.splitlines()[:40])
    losses = []
    if step_log:
        with open(os.path.join(results, "steps.csv"), newline="") as file:
            losses = [float(row["loss"]) for row in csv.DictReader(file)]
    with open(os.path.join(results, "epochs.csv"), newline="") as file:
        for row in csv.DictReader(file):
            losses += [float(row["test_loss"])] if step_log else [float(row["train_loss"]), float(row["test_loss"])]
    with open(os.path.join(results, "summary.csv"), newline="") as file:
        return losses, next(csv.DictReader(file))


def pack(work, name, images, size, test_images="20"):
    subprocess.run([lockstep, "pack", "synthetic", os.path.join(work, name), "--images", images, "--size", size,
                    "--test-images", test_images, "--seed", "3"], check=True, capture_output=True,
                   env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))


def follows(name, got, want, early=2e-5, late=5e-3):
    losses, why = got
    if losses is None:
        check(name, False, why)
        return
    distances = [abs(a - b) for a, b in zip(losses, want)]
    check(name, len(losses) == len(want) and max(distances[:2]) < early and max(distances) < late,
          f"first steps differ by {max(distances[:2]):.3g}, all by {max(distances):.3g}: {losses} against {want}")


def same(name, got, want):
    check(name, got[0] is not None and got[0] == want[0], f"{got[0] or got[1]} against {want[0] or want[1]}")


def says(name, got, column, value):
    """That the run was what the test takes it for."""
    if got[0] is not None:
        found = got[1].get(column) or ""
        check(f"{name}: {column} is {value}", found.split(" ")[0] == value, found)


def certifies(work, name):
    """That its steps were fed cpu's samples, by the certificates."""
    hashes = []
    for run_of in (name, "cpu"):
        with open(os.path.join(work, run_of.replace(" ", "-"), "certificate.csv"), newline="") as file:
            hashes.append([row["samples_hash"] for row in csv.DictReader(file)])
    check(f"{name}: cpu's samples", hashes[0] == hashes[1] and len(hashes[0]) == 12, f"{hashes}")


def single(work, want):
    eager = run(work, "eager", "cuda", 1, "--mode", "single", "--no-graph", order="eager")
    follows("single, launched step by step, follows cpu", eager, want)
    for seed, order in ((1, "random"), (3, "late")):
        got = run(work, f"graph {seed}", "cuda", 1, "--mode", "single", seed=seed, order=order)
        same(f"single as a graph has the same bits, seed {seed}, {order}", got, eager)
        says(f"seed {seed}", got, "graph", "yes")
        if got[0] is not None:
            certifies(work, f"graph {seed}")
        got = run(work, f"no graph {seed}", "cuda", 1, "--mode", "single", "--no-graph", seed=seed, order=order)
        same(f"single without a graph has the same bits, seed {seed}, {order}", got, eager)
    ahead(work)
    several(work)
    accumulated(work, eager[0] or [])
    options = ["--mode", "single", "--augment", "crop-flip", "--optimizer", "sgd", "--learning-rate", "0.01",
               "--momentum", "0.9", "--weight-decay", "0.001"]
    augmented, why = run(work, "augmented cpu", "cpu", 1, *options)
    follows("single, crop and flip, SGD with momentum, follows cpu",
            run(work, "augmented", "cuda", 1, *options), augmented or [])


def accumulated(work, want):
    """Three micro-batches a step: of 8 images, and of 4 in the short last batch. As a graph and launched step by
    step they have the same bits, whoever feeds them."""
    options = ["--mode", "single", "--accumulate", "3"]
    eager = run(work, "accumulated eager", "cuda", 1, *options, "--no-graph", order="eager")
    follows("in micro-batches, launched step by step, follows the whole batch", eager, want)
    for seed, order, *more in ((1, "random"), (2, "late"), (3, "random", "--data-place", "host")):
        name = f"accumulated {seed}"
        got = run(work, name, "cuda", 1, *options, *more, seed=seed, order=order)
        same(f"in micro-batches as a graph has the same bits, {order} {' '.join(more)}", got, eager)
        says(name, got, "graph", "yes")
        says(name, got, "accumulate", "3")
        if got[0] is not None:
            certifies(work, name)


def ahead(work):
    """Batches are made beside the step before, with nothing that holds the host back: the same bits in every
    order, from the device's memory and from the host's. The profiled steps make theirs themselves."""
    options = ["--mode", "single", "--augment", "crop-flip"]
    want = None
    for name, seed, order, more in (
            ("as a graph", 1, "eager", []), ("as a graph", 3, "random", []),
            ("around profiled steps", 4, "random", ["--profile", "2"]), ("without a graph", 5, "late", ["--no-graph"]),
            ("fed by the host", 6, "random", ["--data-place", "host"]),
            ("fed by the host without a graph", 7, "late", ["--data-place", "host", "--no-graph"])):
        got = run(work, f"ahead {seed}", "cuda", 1, *options, *more, seed=seed, order=order,
                  data="more", step_log=False)
        want = want or got
        same(f"batches made ahead, {name}, {order}: the same bits", got, want)


def calls(work, name):
    with open(os.path.join(work, name.replace(" ", "-") + ".calls")) as file:
        return {line.split()[0]: int(line.split()[1]) for line in file}


def several(work):
    """Several steps a graph, each of which makes the batch of the next: the bits of one step a graph and of none,
    in every order, around sampled and profiled steps, hashes of the parameters and the short last batch."""
    columns = ["parameters_hash", "final_train_loss", "final_test_loss", "samples_hash"]
    options = ["--mode", "single", "--augment", "crop-flip", "--global-batch", "2"]
    want = None
    for name, seed, order, steps, more in (
            ("eager", 1, "eager", 0, ["--no-graph"]), ("1 a graph", 2, "random", 0, ["--graph-steps", "1"]),
            ("8 a graph", 3, "random", 8, []), ("8 a graph, late", 4, "late", 8, []),
            ("4 a graph, hashed each 6", 7, "random", 4, ["--graph-steps", "4", "--certificate-every", "6"]),
            ("8 a graph, profiled", 8, "random", 8, ["--profile", "2"]),
            ("8 a graph, in micro-batches", 9, "random", 8, ["--accumulate", "2"]),
            ("8 asked for, fed by the host", 10, "random", 0, ["--data-place", "host"]),
            ("8 asked for, too few batches", 11, "random", 0, ["--global-batch", "16"])):
        label = f"several {seed}"
        got = run(work, label, "cuda", 1, *options, *more, seed=seed, order=order, data="more", step_log=False)
        if got[0] is None:
            check(f"several steps, {name}", False, got[1])
            continue
        check(f"several steps, {name}: graph_steps", got[1]["graph_steps"] == (str(steps) if steps else ""),
              got[1]["graph_steps"])
        if "--accumulate" in more or "--global-batch" in more: # other sums, other batches
            continue
        found = [got[1].get(column) for column in columns]
        want = want or found
        check(f"several steps, {name}: the same bits", found == want, f"{found} against {want}")
    one, many = calls(work, "several 2"), calls(work, "several 3")
    saved = one["cudaGraphLaunch"] - many["cudaGraphLaunch"]
    # Each epoch of 38 steps has three runs of 8; warm-up launches each recording once.
    check("several steps: 8 in one launch", saved == 2 * 3 * 7 - 1, f"{saved} launches fewer: {one} {many}")
    # 48 steps are replayed eight at a time: a call more in each of them would be seen. Choosing engines
    # takes some more or fewer calls, as the clock has it.
    for name, more in (("cudaMemcpyAsync", 24), ("cudaStreamSynchronize", 24), ("cudaEventSynchronize", 24),
                       ("cudaStreamWaitEvent", -1), ("cudaEventRecord", -1)):
        found = many.get(name, 0) - one.get(name, 0)
        check(f"several steps: {found} calls of {name} more", found <= more, f"{one} {many}")


def precisions(work, want):
    for precision, early, late in (("tf32", 1e-2, 0.1), ("bf16", 3e-2, 0.3), ("fp16", 1e-2, 0.1)):
        options = ["--mode", "single", "--precision", precision]
        eager = run(work, f"{precision} eager", "cuda", 1, *options, "--no-graph")
        follows(f"{precision} stays near fp32", eager, want, early, late)
        same(f"{precision} as a graph has the same bits", run(work, precision, "cuda", 1, *options, seed=4), eager)
        follows(f"{precision}, ddp at 2 ranks, stays near one rank",
                run(work, f"{precision} ddp", "cuda", 2, "--mode", "ddp", "--precision", precision,
                    "--factor-comm", "on", gpus=2),
                eager[0] or [], early, late)
        if precision == "tf32":  # products of another kind; all that is exchanged is fp32
            continue
        follows(f"{precision}, ddp at 2 ranks in micro-batches, stays near one rank",
                run(work, f"{precision} accumulated", "cuda", 2, "--mode", "ddp", "--precision", precision,
                    "--accumulate", "2", "--bucket-mb", "0.3", gpus=2),
                eager[0] or [], early, late)


def shares(work, name, got, count):
    """ranks.csv: each rank's two sampled steps an epoch, scaled to its time; nothing of it on another rank."""
    if got[0] is None:
        return
    with open(os.path.join(work, name.replace(" ", "-"), "ranks.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    parts = ["data", "forward", "backward", "optimizer", "waiting", "transfer"]
    wrong = [row for row in rows if abs(sum(float(row[f"{part}_seconds"]) for part in parts)
                                        - float(row["training_seconds"])) > 1e-6
             or min(float(row[f"{part}_seconds"]) for part in parts) < 0 or row["compared_steps"] != "2"]
    waited = sum(float(row["waiting_seconds"]) for row in rows) / count
    check(f"{name}: every rank's parts are its time, waiting in them",
          len(rows) == 2 * count and not wrong and waited > 0
          and abs(waited - float(got[1]["waiting_seconds"])) < 1e-6, f"{rows} {got[1]['waiting_seconds']}")


def several_ranks(work, name, *options):
    """The same of ranks, whose collectives stand in the recording: parameters and losses of both."""
    options = ["--mode", "ddp", "--bucket-mb", "0.3", "--global-batch", "4", *options]
    got = [run(work, f"{name} {steps}", "cuda", 2, *options, *more, seed=steps, gpus=2, data="more", step_log=False)
           for steps, more in ((1, ["--graph-steps", "1"]), (4, ["--graph-steps", "4"]), (0, ["--no-graph"]))]
    found = [(losses, row["parameters_hash"], row["graph_steps"]) if losses else row for losses, row in got]
    check(f"{name}: 1 and 4 steps a graph and none have the same bits",
          all(one[:2] == found[0][:2] for one in found) and [one[2] for one in found] == ["", "4", ""], f"{found}")


def ranks(work, want):
    several_ranks(work, "several of ddp", "--factor-comm", "on")
    for mode in ("ddp", "dp"):
        for count in (1, 2, 4) if mode == "ddp" else (2, 4):
            for gpus in sorted({1, count}):
                where = "on one GPU" if gpus < count else "with a GPU each"
                factors = "on" if mode == "ddp" and count == 2 else "off"
                options = ["--mode", mode, "--bucket-mb", "0.3", "--factor-comm", factors]
                options += ["--share-gpu"] if gpus < count else []
                name = f"{mode} at {count} ranks {where}, factors {factors}"
                got = run(work, name, "cuda", count, *options, seed=count, gpus=gpus)
                follows(f"{name} follows cpu", got, want)
                if got[0] is not None:
                    certifies(work, name)
                if count > 1:
                    shares(work, name, got, count)
                    says(name, got, "communication", "mpi" if gpus < count else "nccl")
                    says(name, got, "graph", "yes" if mode == "ddp" and gpus == count else "no")
                if count == 2 and mode == "ddp":  # dp has no graph
                    eager = run(work, name + " eager", "cuda", count, *options, "--no-graph", seed=7, gpus=gpus,
                                order="late")
                    same(f"{name} without a graph has the same bits", eager, got)


def sharded(work, want):
    """zero1, zero2 and fsdp on 2 GPUs and on one: the bits of ddp. In two groups of two (hybrid): the sum of a group,
    then the groups', whichever mode makes it."""
    options = ["--factor-comm", "off", "--bucket-mb", "0.3"]
    ddp = run(work, "ddp", "cuda", 2, "--mode", "ddp", *options, gpus=2)
    follows("ddp follows cpu", ddp, want)
    for seed, mode, gpus, order, *more in ((2, "zero1", 2, "random"), (3, "zero2", 2, "late"), (4, "fsdp", 2, "random"),
                                           (5, "fsdp", 1, "late", "--share-gpu", "--prefetch", "2")):
        name = f"{mode} on {gpus} {' '.join(more)}"
        got = run(work, name, "cuda", 2, "--mode", mode, *options[2:] * (mode != "fsdp"), *more, seed=seed, gpus=gpus, order=order)
        same(f"{name}: the bits of ddp", got, ddp)
        says(name, got, "graph", "no" if mode == "fsdp" else "yes")
    # Weights travel as what they are computed with: half the bytes, and no bit is another.
    low = run(work, "ddp bf16", "cuda", 2, "--mode", "ddp", "--precision", "bf16", *options, gpus=2)
    for seed, more in ((9, []), (10, ["--reshard-after-forward", "off"])):
        same(f"fsdp in bf16 {' '.join(more)}: the bits of ddp",
             run(work, f"fsdp bf16 {seed}", "cuda", 2, "--mode", "fsdp", "--precision", "bf16", *more, seed=seed, gpus=2, order="late"), low)
    grouped = run(work, "fsdp in groups", "cuda", 4, "--mode", "fsdp", "--shard-within", "2", seed=6, gpus=4)
    follows("fsdp in groups follows cpu", grouped, want)
    for seed, more in ((7, []), (8, ["--no-graph"])):
        name = f"zero1 in groups {' '.join(more)}"
        got = run(work, name, "cuda", 4, "--mode", "zero1", "--shard-within", "2", *options[2:], *more, seed=seed, gpus=4, order="late")
        same(f"{name}: the bits of fsdp in groups", got, grouped)
        says(name, got, "graph", "no" if more else "yes")


def strict(work, want):
    """Lanes of 2 images, of 1 in the short last batch."""
    columns = ["parameters_hash", "plan_id", "final_train_loss", "final_test_loss"]
    alone = run(work, "strict", "cuda", 1, "--mode", "single", "--strict", "--strict-cost", "on")
    follows("strict single follows cpu", alone, want)
    says("strict single", alone, "graph", "yes")
    expected = [alone[1][column] for column in columns] if alone[0] else None
    for count, gpus, *more in ((2, 2, "--strict-cost", "on"), (4, 4), (4, 1), (2, 2, "--no-graph")):
        where = "on one GPU" if gpus < count else "with a GPU each"
        name = f"strict ddp at {count} ranks {where} {' '.join(more)}"
        options = ["--mode", "ddp", "--strict", "--bucket-mb", "0.3", *more] + (["--share-gpu"] if gpus < count else [])
        got = run(work, name, "cuda", count, *options, seed=count, gpus=gpus)
        found = [got[1][column] for column in columns] if got[0] else got[1]
        check(f"{name} has the same bits", found == expected and found, f"{found} against {expected}")
        if count > 1:
            says(name, got, "communication", "mpi" if gpus < count else "nccl")
    several_ranks(work, "several of strict ddp", "--strict", "--lanes", "4")
    losses, row = run(work, "strict bf16", "cuda", 1, "--mode", "single", "--strict", "--precision", "bf16")
    two = run(work, "strict bf16 2", "cuda", 2, "--mode", "ddp", "--strict", "--precision", "bf16", gpus=2)
    check("bf16: the same bits", losses and two[0] and two[1]["parameters_hash"] == row["parameters_hash"],
          f"{row} against {two[1]}")
    plain, row = run(work, "plain", "cuda", 1, "--mode", "single")
    check("without --strict the bits are others", plain and row["parameters_hash"] != expected[0], f"{row}")


def resnet(work, _):
    """A residual network of 11 million parameters for two steps: batch norms, joins, strides and the mean. What is
    compared of lanes are bits alone, of images as small as can be."""
    for size in "16", "8":
        pack(work, "size " + size, "12", size, "4")
    columns = ["parameters_hash", "final_train_loss", "final_test_loss"]
    options = ["--model", "resnet18-small", "--epochs", "1", "--plan-seconds", "0.001", "--optimizer", "sgd",
               "--learning-rate", "0.001", "--momentum", "0.9"]

    def go(name, device, ranks, *more, **how):
        return run(work, "resnet " + name, device, ranks, *options, *more, **{"data": "size 16", **how})

    def bits(got):
        return [got[1][column] for column in columns] if got[0] else got[1]

    want, why = go("cpu", "cpu", 1, "--mode", "single")
    follows("resnet18-small follows cpu", go("graph", "cuda", 1, "--mode", "single"), want or [why], 5e-5, 5e-4)
    low = go("bf16", "cuda", 1, "--mode", "single", "--precision", "bf16", order="late")
    follows("resnet18-small in bf16 stays near fp32", low, want or [why], 5e-2, 5e-2)
    says("resnet18-small", low, "graph", "yes")
    lanes = ["--strict", "--lanes", "2", "--precision", "fp16"]
    strict_bits = [bits(go(f"strict {ranks}", "cuda", ranks, *lanes, *more, data="size 8", seed=5 + ranks, gpus=ranks))
                   for ranks, *more in ((1, "--mode", "single"), (2, "--mode", "ddp", "--no-graph"))]
    check("resnet18-small, strict in fp16, has the same bits as a graph and at 2 ranks without one",
          isinstance(strict_bits[0], list) and strict_bits[0] == strict_bits[1], f"{strict_bits}")
    synchronised(go, bits)


def synchronised(go, bits):
    """--sync-batchnorm at 2 ranks, as a graph, and launched step by step through pinned memory."""
    want, why = go("cpu 8", "cpu", 1, "--mode", "single", data="size 8")
    own, _ = go("own", "cpu", 2, "--mode", "ddp", data="size 8")
    check("each rank by its own images: other losses",
          want and own and min(abs(own[0] - want[0]), abs(own[1] - want[1])) > 1e-2, f"{own} against {want}")
    sync = go("sync", "cuda", 2, "--mode", "ddp", "--sync-batchnorm", data="size 8", gpus=2)
    follows("--sync-batchnorm at 2 ranks follows one rank of cpu", sync, want or [why], 5e-4, 5e-4)
    says("--sync-batchnorm", sync, "graph", "yes")
    for name, gpus, *more in (("fsdp", 2, "--mode", "fsdp"), ("on one GPU", 1, "--mode", "ddp", "--share-gpu")):
        found = bits(go(f"sync {name}", "cuda", 2, "--sync-batchnorm", *more, data="size 8", seed=len(name), gpus=gpus,
                        order="late"))
        check(f"--sync-batchnorm, {name}: the same bits", isinstance(found, list) and found == bits(sync),
              f"{found} against {bits(sync)}")


def vit(work, _):
    """A vision transformer of 5 million parameters for two steps, of images of four patches."""
    pack(work, "size 8", "12", "8", "4")
    options = ["--mode", "single", "--model", "vit-ti16", "--patch", "4", "--epochs", "1", "--plan-seconds", "0.001", "--learning-rate", "0.0003"]

    def go(name, device, *more, **how):
        return run(work, "vit " + name, device, 1, *options, *more, data="size 8", **how)

    want, why = go("cpu", "cpu")
    follows("vit-ti4 follows cpu", go("graph", "cuda"), want or [why], 5e-5, 5e-4)
    low = go("bf16", "cuda", "--precision", "bf16", order="late")
    follows("vit-ti4 in bf16 stays near fp32", low, want or [why], 5e-2, 5e-2)
    says("vit-ti4", low, "graph", "yes")


def brief(work, want):
    """Each way through the host's code once, for a sanitised build, in which a run takes three times as long."""
    graph = run(work, "graph", "cuda", 1, "--mode", "single", seed=3, order="late")
    follows("single as a graph follows cpu", graph, want)
    same("single without a graph has the same bits",
         run(work, "no graph", "cuda", 1, "--mode", "single", "--no-graph"), graph)
    for name, gpus, *options in (
            ("ddp", 2, "--mode", "ddp", "--factor-comm", "on"), ("ddp on one GPU", 1, "--mode", "ddp", "--share-gpu"),
            ("dp", 2, "--mode", "dp"), ("strict ddp", 2, "--mode", "ddp", "--strict")):
        got = run(work, name, "cuda", 2, *options, "--bucket-mb", "0.3", seed=gpus, gpus=gpus)
        follows(f"{name} at 2 ranks follows cpu", got, want)
        says(name, got, "communication", "mpi" if gpus == 1 else "nccl")
    follows("bf16 in micro-batches, ddp at 2 ranks, stays near fp32",
            run(work, "bf16", "cuda", 2, "--mode", "ddp", "--precision", "bf16", "--accumulate", "2", gpus=2), want, 3e-2, 0.3)
    got = run(work, "several", "cuda", 1, "--mode", "single", "--augment", "crop-flip", "--global-batch", "2",
              "--certificate-every", "6", data="more", step_log=False)
    says("several", got, "graph_steps", "8")
    check("several steps a graph", got[0] is not None, got[1])


if not shutil.which("mpirun"):
    print("1..0 # SKIP mpirun is not installed")
    sys.exit(0)
with tempfile.TemporaryDirectory() as folder:
    for data, images in ("data", "44"), ("more", "76"):
        pack(folder, data, images, "8")
    reference, reason = run(folder, "cpu", "cpu", 1, "--mode", "single")
    if reference is None:
        raise SystemExit(f"Bail out! {reason}")
    check("cpu's own run has 12 steps and 2 epochs", len(reference) == 14, f"{reference}")
    {"single": single, "precisions": precisions, "ranks": ranks, "sharded": sharded, "strict": strict, "resnet": resnet, "vit": vit,
     "brief": brief}[part](folder, reference)
sys.exit(tap.done())
