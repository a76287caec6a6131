#!/usr/bin/env python3
"""--accumulate: a step in micro-batches has the gradient of the whole batch, in every mode, with a
short last batch, also one of fewer images than micro-batches; the samples are the same, and the
memory is less. With --strict each lane adds up its own: the bits are the same on any number of
ranks and threads.

usage: accumulate.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)

Of 57 images in batches of 24 the last has 9, of 49 the last has one: of its micro-batches, or of
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
kit.ENVIRONMENT["OMP_WAIT_POLICY"] = "passive"  # threads that spin take the cores from each other
tap = kit.Tap()
SGD = ["--optimizer", "sgd", "--learning-rate", "0.01", "--momentum", "0.9"]
CROP = ["--augment", "crop-flip"]
# Images, how the whole batch trains, then modes, ranks, micro-batches.
WAYS = [(57, CROP, [("single", 0, 3), ("ddp", 2, 3, "--bucket-mb", "0.3"), ("dp", 2, 2)]),
        (49, SGD, [("single", 0, 24), ("ddp", 3, 8), ("dp", 2, 12)])]
# Ranks and threads a rank of strict runs; the first is what the others' bits are compared with.
STRICT = {57: [(0, "1"), (2, "2", "--bucket-mb", "0.3"), (4, "1")], 49: [(0, "2"), (2, "1")]}


def rows(results, file):
    with open(os.path.join(results, file), newline="") as text:
        return list(csv.DictReader(text))


def samples(results):
    return [row["samples_hash"] for row in rows(results, "certificate.csv")]


def train(work, images, name, ranks, *options):
    results = os.path.join(work, name)
    return kit.train(lockstep, os.path.join(work, f"data{images}"), results, ranks, "--global-batch", "24", *options), results


def follows(work, images, name, whole, ranks, *options, limits=(2e-5, 5e-3)):
    (want, expected), whole_results = whole
    (got, epochs), results = train(work, images, f"run{tap.cases}", ranks, *options)
    early, late = kit.apart(got[:2], want[:2]), kit.apart(got, want)
    tests = kit.apart([float(row["test_loss"]) for row in epochs], [float(row["test_loss"]) for row in expected])
    counted = [(row["images"], row["steps"]) for row in epochs] == [(row["images"], row["steps"]) for row in expected]
    tap.check(name, early < limits[0] and late < limits[1] and tests < limits[1] and counted,
              f"first steps differ by {early}, all by {late}, test loss by {tests}, counted alike: {counted}")
    tap.check(f"{name}: the same samples", samples(results) == samples(whole_results) and len(samples(whole_results)) == len(want),
              f"{samples(results)} against {samples(whole_results)}")
    return results


def short_last_batches(work, images, options, ways):
    """Returns what the whole batch had."""
    kit.pack(lockstep, os.path.join(work, f"data{images}"), images, "--test-images", "20", "--size", "8")
    whole = train(work, images, f"whole{images}", 0, "--mode", "single", *options)
    for mode, ranks, parts, *more in ways:
        name = f"{mode}, {ranks or 1} ranks, {parts} micro-batches {' '.join([*more, *options])}, {images} images"
        results = follows(work, images, name, whole, ranks, "--mode", mode, "--accumulate", str(parts), *options, *more)
        found = rows(results, "summary.csv")[0]
        tap.check(f"{name}: the summary's column", found["accumulate"] == str(parts)
                  and (mode != "ddp" or found["factor_comm"] == "off"), f"{found}")
    return whole


def one_micro_batch(work, images, options, whole):
    (once, _), results = train(work, images, "once", 0, "--mode", "single", "--accumulate", "1", *options)
    found = [rows(folder, "summary.csv")[0] for folder in (whole[1], results)]
    tap.check("one micro-batch is the whole batch", once == whole[0][0] and found[0]["parameters_hash"]
              and found[0]["parameters_hash"] == found[1]["parameters_hash"] and found[1]["accumulate"] == "", f"{found}")


def strict(work, images, more, whole):
    """The lanes of 9 images have 2 or 3, those of one image are empty but for one of them."""
    columns = ["parameters_hash", "plan_id", "final_train_loss", "final_test_loss", "accumulate", "lanes"]
    options = ["--strict", "--lanes", "4", "--accumulate", "3", "--certificate-every", "2", *more]
    folders, outcomes = [], []
    for ranks, threads, *own in STRICT[images]:
        name = f"strict, {ranks or 1} ranks, {threads} threads {' '.join(own)}, {images} images"
        folder = follows(work, images, name, whole, ranks, "--mode", "ddp" if ranks else "single", "--threads", threads,
                         *options, *own)
        folders.append(folder)
        outcomes.append([rows(folder, "summary.csv")[0][column] for column in columns])
        tap.check(f"{name}: the same bits", outcomes[-1] == outcomes[0] and outcomes[0][0], f"{outcomes}")
    certified = subprocess.run([lockstep, "report", "--certify", *folders], capture_output=True, text=True)
    tap.check(f"strict, {images} images: certified", certified.returncode == 0, f"{certified}")
    return options, outcomes[0]


def other_parts(work, images, options, expected):
    _, results = train(work, images, "other", 0, "--mode", "single", *options, "--accumulate", "2")
    row = rows(results, "summary.csv")[0]
    tap.check("strict: other micro-batches are another sum and plan",
              row["parameters_hash"] != expected[0] and row["plan_id"] != expected[1], f"{row}")


def memory(work):
    """The activations of 128 images are 55 MB."""
    data = kit.pack(lockstep, os.path.join(work, "large"), 128, "--test-images", "4")
    peaks = []
    for parts in (1, 8):
        results = os.path.join(work, f"large{parts}")
        kit.train(lockstep, data, results, 0, "--mode", "single", "--global-batch", "128", "--accumulate", str(parts),
                  epochs=1)
        peaks.append(float(rows(results, "summary.csv")[0]["peak_memory_maximum_bytes"]))
    tap.check("a step in eight parts takes less memory", peaks[1] < peaks[0] - 25e6, f"{peaks}")


with tempfile.TemporaryDirectory() as folder:
    for images, rule, ways in WAYS:
        whole = short_last_batches(folder, images, rule, ways)
        options, expected = strict(folder, images, rule, whole)
        if images == WAYS[0][0]:
            one_micro_batch(folder, images, rule, whole)
            other_parts(folder, images, options, expected)
    memory(folder)
sys.exit(tap.done())
