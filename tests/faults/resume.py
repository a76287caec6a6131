#!/usr/bin/env python3
"""Going on from checkpoints of every kind: the bits are those of the run that was not interrupted, files go on
without a gap, and what does not fit is refused by name.

usage: resume.py LOCKSTEP"""
import csv
import os
import shutil
import subprocess
import sys
import tempfile

import faults

lockstep = os.path.abspath(sys.argv[1])
faults.kit.need_mpirun()
tap = faults.kit.Tap()
scratch = tempfile.mkdtemp(prefix="lockstep-resume-")
# 5 batches an epoch, the last one short.
data = faults.kit.pack(lockstep, os.path.join(scratch, "data"), 150, "--test-images", "40", "--size", "8", "--shards", "1")
other = faults.kit.pack(lockstep, os.path.join(scratch, "other"), 150, "--test-images", "40", "--size", "8", "--shards", "2")
LOSS_LIST = ["--step-log"]


def at(name):
    return os.path.join(scratch, name)


def run(name, ranks, *options, data=data, **how):
    return faults.finish(faults.start(faults.command(lockstep, data, at(name), ranks, *options, **how)))


def must(name, ranks, *options, **how):
    code, out, error = run(name, ranks, *options, **how)
    if code:
        raise SystemExit(f"Bail out! {name}: {code}\n{out[-500:]}\n{error}")
    return faults.result(at(name))


def same(what, found, expected):
    tap.check(what, found == expected, f"{found} is not {expected}")


def lines(name, file):
    with open(os.path.join(at(name), file), encoding="utf-8") as text:
        return text.read().splitlines()


def epoch_lines(name):
    return [line.split()[0] for line in lines(name, "log.txt")
            if len(line.split()) > 8 and line.split()[0].isdigit() and "checkpoint" not in line]


# At each step, but where the save before it is still being written.
SAVED = ["--checkpoint-every", "1", "--keep", "1000"]
summary, whole = must("whole", 2, *LOSS_LIST)
folder = os.path.join(at("saved"), "checkpoints")
summary, found = must("saved", 2, *LOSS_LIST, *SAVED)
same("saving changes no bit", found, whole)
names = sorted(name for name in os.listdir(folder) if name.startswith("step-"))
tap.check("there are checkpoints in epochs and at the end", "step-0000000010" in names and
          any(int(name[5:]) % 5 for name in names), names)
tap.check("the summary counts them", int(summary["checkpoints"]) == len(names) and summary["attempts"] == "1"
          and float(summary["checkpoint_bytes"]) > 1e6, (summary["checkpoints"], names))

# From six of them, so that each number of ranks goes on twice.
for index, name in enumerate(names[::max(1, len(names) // 6)][:6]):
    ranks = (1, 4, 2)[index % 3]
    summary, found = must("from", ranks, *LOSS_LIST, "--resume", os.path.join(folder, name))
    same(f"from {name} on {ranks}", found, whole)
    tap.check(f"from {name}: no row is lost or doubled",
              len(lines("from", "steps.csv")) == 11 and lines("from", "certificate.csv") == lines("whole", "certificate.csv")
              and summary["attempts"] == "2" and summary["steps"] == "10", (len(lines("from", "steps.csv")), summary["steps"]))
    if ranks == 2:
        same(f"from {name}: the losses of all steps", lines("from", "steps.csv"), lines("whole", "steps.csv"))
    shutil.rmtree(at("from"))

# Back to an older one, in the run's own folder: what is saved then is the newest.
shutil.copytree(at("saved"), at("back"))
os.unlink(os.path.join(at("back"), "summary.csv"))
summary, found = must("back", 2, *LOSS_LIST, *SAVED[:2], "--keep", "1", "--resume", os.path.join(at("back"), "checkpoints", names[0]))
same("from an older one to the same bits", found, whole)
with open(os.path.join(at("back"), "checkpoints", "last"), encoding="ascii") as file:
    last = file.read().strip()
left = sorted(name for name in os.listdir(os.path.join(at("back"), "checkpoints")) if name.startswith("step-"))
tap.check("what it saved is newer than what was there", left == [last], (last, left, names))

# The end, and beyond it.
code, out, error = run("saved", 2, *LOSS_LIST, *SAVED)
tap.check("after its end a run says that it is done", code == 0 and "nothing to do" in out, f"{code}: {out}{error}")
summary, longer = must("longer", 1, *LOSS_LIST, epochs=3)
summary, found = must("saved", 4, *LOSS_LIST, *SAVED, epochs=3)
same("with more epochs it goes on", found, longer)
tap.check("and its log has each epoch once", epoch_lines("saved") == ["1", "2", "3"], lines("saved", "log.txt"))

# Damage.
names = sorted(name for name in os.listdir(folder) if name.startswith("step-"))
shutil.copytree(at("saved"), at("damaged"))
os.unlink(os.path.join(at("damaged"), "summary.csv"))
part = os.path.join(at("damaged"), "checkpoints", names[-1], "part-00000.h5")
with open(part, "r+b") as file:
    file.seek(os.path.getsize(part) // 2)
    byte = file.read(1)
    file.seek(-1, os.SEEK_CUR)
    file.write(bytes([byte[0] ^ 1]))
manifest = os.path.join(at("damaged"), "checkpoints", names[-2], "manifest.h5")
os.truncate(manifest, 1000)
summary, found = must("damaged", 2, *LOSS_LIST, epochs=3)
same("past two damaged checkpoints to the one before", found, longer)
tap.check("both are named", all(any("passed over" in line and name in line for line in lines("damaged", "log.txt"))
                                for name in names[-2:]), lines("damaged", "log.txt"))
shutil.copytree(at("saved"), at("hopeless"))
for name in names:
    os.truncate(os.path.join(at("hopeless"), "checkpoints", name, "manifest.h5"), 0)
code, out, error = run("hopeless", 2, *LOSS_LIST, epochs=3)
tap.check("where none is whole nothing begins anew in silence", code == 2 and "--resume none" in error and
          len(error.strip().splitlines()) >= 1, f"{code}: {error}")
code, out, error = run("nowhere", 1, "--resume", at("nothing"))
tap.check("a checkpoint that is not there is refused", code == 2 and at("nothing") in error, f"{code}: {error}")

# What must not differ.
middle = os.path.join(folder, next(name for name in names if name not in ("step-0000000005", "step-0000000010", "step-0000000015")))
for option, arguments in {"seed": ["--seed", "9"], "optimizer": ["--optimizer", "sgd"],
                          "learning-rate": ["--learning-rate", "0.01"], "global-batch": ["--global-batch", "16"],
                          "lanes": ["--lanes", "8"], "augment": ["--augment", "crop-flip"]}.items():
    code, out, error = run("refused", 1, *LOSS_LIST, "--resume", middle, *arguments)
    tap.check(f"another --{option} is refused by name", code == 2 and f"--{option}" in error, f"{code}: {error}")
code, out, error = run("refused", 1, *LOSS_LIST, "--resume", middle, data=other)
tap.check("another data set is refused by name", code == 2 and "--data" in error, f"{code}: {error}")
summary, found = must("allowed", 1, *LOSS_LIST, "--resume", middle, "--learning-rate", "0.01", "--allow", "seed,learning-rate")
tap.check("--allow takes what it names, and says so", found != whole and
          any("learning-rate" in line and "--allow" in line for line in lines("allowed", "log.txt")), lines("allowed", "log.txt"))
code, out, error = run("refused", 1, *LOSS_LIST, "--resume", middle, "--global-batch", "16", "--allow", "global-batch")
tap.check("no other order of images in the middle of an epoch", code == 2 and "middle of epoch" in error, f"{code}: {error}")
code, out, error = run("refused", 1, "--checkpoint-every", "5x")
tap.check("--checkpoint-every says what it expects", code == 2 and "5x" in error, f"{code}: {error}")

# Other states: average, loss scaling, modes that share the update out or keep it on rank 0.
KINDS = {"ema": (["--ema", "0.9"], True, (2, 1), "ddp"),
         "clipping": (["--clip-norm", "1"], True, (4, 2), "ddp"),
         "bf16": (["--precision", "bf16"], True, (2, 4), "ddp"),
         "not strict": (["--bucket-mb", "4", "--factor-comm", "off"], False, (2, 2), "ddp"),
         "not strict, 4 ranks": (["--bucket-mb", "4", "--factor-comm", "off"], False, (4, 4), "ddp"),
         "dp": ([], False, (2, 2), "dp"),
         "sgd": (["--optimizer", "sgd", "--momentum", "0.9"], True, (1, 2), None)}
for name, (options, strict, (before, after), mode) in KINDS.items():
    if name == "bf16" and not faults.kit.has_bf16():
        tap.skip(name, "this CPU has no bf16")
        continue

    def made(ranks):
        return {"strict": strict, "mode": mode if ranks > 1 else None}
    summary, whole_kind = must("kind-whole", after, *options, **made(after))
    must("kind", before, *options, "--checkpoint-every", "3", "--keep", "9", **made(before))
    there = os.path.join(at("kind"), "checkpoints", "step-0000000003")
    summary, found = must("kind-from", after, *options, "--resume", there, **made(after))
    same(f"{name}: saved on {before}, on to the same bits on {after}", found, whole_kind)
    for each in ("kind-whole", "kind", "kind-from"):
        shutil.rmtree(at(each))

# A folder that goes away while a run saves into it: the run goes on, and what was saved stays good.
summary, undisturbed = must("undisturbed", 2, epochs=4)
process = faults.start(faults.command(lockstep, data, at("vanished"), 2, "--checkpoint-every", "1", epochs=4))
there = os.path.join(at("vanished"), "checkpoints")
faults.wait_for(lambda: os.path.exists(os.path.join(there, "last")))
os.rename(there, at("moved"))
code, out, error = faults.finish(process)
tap.check("without its folder a run goes on, and says that it saves nothing", code == 0 and "was not saved" in out and
          faults.result(at("vanished"))[1] == undisturbed, f"{code}: {out[-900:]} {error}")
shown = subprocess.run([lockstep, "checkpoint", "verify", at("moved")], capture_output=True, text=True)
tap.check("what it had saved is whole", shown.returncode == 0 and "verified" in shown.stdout, shown.stderr)

# A report takes a run of several attempts, on one number of ranks or on several.
must("three", 4, "--checkpoint-every", "epoch", epochs=1)
must("three", 2, "--checkpoint-every", "epoch", epochs=2)
must("three", 2, "--checkpoint-every", "epoch", epochs=3)
must("one", 1, epochs=3)
shown = subprocess.run([lockstep, "report", at("one"), at("three")], capture_output=True, text=True)
tap.check("report takes it, and says that it had attempts", shown.returncode == 0 and "attempts" in shown.stdout and
          "Goodput " in shown.stdout,
          f"{shown.returncode}: {shown.stdout[-900:]} {shown.stderr}")

# The best.
must("best", 2, "--best", "loss", "--checkpoint-every", "epoch", epochs=3)
losses = [float(row["test_loss"]) for row in csv.DictReader(lines("best", "epochs.csv"))]
with open(os.path.join(at("best"), "checkpoints", "best"), encoding="ascii") as file:
    named = file.read().strip()
tap.check("best names the epoch of the lowest loss", named == f"step-{5 * (losses.index(min(losses)) + 1):010d}", (named, losses))
shutil.rmtree(scratch)
sys.exit(tap.done())
