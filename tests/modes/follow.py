#!/usr/bin/env python3
"""dp and ddp at 1 to 4 ranks follow single's loss, step by step, at the same global batch; ddp also
with linear layers exchanged as factors.

usage: follow.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)

Floating-point order is all that may differ, so the first steps agree to a few units in the last
place and the drift stays small over the run. Batches of 24: of 105 images the last batch of 9 is
ragged, and of 49 the last is 1 image, the third step's, so all ranks but one have none of it while
the limit is still the tight one. Every number of ranks is tried on the first, with Adam.
"""
import os
import sys
import tempfile

import kit

lockstep = sys.argv[1]
kit.need_mpirun()
tap = kit.Tap()

with tempfile.TemporaryDirectory() as work:
    for images, batch in ((105, 24), (49, 24)):
        # A network of a quarter of the parameters, whose updates are most of a short run's time.
        data = kit.pack(lockstep, os.path.join(work, f"data{images}"), images, "--test-images", "50", "--size", "16")
        for optimizer in (["--optimizer", "adam"],
                          ["--optimizer", "sgd", "--learning-rate", "0.01", "--momentum", "0.9"]):
            rule = optimizer[1]
            every = rule == "adam" and images == 105
            options = ["--global-batch", str(batch), *optimizer]
            single = os.path.join(work, f"single-{images}-{rule}")
            want, want_epochs = kit.train(lockstep, data, single, 0, "--mode", "single", *options)
            expected = 2 * -(-images // batch)
            tap.check(f"single, {rule}, {images} images: {expected} steps and a falling loss",
                  len(want) == expected and min(want[-3:]) < want[0], f"{want}")
            for mode, factors in (("ddp", "off"), ("dp", "off"), ("ddp", "on")):
                if factors == "on" and (rule == "sgd" or images == 105):
                    continue
                tried = ((1, 2, 3, 4) if every else (3, 4) if factors == "on"
                         else (2,) if images == 49 and rule == "sgd" else (4,))
                for ranks in tried:
                    results = os.path.join(work, f"{mode}{ranks}-{images}-{rule}-{factors}")
                    got, epochs = kit.train(lockstep, data, results, ranks, "--mode", mode,
                                            "--bucket-mb", str(0.3 * ranks), "--factor-comm",
                                            factors, *options)
                    early = max(abs(a - b) for a, b in zip(got[:3], want[:3]))
                    late = max(abs(a - b) for a, b in zip(got, want))
                    same = [abs(float(a["test_loss"]) - float(b["test_loss"]))
                            for a, b in zip(epochs, want_epochs)]
                    how = ", factors" if factors == "on" else ""
                    tap.check(f"{mode}{how} at {ranks} ranks follows single, {rule}, {images} images",
                          len(got) == len(want) and early < 2e-5 and late < 5e-3
                          and max(same) < 5e-3,
                          f"first steps differ by {early}, all by {late}, test loss by {same}")
sys.exit(tap.done())
