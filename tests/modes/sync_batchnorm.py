#!/usr/bin/env python3
"""--sync-batchnorm: batch norms of all ranks normalise by the images of all of them, so two steps of 2 or 3 ranks
are those of one rank with the whole batch: losses, gradients and running statistics, within fp32's rounding, also
where a rank has no image of a batch. Without it they differ. What cannot have it says why. (That the op itself has
the gradients of the whole batch, on each device, is tests/unit/device/ops_batchnorm2d.c's.)

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
MODEL = ["--model", "resnet18-small", "--optimizer", "sgd", "--learning-rate", "0.002", "--certificate", "off",
         "--tensorboard", "off"]
SYNC = ["--mode", "ddp", "--sync-batchnorm"]
LARGEST = 200000  # elements of a tensor that is compared: all kinds are among them


def train(work, name, ranks, *options):
    """The losses of a step of 12 images and of one of 2, in which the first of 3 ranks has none."""
    return kit.train(lockstep, os.path.join(work, "data"), os.path.join(work, name), ranks, *MODEL, "--global-batch", "12",
                     *options, epochs=1)[0]


def tensors(work, name, ranks, *options):
    """Those of the run's end by their names, and the losses of its steps."""
    losses = train(work, name, ranks, *options, "--checkpoint-every", "epoch")
    path = os.path.join(work, name + ".safetensors")
    subprocess.run([lockstep, "checkpoint", "export", os.path.join(work, name, "checkpoints"), path], check=True,
                   capture_output=True)
    with open(path, "rb") as file:
        names = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    found = {}
    for tensor, about in names.items():
        if about.get("dtype") == "F32" and math.prod(about["shape"]) <= LARGEST:
            found[tensor] = array.array("f")
            found[tensor].frombytes(data[slice(*about["data_offsets"])])
    os.unlink(path)
    return found, losses


def apart(got, want, own, whole):
    """How far gradients (the median tensor) and running statistics (the worst) of `got` and `want` are from each other,
    over how far a rank's own statistics bring them away. Of gradients a ReLU whose input is within rounding of 0 moves
    more than rounding: of two images a channel of the last layers has eight values."""
    found = {name: math.dist(got[name], want[name]) / math.dist(own[name], whole[name]) for name in want}
    return (statistics.median(value for name, value in found.items() if ".running_" not in name),
            max(value for name, value in found.items() if ".running_" in name))


def summary(work, name):
    with open(os.path.join(work, name, "summary.csv"), newline="", encoding="utf-8") as file:
        return next(csv.DictReader(file))


def two_steps(work):
    whole, losses = tensors(work, "whole", 0, "--sync-batchnorm")
    tap.check("tensors of all kinds are compared", len(whole) > 80 and {"conv1.weight", "bn1.weight", "bn1.bias", "fc.weight",
              "layer4.1.bn2.weight", "layer4.1.bn2.running_var"} <= set(whole), sorted(whole))
    own, its = tensors(work, "own", 2, "--mode", "ddp")
    same = [name for name in whole if math.dist(own[name], whole[name]) < 1e-6 * math.hypot(*whole[name])]
    tap.check("each by its own images: other losses, other tensors",
              min(map(abs, (its[0] - losses[0], its[1] - losses[1]))) > 1e-3 and not same, (its, losses, same))
    got, its = tensors(work, "sync", 3, *SYNC)
    found = apart(got, whole, own, whole)
    tap.check("3 ranks, a last batch of 2 images: the losses, gradients and running statistics of one rank",
              len(its) == 2 and abs(its[0] - losses[0]) < 2e-5 and abs(its[1] - losses[1]) < 1e-3 and found[0] < 0.25
              and found[1] < 1e-2, (its, losses, found))
    train(work, "sharded", 3, "--mode", "fsdp", "--sync-batchnorm")
    hashes = [summary(work, name)["parameters_hash"] for name in ("sharded", "sync")]
    tap.check("fsdp has ddp's bits", hashes[0] == hashes[1] != "", hashes)
    its = train(work, "parts", 2, *SYNC, "--accumulate", "2")
    tap.check("2 ranks, in micro-batches", len(its) == 2 and all(math.isfinite(loss) for loss in its), its)
    train(work, "alone", 0)
    rows = [summary(work, name) for name in ("alone", "whole")]
    tap.check("one rank: no bit is another, and the summary says what it was",
              rows[0]["parameters_hash"] == rows[1]["parameters_hash"] != ""
              and [row["sync_batchnorm"] for row in rows] == ["0", "1"], rows)


def refusals(work):
    for name, options, words in (
            ("dp", ["--mode", "dp"], "; found it with --mode dp, whose replicas normalise by their own"),
            ("strict", ["--mode", "ddp", "--strict", "--lanes", "2"], "--sync-batchnorm and --strict"),
            ("a model without", ["--mode", "ddp", "--model", "cnn"], "this model has no batch norm")):
        done = kit.attempt(lockstep, os.path.join(work, "data"), os.path.join(work, "refused"), 0, *MODEL, "--sync-batchnorm",
                           "--global-batch", "12", *options)
        lines = [line for line in done.stderr.splitlines() if line.startswith("lockstep:")]
        tap.check(f"{name}: refused in one line", done.returncode == 2 and len(lines) == 1 and words in lines[0],
                  f"{done.returncode}: {done.stderr}")


with tempfile.TemporaryDirectory(prefix="lockstep-sync-") as folder:
    kit.pack(lockstep, os.path.join(folder, "data"), 14, "--test-images", "2", "--size", "16")
    two_steps(folder)
    refusals(folder)
sys.exit(tap.done())
