#!/usr/bin/env python3
"""Bad data sets: `lockstep train`, alone and on ranks.

usage: data.py LOCKSTEP [PART-OF-A-CASE'S-NAME]

What only an HDF5 library can make is made by h5py, under LOCKSTEP_PYTHON; without it those cases
are skipped.
"""
import os
import random
import shutil
import struct
import subprocess

from kit import Refusal, Skip, Suite, clean_environment

suite = Suite()
train = suite.train
good = suite.pack("good", 60, 20, "--shards", 2)
large = suite.pack("large", 1200, 20, "--shards", 1)
foreign = suite.pack("foreign", 60, 20, "--shards", 2, "--seed", 2)
here = os.path.dirname(os.path.abspath(__file__))


def damaged(name, change, source=None):
    folder = suite.copy(source or good, name)
    change(folder)
    return folder


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def where_labels_are(path):
    """Where the only run of small int32 as long as the labels starts: contiguous, 30 labels."""
    with open(path, "rb") as file:
        content = file.read()
    for at in range(len(content) - 119):
        found = struct.unpack_from("<30i", content, at)
        if all(0 <= label < 10 for label in found) and sum(found) > 60:
            return at
    raise Refusal("the labels were not found")


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def cut(path, bytes_left):
    os.truncate(path, bytes_left)


def move(folder, first, second):
    os.rename(os.path.join(folder, first), os.path.join(folder, second))


# ---- the folder
suite.refused("no such folder", 2, "/nowhere: ", train(suite.path("nowhere")), ranks=(0, 2, 3))
os.makedirs(suite.path("empty"))
suite.refused("an empty folder", 2, "/empty: .*empty folder", train(suite.path("empty")))
write(suite.path("file"), b"not a folder")
suite.refused("a file for a folder", 2, "/file: ", train(suite.path("file")))
suite.refused("a path longer than any", 2, "longer than|too long", train("x" * 5000))
suite.refused("no manifest", 2, "manifest.h5", train(damaged(
    "no-manifest", lambda f: os.remove(f"{f}/manifest.h5"))))


def as_nobody(name, pattern, folder, hide):
    """Nobody reads what root owns: root itself reads everything."""
    def run(title, ranks):
        case = suite.folder_of(title)
        user, binary = suite.other_user(case)
        job = suite.start(title, [*user, *suite.command(ranks, *train(folder), binary=binary)],
                          folder=case, HOME=case, TMPDIR=case)
        suite.check(job, 2, pattern)
    hide(folder)
    for ranks in (0, 2):
        title = name + (f", {ranks} ranks" if ranks else "")
        suite.add(title, lambda title=title, ranks=ranks: run(title, ranks))


as_nobody("a folder that cannot be read", "/hidden: .*[Pp]ermission denied",
          suite.copy(good, "hidden"), lambda f: os.chmod(f, 0o700 if os.geteuid() == 0 else 0))
as_nobody("a shard that cannot be read", "train-00001.h5: .*[Pp]ermission denied",
          suite.copy(good, "hidden-shard"),
          lambda f: os.chmod(f"{f}/train-00001.h5", 0o600 if os.geteuid() == 0 else 0))

# ---- its files
for name in ("manifest.h5", "train-00001.h5", "test-00000.h5"):
    stem = name.split(".")[0]
    suite.refused(f"{name} is text", 2, f"{name}: expected an HDF5 file", train(damaged(
        f"text-{stem}", lambda f, name=name: write(f"{f}/{name}", b"not HDF5\n" * 500))))
    suite.refused(f"{name} is empty", 2, f"{name}: expected an HDF5 file", train(damaged(
        f"nothing-{stem}", lambda f, name=name: write(f"{f}/{name}", b""))), ranks=(0,))
    suite.refused(f"{name} is cut", 2, f"{name}: .*truncated", train(damaged(
        f"cut-{stem}", lambda f, name=name: cut(f"{f}/{name}", 3000))))


def make_pipe(path):
    os.remove(path)
    os.mkfifo(path)


def make_folder(path):
    os.remove(path)
    os.mkdir(path)


suite.refused("a pipe for a shard", 2, "train-00000.h5: .*no regular file", train(damaged(
    "pipe", lambda f: make_pipe(f"{f}/train-00000.h5"))))
suite.refused("a folder for a shard", 2, "train-00000.h5: .*no regular file", train(damaged(
    "folder", lambda f: make_folder(f"{f}/train-00000.h5"))), ranks=(0,))
suite.refused("a shard cut in its last byte", 2, "train-00000.h5: .*truncated", train(damaged(
    "cut-one", lambda f: cut(f"{f}/train-00000.h5",
                             os.path.getsize(f"{f}/train-00000.h5") - 1))), ranks=(0,))
suite.refused("a shard is missing", 2, "train-00001.h5", train(damaged(
    "missing", lambda f: os.remove(f"{f}/train-00001.h5"))), ranks=(0, 2, 3))
suite.refused("a test shard is missing", 2, "test-00001.h5", train(damaged(
    "missing-test", lambda f: os.remove(f"{f}/test-00001.h5"))))
suite.refused("a shard too many", 2, "train-00002.h5: expected 2 train shards", train(damaged(
    "doubled", lambda f: shutil.copy(f"{f}/train-00001.h5", f"{f}/train-00002.h5"))))
suite.refused("a shard in another's place", 2, "train-00001.h5: ", train(damaged(
    "copied", lambda f: shutil.copy(f"{f}/train-00000.h5", f"{f}/train-00001.h5"))))
suite.refused("a test shard among the training shards", 2, "train-00000.h5: .*split", train(damaged(
    "swapped", lambda f: shutil.copy(f"{f}/test-00000.h5", f"{f}/train-00000.h5"))), ranks=(0,))
suite.refused("a shard of another data set", 2, "train-00001.h5: ", train(damaged(
    "foreign-shard", lambda f: shutil.copy(f"{foreign}/train-00001.h5", f"{f}/train-00001.h5"))))
suite.refused("another data set's manifest", 2, "train-00000.h5: ", train(damaged(
    "foreign-manifest", lambda f: shutil.copy(f"{foreign}/manifest.h5", f"{f}/manifest.h5"))))

# ---- bytes that are not what they were
size = os.path.getsize(f"{large}/train-00000.h5")
for block, at in ((0, 500000), (2, 2500000), (3, 3500000)):
    # Metadata lies in front of and behind the pixels, far less than a block of it.
    suite.refused(f"a flipped byte in block {block} of the images", 2,
                  rf"train-00000.h5: /images: block {block} ", train(damaged(
                      f"flip-{block}", lambda f, at=at: flip(f"{f}/train-00000.h5", at), large)),
                  ranks=(0, 2, 3) if block == 2 else (0,))
suite.refused("a flipped byte in the labels", 2, r"train-00000.h5: /labels: block 0 ", train(damaged(
    "flip-label", lambda f: flip(f"{f}/train-00000.h5",
                                 where_labels_are(f"{f}/train-00000.h5") + 4))))
suite.refused("a flipped byte in the test images", 2, r"test-00001.h5: /images: block 0 ", train(
    damaged("flip-test", lambda f: flip(f"{f}/test-00001.h5", 16000))))
suite.refused("a flipped byte, dp", 2, r"train-00000.h5: /images: block 2 ", train(damaged(
    "flip-dp", lambda f: flip(f"{f}/train-00000.h5", 2500000), large), mode="dp"), ranks=(2, 3))


def flipped_anywhere():
    """Any byte of any file: a run, or one line and exit code 2; never a crash."""
    generator = random.Random(1)
    for number in range(40):
        folder = suite.copy(good, f"anywhere-{number}")
        file = generator.choice(sorted(os.listdir(folder)))
        at = generator.randrange(min(4096, os.path.getsize(f"{folder}/{file}")))
        flip(f"{folder}/{file}", at)
        title = f"anywhere {number}"
        job = suite.start(title, suite.command(0, *train(folder, mode="single")))
        if job.wait() != 0:
            try:
                suite.check(job, 2, f"{file}: ")
            except Refusal as reason:
                raise Refusal(f"{file}, byte {at}: {reason}") from None
        shutil.rmtree(folder)


suite.add("a flipped byte anywhere", flipped_anywhere)

# ---- numbers that do not fit
suite.refused("fewer images than ranks", 2, "1 training images are fewer than [23] ranks",
              train(suite.pack("single-image", 1, 1)), ranks=(2, 3))


def long_class_name():
    """A class name longer than any terminal's line is no bad input."""
    source, folder = suite.path("cifar"), suite.path("long-names")
    os.makedirs(source)
    for name in [f"data_batch_{n}.bin" for n in range(1, 6)] + ["test_batch.bin"]:
        write(f"{source}/{name}", b"".join(bytes([n]) + bytes(3072) for n in range(10)))
    write(f"{source}/batches.meta.txt", b"".join(b"%d" % n * 250 + b"\n" for n in range(10)))
    subprocess.run([suite.lockstep, "pack", "cifar10", source, folder], check=True,
                   capture_output=True, env=clean_environment())
    for ranks in (0, 2):
        job = suite.start(f"long names {ranks}", suite.command(ranks, *train(folder)))
        if job.wait() != 0 or job.survivors():
            raise Refusal(job.said())


suite.add("a class name longer than the terminal", long_class_name)


# ---- what only HDF5 can write
python = os.environ.get("LOCKSTEP_PYTHON")
damages = []


def damage_all():
    """All of them by one process, which takes longer to start than to work."""
    folders = [suite.copy(good, f"h5-{how}") for how in damages]
    pairs = [word for pair in zip(folders, damages) for word in pair]
    made = subprocess.run([python, os.path.join(here, "damage.py"), *pairs],
                          capture_output=True, text=True, check=False)
    if made.returncode:
        raise SystemExit(f"Bail out! damage.py: {made.stderr}")


def by_h5py(how, pattern, ranks=(0, 2)):
    damages.append(how)
    for count in ranks:
        title = f"h5py: {how}" + (f", {count} ranks" if count else "")

        def run(title=title, count=count):
            if not python:
                raise Skip("LOCKSTEP_PYTHON names no Python with h5py")
            folder = suite.path(f"h5-{how}")
            suite.check(suite.start(title, suite.command(count, *train(folder))), 2, pattern)
        suite.add(title, run)


shard = "train-00001.h5: "
by_h5py("label-too-large", shard + r"/labels\[7\]: expected a class from 0 to 9, found 10",
        (0, 2, 3))
by_h5py("label-negative", shard + r"/labels\[9\]: expected a class from 0 to 9, found -1")
by_h5py("images-float", shard + "/images: expected .*uint8")
by_h5py("images-int8", shard + "/images: expected .*uint8", (0,))
by_h5py("images-flat", shard + "/images: expected .*4 dimensions")
by_h5py("images-narrow", shard + ".*width of 32.*found 16")
by_h5py("images-grey", shard + ".*channels of 3.*found 1", (0,))
by_h5py("images-fewer", shard + ".*29 images and 30 labels")
by_h5py("images-none", shard + ".*0 images", (0,))
by_h5py("labels-int64", shard + "/labels: expected .*int32")
by_h5py("labels-square", shard + "/labels: expected .*1 dimension", (0,))
by_h5py("labels-fewer", shard + ".*30 images and 29 labels", (0,))
by_h5py("both-fewer", shard + ".*images of 30.*found 29")
by_h5py("classes-fewer", shard + ".*class", (0,))
by_h5py("version", shard + ".*format_version.*3", (0,))
by_h5py("version-text", shard + ".*format_version", (0,))
by_h5py("split-other", shard + ".*train split, found 'test'", (0,))
by_h5py("first-other", shard + ".*first index of 30.*found 0", (0,))
by_h5py("no-images", shard + ".*/images, found none", (0,))
by_h5py("no-labels", shard + ".*/labels, found none", (0,))
by_h5py("images-group", shard + "expected /images to be a data set", (0,))
by_h5py("no-crc", shard + ".*crc32c", (0,))
by_h5py("crc-short", shard + ".*crc32c", (0,))
by_h5py("crc-wrong", shard + "/labels: block 0", (0,))
by_h5py("no-digest", shard + ".*sha256", (0,))
by_h5py("digest-wrong", shard, (0,))
by_h5py("text-variable", shard + ".*split", (0,))
by_h5py("link-elsewhere", shard + "/images: expected a plain object, found a link", (0,))
by_h5py("link-loop", shard + "/images: expected a plain object, found a link", (0,))
by_h5py("values-device", shard + "/labels: .*values are in other files", (0,))
by_h5py("values-virtual", shard + "/images: .*in pieces", (0,))
by_h5py("values-unwritten", shard + ".*crc32c.*expected", (0,))
by_h5py("filter-unknown", shard + "/images: .*in pieces, or compressed", (0,))
for name in ("version", "format", "id", "shards", "images", "height", "sides", "no-test", "names",
             "outside"):
    by_h5py("manifest-" + name, "train-00000.h5: .*64" if name == "height" else "manifest.h5: ",
            (0, 2) if name == "id" else (0,))


def newest_format():
    """What h5py's libver="latest" writes is read as well."""
    if not python:
        raise Skip("LOCKSTEP_PYTHON names no Python with h5py")
    job = suite.start("libver latest", suite.command(0, *train(suite.path("h5-latest"))))
    if job.wait():
        raise Refusal(job.said())


damages.append("latest")
suite.add("h5py: libver latest", newest_format)
if python:
    damage_all()
suite.finish()
