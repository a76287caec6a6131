#!/usr/bin/env python3
"""Training on encoded images: neither ranks, nor threads of the loader, nor the memory for images change
a bit of a --strict run; augmentation, decoding and shuffling do; a run that was stopped within an epoch
goes on to the same bits; what does not fit is refused by name; a rank's memory holds its bound.

usage: encoded.py LOCKSTEP  (the binary; needs mpirun, exit 77 where there is none)
"""
import csv
import glob
import os
import shutil
import sys
import tempfile

import kit

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pack"))
from pictures import jpeg  # noqa: E402

lockstep = sys.argv[1]
kit.need_mpirun()
kit.ENVIRONMENT["OMP_WAIT_POLICY"] = "passive"
tap = kit.Tap()
CROP = ["--augment", "resized-crop", "--image-size", "8"]
IMAGES, PADDING = 90, 9000  # of a class; bytes in each file that no pixel needs: 1.6 MB in all
STEPS = 8  # an epoch: 180 images in batches of 24


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(content)


def make(work):
    source, packed = os.path.join(work, "source"), os.path.join(work, "packed")
    for split, count in ("train", IMAGES), ("val", 7):
        for number in range(count):
            write(f"{source}/{split}/cat/{number}.jpg", jpeg(f"{split}{number}", padding=PADDING))
            kind = ("grey", "cmyk")[number % 2]
            write(f"{source}/{split}/dog/{number}.jpg", jpeg(f"{split}{number}d", kind, padding=PADDING))
    kit.subprocess.run([lockstep, "pack", "images", source, packed, "--encoded", "--shards", "3"],
                       check=True, capture_output=True)
    return packed


def run(work, data, ranks, *options):
    """The finished process, and its results' folder."""
    run.count += 1
    results = os.path.join(work, f"run{run.count}")
    mode = ["--mode", "ddp" if ranks else "single", "--strict", "--lanes", "2", "--global-batch", "24"]
    return kit.attempt(lockstep, data, results, ranks, *mode, *options), results


run.count = 0


def row_of(done, results):
    if done.returncode:
        raise SystemExit(f"Bail out! {' '.join(done.args)}: {done.returncode}\n{done.stderr}")
    with open(os.path.join(results, "summary.csv"), newline="") as file:
        return next(csv.DictReader(file))


def parameters(work, data, ranks, *options):
    return row_of(*run(work, data, ranks, *options))["parameters_hash"]


def refused(work, data, name, expected, *options):
    done, _ = run(work, data, 0, *options)
    tap.check(name, done.returncode == 2 and expected in done.stderr and done.stderr.count("\n") == 1,
              f"{done.returncode}: {done.stderr}")


def check_same(work, data):
    first, results = run(work, data, 0, *CROP, "--loader-threads", "1")
    row = row_of(first, results)
    expected = row["parameters_hash"]
    tap.check("the loader's columns are there",
              row["loader_threads"] == "1" and float(row["loader_images_per_second"]) > 0, row)
    for ranks, *options in ((0, "--loader-threads", "3"), (2, "--loader-threads", "2"),
                            (2, "--data-memory", "1")):
        tap.check(f"{ranks or 1} rank(s), {' '.join(options)}: the same bits",
                  parameters(work, data, ranks, *CROP, *options) == expected)
    block = [*CROP, "--shuffle", "block", "--shuffle-window", "64"]
    blocks = parameters(work, data, 0, *block)
    for ranks, memory in ((0, "3"), (2, "3")):
        tap.check(f"blocks, {ranks or 1} rank(s), {memory} MB: the same bits as in memory",
                  parameters(work, data, ranks, *block, "--data-memory", memory) == blocks)
    others = [parameters(work, data, 0, *CROP, "--color-jitter", "0.4"),
              parameters(work, data, 0, *CROP, "--color-hue", "0.2"),
              parameters(work, data, 0, *CROP, "--mean", "0.5,0.5,0.5"),
              parameters(work, data, 0, *CROP, "--decode", "fast"),
              parameters(work, data, 0, "--image-size", "8")]
    tap.check("other pixels or another order: other bits", len({expected, blocks, *others}) == 7, others)
    return expected


def check_resume(work, data, expected):
    """From a checkpoint within an epoch, into another folder. (One may be left out while another is written.)"""
    done, results = run(work, data, 0, *CROP, "--checkpoint-every", "3", "--keep", "100")
    tap.check("checkpoints change nothing", row_of(done, results)["parameters_hash"] == expected)
    within = [name for name in sorted(glob.glob(os.path.join(results, "checkpoints", "step-*")))
              if int(name[-10:]) % STEPS]
    tap.check("one lies within an epoch", within, os.listdir(results))
    start, again = within[-1], os.path.join(work, "again")
    resumed = kit.attempt(lockstep, data, again, 2, "--mode", "ddp", "--strict", "--lanes", "2", "--global-batch",
                          "24", *CROP, "--resume", start, "--loader-threads", "2")
    tap.check("resumed within an epoch, on 2 ranks: the same bits",
              resumed.returncode == 0 and row_of(resumed, again)["parameters_hash"] == expected, resumed.stderr)


def pack_links(work, name, images, padding):
    """A data set of `images` times one file and a few of test."""
    source, packed = os.path.join(work, name), os.path.join(work, f"{name}-packed")
    for split, count in ("train", images), ("val", 4):
        for kind in "cat", "dog":
            first = f"{source}/{split}/{kind}/0.jpg"
            write(first, jpeg(f"{name}{kind}", padding=padding))
            for number in range(1, count // 2):
                os.link(first, f"{source}/{split}/{kind}/{number}.jpg")
    kit.subprocess.run([lockstep, "pack", "images", source, packed, "--encoded", "--check", "header", "--shards", "3"],
                       check=True, capture_output=True)
    shutil.rmtree(source)
    return packed


def check_memory(work):
    """A rank's memory with a data set of ten times its bound, over that with one of next to nothing."""
    bound = 8_000_000
    large, tiny = pack_links(work, "large", 2700, 30_000), pack_links(work, "tiny", 200, 0)
    held = sum(os.path.getsize(path) for path in glob.glob(f"{large}/train-*.h5"))
    tap.check("a data set of ten times the bound", held >= 10 * bound, held)
    for how in "full", "block":
        options = [*CROP, "--data-memory", str(bound // 1_000_000), "--shuffle", how, "--shuffle-window", "64",
                   "--global-batch", "100"]
        peaks = []
        for data in tiny, large:
            run.count += 1
            results = os.path.join(work, f"run{run.count}")
            done = kit.attempt(lockstep, data, results, 0, *options, epochs=1, step_log=False)
            peaks.append(float(row_of(done, results)["rank_peak_memory_bytes"]))
        tap.check(f"--shuffle {how}: no more than the bound", peaks[1] - peaks[0] <= bound,
                  f"{peaks[1] - peaks[0]:.0f} bytes more than {peaks[0]:.0f}")
    shutil.rmtree(large)


with tempfile.TemporaryDirectory() as work:
    check_memory(work)
    data = make(work)
    check_resume(work, data, check_same(work, data))
    refused(work, data, "crop-flip of encoded images", "--augment crop-flip", "--augment", "crop-flip")
    refused(work, data, "two numbers for three channels", "--mean: expected three", *CROP, "--mean", "1,2")
    refused(work, data, "too little memory for a window", "--data-memory", *CROP, "--shuffle", "block",
            "--data-memory", "1")
    pixels = kit.pack(lockstep, os.path.join(work, "pixels"), 64, "--size", "8", "--test-images", "9")
    refused(work, pixels, "resized-crop of pixels", "--augment resized-crop", "--augment", "resized-crop")
    refused(work, pixels, "another size of pixels", "--image-size 16", "--image-size", "16")
    shutil.rmtree(pixels)
sys.exit(tap.done())
