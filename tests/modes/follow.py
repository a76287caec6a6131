#!/usr/bin/env python3
"""dp and ddp at 1 to 4 ranks follow single's loss, step by step, at the same global batch.

usage: follow.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)

Floating-point order is all that may differ, so the first steps agree to a few units in the last
place and the drift stays small over the run. 201 images in batches of 24: the last batch of 9 is
ragged, and with 4 ranks and a last batch of 1 (97 images) three ranks have none of it.
"""
import csv
import os
import shutil
import subprocess
import sys
import tempfile

lockstep = sys.argv[1]
if not shutil.which("mpirun"):
    print("mpirun is not installed")
    sys.exit(77)
environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   CUDA_VISIBLE_DEVICES="")
failures = cases = 0


def train(work, data, name, ranks, *options):
    results = os.path.join(work, name)
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks else []
    command += [lockstep, "train", "--data", data, "--device", "cpu", "--epochs", "2", "--seed", "5",
                "--threads", "1", "--oversubscribe", "--step-log", "--results", results, *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    if done.returncode:
        raise SystemExit(f"Bail out! {' '.join(command)}: {done.returncode}\n{done.stderr}")
    with open(os.path.join(results, "steps.csv"), newline="") as file:
        steps = [float(row["loss"]) for row in csv.DictReader(file)]
    with open(os.path.join(results, "epochs.csv"), newline="") as file:
        epochs = list(csv.DictReader(file))
    return steps, epochs


def check(name, good, why):
    global failures, cases
    cases += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {cases} - {name}" + ("" if good else f"\n# {why}"))


with tempfile.TemporaryDirectory() as work:
    for images, batch in ((201, 24), (97, 24)):
        data = os.path.join(work, f"data{images}")
        subprocess.run([lockstep, "pack", "synthetic", data, "--images", str(images),
                        "--test-images", "50", "--seed", "3"], check=True, capture_output=True)
        for optimizer in (["--optimizer", "adam"],
                          ["--optimizer", "sgd", "--learning-rate", "0.01", "--momentum", "0.9"]):
            rule = optimizer[1]
            options = ["--global-batch", str(batch), *optimizer]
            want, want_epochs = train(work, data, f"single-{images}-{rule}", 0, "--mode", "single",
                                      *options)
            expected = 2 * -(-images // batch)
            check(f"single, {rule}, {images} images: {expected} steps and a falling loss",
                  len(want) == expected and min(want[-3:]) < want[0], f"{want}")
            for mode in ("ddp", "dp"):
                for ranks in (1, 2, 3, 4):
                    if rule == "sgd" and ranks in (1, 3):
                        continue
                    got, epochs = train(work, data, f"{mode}{ranks}-{images}-{rule}", ranks,
                                        "--mode", mode, "--bucket-mb", str(0.3 * ranks), *options)
                    early = max(abs(a - b) for a, b in zip(got[:3], want[:3]))
                    late = max(abs(a - b) for a, b in zip(got, want))
                    same = [abs(float(a["test_loss"]) - float(b["test_loss"]))
                            for a, b in zip(epochs, want_epochs)]
                    check(f"{mode} at {ranks} ranks follows single, {rule}, {images} images",
                          len(got) == len(want) and early < 2e-5 and late < 5e-3
                          and max(same) < 5e-3,
                          f"first steps differ by {early}, all by {late}, test loss by {same}")
print(f"1..{cases}")
sys.exit(failures != 0)
