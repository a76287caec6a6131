#!/usr/bin/env python3
"""--accumulate: a step in micro-batches has the gradient of the whole batch, in every mode, with a
short last batch, also one of fewer images than micro-batches; the samples are the same, and the
memory is less. With --strict each lane adds up its own: the bits are the same on any number of
ranks and threads.

usage: accumulate.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)

Of 105 images in batches of 24 the last has 9, of 73 the last has one: of its micro-batches, or of
all but one rank, nothing is left. The order of sums is all that may differ from the whole batch.
"""
import csv
import os
import subprocess
import sys
import tempfile

import kit

lockstep = sys.argv[1]
kit.need_mpirun()
tap = kit.Tap()
RUNS = [("single", 0, 3), ("ddp", 2, 3), ("single", 0, 2), ("single", 0, 24), ("ddp", 2, 2, "--bucket-mb", "0.3"),
        ("ddp", 3, 8), ("dp", 2, 3), ("dp", 2, 12)]
SGD = ["--optimizer", "sgd", "--learning-rate", "0.01", "--momentum", "0.9"]


def rows(results, file):
    with open(os.path.join(results, file), newline="") as text:
        return list(csv.DictReader(text))


def samples(results):
    return [row["samples_hash"] for row in rows(results, "certificate.csv")]


def follows(work, data, name, want, whole, ranks, *options, limits=(2e-5, 5e-3)):
    results = os.path.join(work, f"run{tap.cases}")
    got, epochs = kit.train(lockstep, data, results, ranks, "--global-batch", "24", *options)
    expected = rows(whole, "epochs.csv")
    early, late = kit.apart(got[:2], want[:2]), kit.apart(got, want)
    tests = kit.apart([float(row["test_loss"]) for row in epochs], [float(row["test_loss"]) for row in expected])
    counted = [(row["images"], row["steps"]) for row in epochs] == [(row["images"], row["steps"]) for row in expected]
    tap.check(name, early < limits[0] and late < limits[1] and tests < limits[1] and counted,
              f"first steps differ by {early}, all by {late}, test loss by {tests}, counted alike: {counted}")
    tap.check(f"{name}: the same samples", samples(results) == samples(whole) and len(samples(whole)) == len(want),
              f"{samples(results)} against {samples(whole)}")
    return results


def short_last_batches(work):
    for images in (105, 73):
        data = kit.pack(lockstep, os.path.join(work, f"data{images}"), images, "--test-images", "50", "--size", "8")
        for rule, options in (("adam", []), ("sgd", SGD)):
            whole = os.path.join(work, f"whole{images}-{rule}")
            want, _ = kit.train(lockstep, data, whole, 0, "--mode", "single", "--global-batch", "24", *options)
            once = kit.train(lockstep, data, whole + "-1", 0, "--mode", "single", "--global-batch", "24",
                             "--accumulate", "1", *options)[0]
            hashes = [rows(folder, "summary.csv")[0]["parameters_hash"] for folder in (whole, whole + "-1")]
            tap.check(f"one micro-batch is the whole batch, {rule}, {images} images",
                      once == want and hashes[0] == hashes[1] and hashes[0], f"{hashes}")
            for mode, ranks, parts, *more in RUNS if rule == "adam" else RUNS[:2]:
                name = f"{mode}, {ranks or 1} ranks, {parts} micro-batches {' '.join(more)}, {rule}, {images} images"
                follows(work, data, name, want, whole, ranks, "--mode", mode, "--accumulate", str(parts), *options,
                        *more)


def strict(work):
    """The lanes of 9 images have 2 or 3, those of one image are empty but for one of them."""
    columns = ["parameters_hash", "plan_id", "final_train_loss", "final_test_loss", "accumulate", "lanes"]
    kit.ENVIRONMENT["OMP_WAIT_POLICY"] = "passive"  # threads that spin take the cores from each other
    for images, more in ((105, ["--augment", "crop-flip"]), (73, SGD)):
        data = os.path.join(work, f"data{images}")
        options = ["--strict", "--lanes", "4", "--accumulate", "3", "--certificate-every", "2", *more]
        whole = os.path.join(work, f"strict-whole{images}")
        want, _ = kit.train(lockstep, data, whole, 0, "--mode", "single", "--global-batch", "24", *more)
        folders, outcomes = [], []
        for ranks, threads, *own in ((0, "1"), (0, "2"), (2, "1"), (2, "2", "--bucket-mb", "0.3"), (4, "1")):
            name = f"strict, {ranks or 1} ranks, {threads} threads {' '.join(own)}, {images} images"
            folder = follows(work, data, name, want, whole, ranks, "--mode", "ddp" if ranks else "single",
                             "--threads", threads, *options, *own)
            row = rows(folder, "summary.csv")[0]
            folders.append(folder)
            outcomes.append([row[column] for column in columns])
            tap.check(f"{name}: the same bits", outcomes[-1] == outcomes[0] and outcomes[0][0], f"{outcomes}")
        certified = subprocess.run([lockstep, "report", "--certify", *folders], capture_output=True, text=True)
        tap.check(f"strict, {images} images: certified", certified.returncode == 0, f"{certified}")
        other = os.path.join(work, f"strict-other{images}")
        kit.train(lockstep, data, other, 0, "--mode", "single", "--global-batch", "24", *options, "--accumulate", "2")
        row = rows(other, "summary.csv")[0]
        tap.check(f"strict, {images} images: other micro-batches are another sum and plan",
                  row["parameters_hash"] != outcomes[0][0] and row["plan_id"] != outcomes[0][1], f"{row}")


def what_is_said(work):
    data = kit.pack(lockstep, os.path.join(work, "said"), 48)
    for parts, expected in ((1, ""), (4, "4")):
        results = os.path.join(work, f"said{parts}")
        kit.train(lockstep, data, results, 2, "--mode", "ddp", "--global-batch", "24", "--accumulate", str(parts))
        found = rows(results, "summary.csv")[0]
        tap.check(f"{parts} micro-batches: the summary's column", found["accumulate"] == expected
                  and (parts == 1 or found["factor_comm"] == "off"), f"{found}")


def memory(work):
    """The activations of 256 images are 110 MB."""
    data = kit.pack(lockstep, os.path.join(work, "large"), 256)
    peaks = []
    for parts in (1, 8):
        results = os.path.join(work, f"large{parts}")
        kit.train(lockstep, data, results, 0, "--mode", "single", "--global-batch", "256", "--accumulate", str(parts),
                  epochs=1)
        peaks.append(float(rows(results, "summary.csv")[0]["peak_memory_maximum_bytes"]))
    tap.check("a step in eight parts takes less memory", peaks[1] < peaks[0] - 50e6, f"{peaks}")


with tempfile.TemporaryDirectory() as folder:
    short_last_batches(folder)
    strict(folder)
    what_is_said(folder)
    memory(folder)
sys.exit(tap.done())
