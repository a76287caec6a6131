#!/usr/bin/env python3
"""A vision transformer in each mode, with dropout and stochastic depth: what these leave out is the same
at any number of ranks, lanes and micro-batches.

 - dp and ddp at 2 ranks and micro-batches follow single step by step; other draws do not.
 - --strict: the same bits at 1, 2 and 4 ranks, with micro-batches too; certificates say so.
 - a run that goes on from a checkpoint ends with the bits of one that was not interrupted, mixup and CutMix
   included.
 - a profile names its layers, and the forecast takes it.

usage: vit.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)

Images of 16 pixels in patches of 8: five tokens. 4 steps of 12 images, and of 8 at the end.
"""
import csv
import os
import shutil
import subprocess
import sys
import tempfile

import kit

lockstep = os.path.abspath(sys.argv[1])
kit.need_mpirun()
kit.ENVIRONMENT["OMP_WAIT_POLICY"] = "passive"  # threads that spin take the cores from each other
tap = kit.Tap()
MODEL = ["--model", "vit-ti16", "--patch", "8", "--global-batch", "12", "--optimizer", "adamw",
         "--learning-rate", "1e-4", "--clip-norm", "1"]
DROPS = ["--dropout", "0.2", "--drop-path", "0.3"]
# Two gradients that differ by rounding go apart by this in 4 steps of Adam; other draws by 100 times as much.
NEAR = 1e-3


def losses(name, ranks, *options):
    return kit.train(lockstep, data, name, ranks, *MODEL, *options, epochs=1)[0]


def same_losses(title, got, want):
    tap.check(title, kit.apart(got, want) < NEAR, f"{got} against {want}")


def of_draws():
    one = losses("single", 0, *DROPS)
    same_losses("ddp at 2 ranks leaves out what single does", losses("ddp", 2, "--mode", "ddp", *DROPS), one)
    same_losses("dp at 2 ranks does, too", losses("dp", 2, "--mode", "dp", *DROPS), one)
    same_losses("and 3 micro-batches", losses("micro", 0, "--accumulate", "3", *DROPS), one)
    for title, options in ("none", []), ("stochastic depth alone", DROPS[2:]), ("dropout alone", DROPS[:2]):
        tap.check(f"{title} is another training", kit.apart(losses(title.split()[0], 0, *options), one) > 10 * NEAR,
                  f"{one}")


def summary(name):
    with open(os.path.join(name, "summary.csv"), newline="") as file:
        return next(csv.DictReader(file))


def of_strict():
    wholes = {}
    for parts in "1", "2":
        for ranks in 0, 2, 4:
            name = f"strict{ranks}-{parts}"
            losses(name, ranks, "--mode", "ddp" if ranks else "single", "--strict", "--lanes", "4",
                   *(["--accumulate", parts] if parts != "1" else []), *DROPS)
            found = [summary(name)[column] for column in ("parameters_hash", "plan_id", "final_train_loss")]
            if ranks == 0:
                wholes[parts] = found
            else:
                tap.check(f"strict, {ranks} ranks, {parts} micro-batch(es): the same bits",
                          found == wholes[parts] and found[0], f"{found} against {wholes[parts]}")
    said = subprocess.run([lockstep, "report", "--certify", "strict0-1", "strict2-1", "strict4-1"],
                          capture_output=True, text=True)
    tap.check("certificates say so", said.returncode == 0, said.stdout + said.stderr)


def of_resume():
    options = ["--checkpoint-every", "2", "--keep", "9", "--mixup", "0.8", "--cutmix", "1", *DROPS]
    losses("whole", 0, *options)
    saved = sorted(name for name in os.listdir("whole/checkpoints") if os.path.isdir(f"whole/checkpoints/{name}"))
    shutil.copytree(f"whole/checkpoints/{saved[0]}", f"resumed/checkpoints/{saved[0]}")
    with open("resumed/checkpoints/last", "w", encoding="ascii") as file:
        file.write(f"{saved[0]}\n")
    losses("resumed", 0, *options)
    found = [[summary(name)[column] for column in ("parameters_hash", "final_train_loss", "attempts")]
             for name in ("whole", "resumed")]
    tap.check("a run that goes on has the bits of the whole one", found[0][:2] == found[1][:2] and found[0][0],
              f"{found}")


def of_profile():
    losses("profiled", 0, "--profile", "2", *DROPS)
    with open("profiled/layers.csv", newline="") as file:
        layers = {row["layer"] for row in csv.DictReader(file)}
    wanted = {"patch_embed", "embedding", "pos_drop", "blocks.0.norm1", "blocks.3.attn", "blocks.11.mlp.fc1",
              "blocks.1.drop_path1", "blocks.11.mlp.drop2", "pool", "norm", "head"}
    tap.check("a profile names its layers", wanted <= layers, f"{sorted(wanted - layers)} are not there")
    said = subprocess.run([lockstep, "forecast", "profiled", "--preset", "1gbe"], capture_output=True, text=True)
    tap.check("the forecast takes it", said.returncode == 0 and "vit-ti8" in said.stdout, said.stdout + said.stderr)


with tempfile.TemporaryDirectory() as work:
    data = kit.pack(lockstep, os.path.join(work, "data"), 12 * 3 + 8, "--size", "16", "--test-images", "5")
    os.chdir(work)
    of_draws()
    of_strict()
    of_resume()
    of_profile()
sys.exit(tap.done())
