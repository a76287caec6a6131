#!/usr/bin/env python3
"""On the emulated cuda device a run goes on from the middle of an epoch to the bits of the run that was not
interrupted: images on the device or fetched by the host, steps recorded alone or several together.

usage: resume.py LOCKSTEP-EMULATED"""
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "faults"))
import faults  # noqa: E402

lockstep = os.path.abspath(sys.argv[1])
faults.kit.need_mpirun()
tap = faults.kit.Tap()
scratch = tempfile.mkdtemp(prefix="lockstep-emulated-resume-")
data = faults.kit.pack(lockstep, os.path.join(scratch, "data"), 99, "--test-images", "20", "--shards", "1", "--size", "8")


def at(name):
    return os.path.join(scratch, name)


def run(name, ranks, strict, *options):
    gpus = ",".join(map(str, range(ranks)))
    command = faults.command(lockstep, data, at(name), ranks, "--plan-cache", at("plans"), *options, strict=strict,
                             device="cuda", batch=8)
    code, out, error = faults.finish(faults.start(command, CUDA_VISIBLE_DEVICES=gpus, LOCKSTEP_EMULATED_GPUS=str(ranks),
                                                  LOCKSTEP_EMULATED_SEED="1", LOCKSTEP_EMULATED_ORDER="random"))
    if code:
        raise SystemExit(f"Bail out! {' '.join(command)}: {code}\n{out[-500:]}\n{error}")
    return faults.result(at(name))[1]


# What is compared to one run that was not interrupted: the same bits come from any way of feeding and launching a
# step, and from any number of strict ranks. (name, options, ranks that saved and that go on)
GROUPS = {"plain": (False, (("resident", [], 1, 1), ("from the host", ["--data-place", "host"], 1, 1),
                            ("without graphs", ["--no-graph"], 1, 1))),
          "fp16": (False, (("fp16", ["--precision", "fp16"], 1, 1),)),
          "strict": (True, (("strict, two ranks", [], 2, 2), ("strict, two ranks and one", [], 2, 1)))}
STEP = 5
for strict, cases in GROUPS.values():
    whole, saved = run("whole", cases[0][3], strict, *cases[0][1]), None
    for name, options, before, after in cases:
        if saved != (options, before):
            shutil.rmtree(at("saved"), ignore_errors=True)
            run("saved", before, strict, *options, "--checkpoint-every", str(STEP), "--keep", "9")
            saved = options, before
        there = os.path.join(at("saved"), "checkpoints", f"step-{STEP:010d}")
        found = run("from", after, strict, *options, "--resume", there)
        tap.check(f"{name}: from step {STEP} to the same bits", found == whole, f"{found} is not {whole}")
        shutil.rmtree(at("from"))
    shutil.rmtree(at("whole"))
    shutil.rmtree(at("saved"))
shutil.rmtree(scratch)
sys.exit(tap.done())
