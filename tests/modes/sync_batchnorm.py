#!/usr/bin/env python3
"""--sync-batchnorm: batch norms of all ranks normalise by the images of all of them, so a step of 2 or 4 ranks
is that of one rank with the whole batch: losses, gradients and running statistics, within fp32's rounding, also
where a rank has no image of a batch. Without it they differ. What cannot have it says why.

usage: sync_batchnorm.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)"""
import array
import csv
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile

import kit

lockstep = os.path.abspath(sys.argv[1])
kit.need_mpirun()
kit.ENVIRONMENT["OMP_WAIT_POLICY"] = "passive"
tap = kit.Tap()
RATE = 0.5
MODEL = ["--model", "resnet18-small", "--optimizer", "sgd", "--certificate", "off", "--tensorboard", "off"]
SYNC = ["--mode", "ddp", "--sync-batchnorm"]
LARGEST = 200000  # elements of a tensor that is compared: all kinds are among them


def train(work, name, ranks, *options, rate=RATE, data="one", batch=16, **how):
    folder = os.path.join(work, name)
    steps, _ = kit.train(lockstep, os.path.join(work, data), folder, ranks, *MODEL, "--global-batch", str(batch),
                              "--learning-rate", str(rate), *options, epochs=1, **how)
    return folder, steps


def tensors(work, name, ranks, *options, **how):
    """Those of the step's end by their names, and the loss of the step."""
    folder, steps = train(work, name, ranks, *options, "--checkpoint-every", "epoch", **how)
    path = os.path.join(work, name + ".safetensors")
    subprocess.run([lockstep, "checkpoint", "export", os.path.join(folder, "checkpoints"), path], check=True, capture_output=True)
    with open(path, "rb") as file:
        names = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    found = {}
    for tensor, about in names.items():
        if about.get("dtype") == "F32" and math.prod(about["shape"]) <= LARGEST:
            found[tensor] = array.array("f")
            found[tensor].frombytes(data[slice(*about["data_offsets"])])
    os.unlink(path)
    return found, steps[0]


def apart(got, want, own, whole):
    """How far gradients (the median tensor) and running statistics (the worst) of `got` and `want` are from each other,
    over how far a rank's own statistics bring them away. Of gradients a ReLU whose input is within rounding of 0 moves
    more than rounding: of these images each of the last layers has a value a channel."""
    found = {name: math.dist(got[name], want[name]) / math.dist(own[name], whole[name]) for name in want}
    return (statistics.median(value for name, value in found.items() if ".running_" not in name),
            max(value for name, value in found.items() if ".running_" in name))


def summary(work, name):
    with open(os.path.join(work, name, "summary.csv"), newline="", encoding="utf-8") as file:
        return next(csv.DictReader(file))


def one_step(work):
    whole, loss = tensors(work, "whole", 0)
    tap.check("tensors of all kinds are compared", len(whole) > 80 and {"conv1.weight", "bn1.weight", "bn1.bias", "fc.weight",
              "layer4.1.bn2.weight", "layer4.1.bn2.running_var"} <= set(whole), sorted(whole))
    own, its_loss = tensors(work, "own", 2, "--mode", "ddp")
    same = [name for name in whole if math.dist(own[name], whole[name]) < 1e-4 * math.hypot(*whole[name])]
    tap.check("each by its own images: another loss, other tensors", abs(its_loss - loss) > 1e-3 * loss and not same,
              (its_loss, loss, same))
    # Of ref no more than the order of sums in double is another; cpu's products are others for other batches.
    of_ref, ref_loss = tensors(work, "ref", 0, device="ref")
    for device, ranks, to, wanted, limit in (("ref", 2, of_ref, ref_loss, 2e-3), ("cpu", 4, whole, loss, 0.25)):
        got, its_loss = tensors(work, f"{device}{ranks}", ranks, *SYNC, device=device)
        found = apart(got, to, own, whole)
        tap.check(f"{device}, {ranks} ranks: the loss, the gradients and running statistics of one rank's step",
                  abs(its_loss - wanted) < 1e-5 * wanted and found[0] < limit and found[1] < 1e-3, (its_loss, wanted, found))
    train(work, "sharded", 4, "--mode", "fsdp", "--sync-batchnorm")
    hashes = [summary(work, name)["parameters_hash"] for name in ("sharded", "cpu4")]
    tap.check("fsdp has ddp's bits", hashes[0] == hashes[1] != "", hashes)
    train(work, "alone", 0, "--sync-batchnorm")
    alone, before = summary(work, "alone"), summary(work, "whole")
    tap.check("one rank: no bit is another", alone["parameters_hash"] == before["parameters_hash"] != "", alone["parameters_hash"])
    tap.check("the summary says what it was", [alone["sync_batchnorm"], before["sync_batchnorm"]] == ["1", "0"], alone)


def short_batches(work):
    """The last batch has 3 images: of 4 ranks one has none, in parts of a step more of them."""
    how = {"data": "short", "rate": 1e-3}
    _, want = train(work, "long", 0, **how)
    _, own = train(work, "long-own", 2, "--mode", "ddp", **how)
    _, got = train(work, "long4", 4, *SYNC, **how)
    tap.check("4 ranks, a last batch of 3 images: the losses of one rank", len(want) == 3 and
              abs(got[0] - want[0]) < 2e-5 and 1e-2 < kit.apart(own, want) > 4 * kit.apart(got, want), (got, want, own))
    _, got = train(work, "parts", 2, *SYNC, "--accumulate", "2", **how)
    tap.check("2 ranks, in micro-batches", len(got) == 3 and all(math.isfinite(loss) for loss in got), got)


def refusals(work):
    for name, ranks, options, words in (
            ("dp", 2, ["--mode", "dp"], "--sync-batchnorm belongs to --mode single, ddp, zero1, zero2 and fsdp; found it with --mode dp"),
            ("strict", 2, ["--mode", "ddp", "--strict", "--lanes", "2"], "--sync-batchnorm and --strict"),
            ("a model without", 2, ["--mode", "ddp", "--model", "cnn"], "this model has no batch norm")):
        done = kit.attempt(lockstep, os.path.join(work, "one"), os.path.join(work, "refused"), ranks, *MODEL, "--sync-batchnorm",
                           "--global-batch", "16", *options)
        lines = [line for line in done.stderr.splitlines() if line.startswith("lockstep:")]
        tap.check(f"{name}: refused in one line", done.returncode == 2 and len(lines) == 1 and words in lines[0],
                  f"{done.returncode}: {done.stderr}")


with tempfile.TemporaryDirectory(prefix="lockstep-sync-") as folder:
    kit.pack(lockstep, os.path.join(folder, "one"), 16, "--test-images", "16", "--size", "8")
    kit.pack(lockstep, os.path.join(folder, "short"), 35, "--test-images", "16", "--size", "16")
    one_step(folder)
    short_batches(folder)
    refusals(folder)
sys.exit(tap.done())
