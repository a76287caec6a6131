#!/usr/bin/env python3
"""Low precision in training: bf16 and fp16 follow fp32, modes follow single in each, and fp16's loss
scale comes down from an overflow by a decision that all ranks share.

usage: precision.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)

Tolerances. A logit of up to 4 is stored in bf16 with a spacing of 2^-6 (fp16: 2^-9). Against fp32
every stored value on the way is rounded, many errors of random sign: a spacing bounds the first
losses. Modes differ from single in the order of fp32 sums alone: now and then a value is stored a
spacing apart, which moves one sample's loss by as much and a batch's mean by an eighth at most (12
samples or more); parameters drift apart from there, to a spacing over the run.
"""
import functools
import os
import sys
import tempfile

import kit

SPACING = {"bf16": 2.0 ** -6, "fp16": 2.0 ** -9}
lockstep = sys.argv[1]
kit.need_mpirun()
tap = kit.Tap()


@functools.cache
def in_fp32(work, data, device, options):
    """The losses of single's steps; one run serves all precisions that are compared with it."""
    return kit.train(lockstep, data, os.path.join(work, f"{device}-fp32"), 0, *options,
                     device=device)[0]


def follows_fp32(work, data, device, precision, options):
    """Runs single in both precisions; the low one's losses and epochs."""
    base = in_fp32(work, data, device, options)
    steps, epochs = kit.train(lockstep, data, os.path.join(work, f"{device}-{precision}"), 0,
                              "--precision", precision, *options, device=device)
    tap.check(f"{device}: {precision} follows fp32, and is not fp32",
              kit.apart(steps[:3], base[:3]) < SPACING[precision] and steps != base,
              f"fp32 {base}, {precision} {steps}")
    return steps, epochs


def modes_follow(work, data, device, precision, options, ranks_of):
    want, want_epochs = follows_fp32(work, data, device, precision, options)
    for mode, ranks_list in ranks_of.items():
        for ranks in ranks_list:
            factors = "on" if mode == "ddp" and ranks in (2, 3) else "off"
            got, epochs = kit.train(
                lockstep, data, os.path.join(work, f"{device}-{precision}-{mode}{ranks}"), ranks,
                "--mode", mode, "--precision", precision, "--bucket-mb", "0.5",
                "--factor-comm", factors, *options, device=device)
            early, late = kit.apart(got[:3], want[:3]), kit.apart(got, want)
            test = kit.apart([float(row["test_loss"]) for row in epochs],
                             [float(row["test_loss"]) for row in want_epochs])
            tap.check(f"{device} {precision}: {mode} at {ranks} ranks, factors {factors}, follows single",
                      early <= SPACING[precision] / 8 and max(late, test) <= SPACING[precision],
                      f"first steps differ by {early}, all by {late}, test loss by {test}")


def overflow(work, data, options):
    """A learning rate so high that after the first update the loss is in the thousands: gradients
    of a loss scaled by 65536 overflow fp16. Each such update is skipped and halves the scale until
    they fit; parameters stay as they are meanwhile, so the losses stay high; then training goes
    on. How often is a matter of magnitudes, so every mode must skip the same updates."""
    runs = [("single", 0), ("ddp", 2), ("ddp", 4), ("dp", 3)]
    counts = {}
    for mode, ranks in runs:
        steps, epochs = kit.train(lockstep, data, os.path.join(work, f"overflow-{mode}{ranks}"),
                                  ranks, "--mode", mode, "--precision", "fp16", "--factor-comm",
                                  "on" if (mode, ranks) == ("ddp", 4) else "off", *options,
                                  device="ref", epochs=1)
        skipped, scale = int(epochs[0]["skipped_updates"]), float(epochs[0]["loss_scale"])
        stuck = steps[1:2 + skipped]
        counts[mode, ranks] = skipped, scale
        tap.check(f"fp16: {mode}{f' at {ranks} ranks' if ranks else ''} skips updates that overflow, "
                  "halves the scale each time and recovers",
                  skipped > 0 and scale == 65536 / 2 ** skipped
                  and min(stuck) > 100 and min(steps[2 + skipped:]) < min(stuck) / 10,
                  f"{skipped} skipped, scale {scale}, losses {steps}")
    tap.check("fp16: all modes and ranks skip the same updates", len(set(counts.values())) == 1,
              str(counts))


with tempfile.TemporaryDirectory() as work:
    small = kit.pack(lockstep, os.path.join(work, "small"), 29, "--size", "8", "--test-images", "8")
    modes_follow(work, small, "ref", "bf16", ("--global-batch", "12"), {"ddp": [3], "dp": [2]})
    modes_follow(work, small, "ref", "fp16", ("--global-batch", "12"), {"ddp": [2], "dp": [4]})
    more = kit.pack(lockstep, os.path.join(work, "more"), 72, "--size", "8", "--test-images", "8")
    overflow(work, more, ["--global-batch", "12", "--learning-rate", "0.1"])
    # 24, 24 and 1: with 4 ranks three have none of the last batch.
    data = kit.pack(lockstep, os.path.join(work, "data"), 49, "--test-images", "50", "--size", "16")
    if not kit.has_bf16():
        tap.skip("cpu: bf16", "this CPU has no bf16")
    else:
        modes_follow(work, data, "cpu", "bf16", ("--global-batch", "24"),
                     {"ddp": [2, 4], "dp": [3]})
sys.exit(tap.done())
