#!/usr/bin/env python3
"""A model with batch norm (resnet18-small) in every mode: its statistics are each rank's own samples', so at 2
ranks ddp and dp follow a strict run of two lanes, not one of the whole batch; --strict has the same bits, running
statistics included, at 1 and 4 ranks, and at 2 that are killed and go on as 1; the running statistics are what
evaluation reads, and go out to PyTorch's names and in again.

usage: batchnorm.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)
"""
import csv
import json
import os
import shutil
import signal
import struct
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "faults"))
import faults  # noqa: E402

kit = faults.kit
lockstep = os.path.abspath(sys.argv[1])
kit.need_mpirun()
kit.ENVIRONMENT["OMP_WAIT_POLICY"] = "passive"
tap = kit.Tap()
work = tempfile.mkdtemp(prefix="lockstep-batchnorm-")
BATCH = 16
# 2 batches, the last of 8 images: 2 a lane of four.
data = kit.pack(lockstep, os.path.join(work, "data"), BATCH + 8, "--test-images", "8", "--size", "16")
MODEL = ["--model", "resnet18-small", "--optimizer", "sgd", "--learning-rate", "0.02", "--momentum", "0.9"]


def at(name):
    return os.path.join(work, name)


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def losses(name, ranks, *options):
    """Of each step, and the test's of each epoch."""
    steps, epochs = kit.train(lockstep, data, at(name), ranks, *MODEL, "--global-batch", str(BATCH), *options, epochs=1)
    shutil.rmtree(at(name))
    return steps, [float(row["test_loss"]) for row in epochs]


def command(name, ranks, *options):
    return faults.command(lockstep, data, at(name), ranks, *MODEL, *options, batch=BATCH, epochs=1)


def strict(name, ranks, *options):
    code, out, error = faults.finish(faults.start(command(name, ranks, *options)))
    if code:
        raise SystemExit(f"Bail out! {name}: {code}\n{out[-500:]}\n{error}")
    return faults.result(at(name))[1]


def follow():
    lanes = losses("lanes", 0, "--mode", "single", "--strict", "--lanes", "2")
    tap.check("2 steps", len(lanes[0]) == 2, lanes)
    for mode in ("ddp", "dp"):
        got = losses(mode, 2, "--mode", mode)
        apart = kit.apart(got[0], lanes[0]), kit.apart(got[1], lanes[1])
        tap.check(f"{mode} at 2 ranks follows two lanes, in evaluations too", apart[0] < 2e-5 and apart[1] < 5e-3, apart)
    parts = losses("parts", 0, "--mode", "single", "--accumulate", "2")
    tap.check("two micro-batches train as two lanes do", kit.apart(parts[0], lanes[0]) < 2e-5, (parts, lanes))
    whole = losses("whole", 0, "--mode", "single")
    tap.check("a batch as a whole has other statistics", kit.apart(whole[0], lanes[0]) > 1e-3, (whole, lanes))


def bits():
    """At 1 and 4 ranks; then one of 2 that is killed goes on alone."""
    expected = strict("one", 1)
    found = strict("strict4", 4)
    tap.check("strict at 4 ranks: parameters, running statistics and losses of the same bits",
              found == expected and all(expected[:2]), (found, expected))
    hashes = [row["buffers_hash"] for row in rows(at("strict4/certificate.csv")) if row["buffers_hash"]]
    tap.check("the certificate has a hash of the running statistics", len(hashes) == 1, hashes)
    saved = ["--checkpoint-every", "1", "--keep", "100"]
    process = faults.start(command("killed", 2, *saved))
    folder = at("killed/checkpoints")
    seen = faults.wait_for(lambda: os.path.isdir(folder) and any(
        name.startswith("step-") and "." not in name for name in os.listdir(folder)), patience=120)
    for rank in faults.ranks_of(process):
        faults.end(rank, signal.SIGKILL)
    code = faults.finish(process)[0]
    tap.check("a run is killed behind its first checkpoint", seen and code != 0, (seen, code))
    found = strict("killed", 1, *saved)
    tap.check("killed at 2 ranks, gone on with 1: the same bits", found == expected, (found, expected))


def header(path):
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        return json.loads(file.read(length)), length, file.read()


def weights():
    """Out to a file with PyTorch's names and in again: the evaluation is the run's."""
    run = ["checkpoint", "export", at("killed/checkpoints"), at("out.safetensors")]
    done = faults.finish(faults.start([lockstep, *run]))
    names, _, tensors = header(at("out.safetensors"))
    norms = [name for name in names if name.endswith(".running_var")]
    first, last = names["bn1.num_batches_tracked"]["data_offsets"]
    tap.check("exported norms count their batches, as PyTorch's do",
              done[0] == 0 and len(norms) == 20 and names["bn1.num_batches_tracked"]["dtype"] == "I64"
              and names["bn1.num_batches_tracked"]["shape"] == [] and sum(name.endswith(".num_batches_tracked") for name in names) == 20
              and struct.unpack("<q", tensors[first:last])[0] == 2, (done, len(norms)))
    wanted = float(rows(at("killed/summary.csv"))[0]["final_test_loss"])
    code, out, error = faults.finish(faults.start([lockstep, "evaluate", "--data", data, "--from", at("out.safetensors"),
                                                   "--device", "cpu", "--threads", "1"]))
    said = [float(line.split()[-1]) for line in out.splitlines() if line.split()[-2:-1] == ["loss"]]
    tap.check("evaluated from that file: the run's loss", code == 0 and len(said) == 1 and abs(said[0] - wanted) < 1e-5,
              (out, error, wanted))


try:
    follow()
    bits()
    weights()
finally:
    shutil.rmtree(work, ignore_errors=True)
sys.exit(tap.done())
