#!/usr/bin/env python3
"""--mixup and --cutmix: what is mixed with what is the same at any number of ranks, lanes and
micro-batches, for each reads the partners that its share lacks.

usage: mixing.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)

Steps of 12 images, 4 of them and one of 7: at 4 ranks, and in 4 lanes or micro-batches, shares of 3 begin and
end at odd places; of the last batch they do at 2 ranks too, and one image of it has no partner.
"""
import csv
import os
import sys
import tempfile

import kit

lockstep = os.path.abspath(sys.argv[1])
kit.need_mpirun()
kit.ENVIRONMENT["OMP_WAIT_POLICY"] = "passive"  # threads that spin take the cores from each other
tap = kit.Tap()
BOTH = ["--mixup", "0.8", "--cutmix", "1", "--label-smoothing", "0.1", "--augment", "crop-flip"]
NEAR = 1e-4  # what another order of sums makes of 5 steps; another mixing a thousand times as much


def losses(name, ranks, *options):
    return kit.train(lockstep, data, name, ranks, "--global-batch", "12", *options, epochs=1)[0]


def summary(name):
    with open(os.path.join(name, "summary.csv"), newline="") as file:
        return next(csv.DictReader(file))


def follows(title, name, one, ranks, *options):
    got = losses(name, ranks, *options)
    tap.check(title, kit.apart(got, one) < NEAR, f"{got} against {one}")


with tempfile.TemporaryDirectory() as work:
    data = kit.pack(lockstep, os.path.join(work, "data"), 12 * 4 + 7, "--size", "8", "--test-images", "5")
    os.chdir(work)
    one = losses("single", 0, *BOTH)
    follows("ddp at 2 ranks mixes as single does", "ddp", one, 2, "--mode", "ddp", *BOTH)
    follows("ddp at 4 ranks, too", "ddp4", one, 4, "--mode", "ddp", *BOTH)
    follows("and dp at 2", "dp", one, 2, "--mode", "dp", *BOTH)
    follows("and 4 micro-batches", "micro", one, 0, "--accumulate", "4", *BOTH)
    others = [losses(f"other{i}", 0, *BOTH[4:], *options)
              for i, options in enumerate(([], BOTH[:2], BOTH[2:4]))]
    for title, got in zip(("nothing mixed", "mixup alone", "CutMix alone"), others):
        tap.check(f"{title} is another training", kit.apart(got, one) > 10 * NEAR, f"{got} against {one}")
    tap.check("the summary says so", summary("single")["augment"] == "crop-flip, mixup 0.8, cutmix 1",
              summary("single")["augment"])
    wanted = None
    for ranks in 0, 2, 4:
        losses(f"strict{ranks}", ranks, "--mode", "ddp" if ranks else "single", "--strict", "--lanes", "4",
               *BOTH)
        found = [summary(f"strict{ranks}")[column] for column in ("parameters_hash", "final_train_loss")]
        wanted = wanted or found
        tap.check(f"strict, {ranks or 1} rank(s): the same bits", found == wanted and found[0], f"{found}")
sys.exit(tap.done())
