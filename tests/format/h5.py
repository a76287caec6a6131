#!/usr/bin/env python3
"""The shards as h5py and h5dump see them: data/README.md, recomputed without our code.

usage: h5.py LOCKSTEP   (run with a Python that has h5py and numpy)

Prints TAP. Exit code 1 where a case failed; without h5py the plan says skipped.
"""
import csv
import hashlib
import os
import subprocess
import sys
import tempfile

# Products as thin as softmax.py's gain nothing from threads, which would spin on cores of others.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
try:
    import h5py
    import numpy
except ImportError as missing:
    print(f"1..0 # SKIP {missing}")
    sys.exit(0)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import softmax  # noqa: E402
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

lockstep = os.path.abspath(sys.argv[1])
tap = Tap()
environment = {key: value for key, value in os.environ.items()
               if key not in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")}


def case(name, right, detail=""):
    tap.check(name, right, detail)


def pack(*words):
    done = subprocess.run([lockstep, "pack", *words], capture_output=True, text=True,
                          env=environment, timeout=300)
    if done.returncode:
        print(f"Bail out! pack {' '.join(words)}: {done.returncode}: {done.stderr}")
        sys.exit(1)
    return done.stdout


TABLE = []
for value in range(256):
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    TABLE.append(value)


def crc32c(data):
    """By the byte-wise table: reflected polynomial, initial value and final xor all ones."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def shard_digest(file):
    n, height, width, channels = file["images"].shape
    names = [name.decode() for name in file.attrs["classes"]]
    text = (f"lockstep shard 1\nsplit {file.attrs['split'].decode()}\n"
            f"first {file.attrs['first_index']}\nimages {n}\nheight {height}\nwidth {width}\n"
            f"channels {channels}\nclasses {len(names)}\n" + "".join(n + "\n" for n in names))
    return hashlib.sha256(text.encode() + file["images"][:].tobytes() +
                          file["labels"][:].astype("<i4").tobytes()).hexdigest()


def blocks_are_right(data_set):
    data = data_set[:].tobytes()
    found = data_set.attrs["crc32c"]
    block = 1 << 20
    return len(found) == -(-len(data) // block) and all(
        crc32c(data[at * block:(at + 1) * block]) == found[at] for at in range(len(found)))


def shards(folder, split):
    names = sorted(name for name in os.listdir(folder) if name.startswith(split + "-"))
    return [h5py.File(os.path.join(folder, name), "r") for name in names]


def whole(folder, split):
    files = shards(folder, split)
    return (numpy.concatenate([file["images"][:] for file in files]),
            numpy.concatenate([file["labels"][:] for file in files]))


def check_shards(folder):
    first = {"train": 0, "test": 0}
    for split in ("train", "test"):
        for file in shards(folder, split):
            images, labels = file["images"], file["labels"]
            case(f"{os.path.basename(file.filename)}: types, layout and attributes",
                 images.dtype == "u1" and labels.dtype == "<i4" and images.chunks is None and
                 labels.chunks is None and len(images) == len(labels) and
                 file.attrs["format"] == b"lockstep shard" and file.attrs["format_version"] == 1 and
                 file.attrs["split"].decode() == split and
                 file.attrs["first_index"] == first[split])
            case("its SHA-256 is that of its contents",
                 file.attrs["sha256"].decode() == shard_digest(file))
            case("its blocks' CRC-32C are right",
                 blocks_are_right(images) and blocks_are_right(labels))
            first[split] += len(images)
    return first


def check_manifest(folder, counts):
    with h5py.File(os.path.join(folder, "manifest.h5"), "r") as file:
        lines = ""
        for split in ("train", "test"):
            group, files = file[split], shards(folder, split)
            names = [name.decode() for name in group["files"]]
            case(f"manifest: the {split} split's shards",
                 names == [os.path.basename(f.filename) for f in files] and
                 list(group["images"]) == [len(f["images"]) for f in files] and
                 [d.decode() for d in group["sha256"]] == [f.attrs["sha256"].decode() for f in files]
                 and group.attrs["shards"] == len(files) and group.attrs["images"] == counts[split])
            lines += "".join(f"{d.decode()}  {n}\n" for d, n in zip(group["sha256"], names))
        shape = shards(folder, "train")[0]["images"].shape[1:]
        case("manifest: shape and classes",
             (file.attrs["height"], file.attrs["width"], file.attrs["channels"]) == shape and
             list(file.attrs["classes"]) == list(shards(folder, "train")[0].attrs["classes"]))
        found = file.attrs["dataset_id"].decode()
        case("manifest: the id is the SHA-256 of its shards' digests and names",
             found == hashlib.sha256(lines.encode()).hexdigest(), found)
        return found


def make_cifar(folder):
    random = numpy.random.default_rng(1)
    everything = {}
    names = [f"data_batch_{n}.bin" for n in range(1, 6)] + ["test_batch.bin"]
    os.makedirs(folder)
    for number, name in enumerate(names):
        count = 150 + number
        labels = random.integers(0, 10, count).astype("u1")
        planes = random.integers(0, 256, (count, 3, 32, 32)).astype("u1")
        with open(os.path.join(folder, name), "wb") as file:
            for label, plane in zip(labels, planes):
                file.write(bytes([label]) + plane.tobytes())
        everything[name] = (planes.transpose(0, 2, 3, 1), labels)
    with open(os.path.join(folder, "batches.meta.txt"), "w") as file:
        file.write("\n".join(["Flugzeug", "voilà"] + list("cdefghij")) + "\n\n")
    return [numpy.concatenate([everything[name][part] for name in names[:5]]) for part in (0, 1)], \
        everything["test_batch.bin"]


with tempfile.TemporaryDirectory() as work:
    os.chdir(work)
    train, test = make_cifar("cifar/cifar-10-batches-bin")
    pack("cifar10", "cifar", "packed", "--shards", "3")
    check_manifest("packed", check_shards("packed"))
    case("cifar10: every pixel and label in its place",
         all(numpy.array_equal(a, b) for a, b in
             zip((*whole("packed", "train"), *whole("packed", "test")), (*train, *test))))
    names = [name.decode() for name in shards("packed", "train")[0].attrs["classes"]]
    case("cifar10: class names, UTF-8 too", names[:2] == ["Flugzeug", "voilà"], str(names))

    dumped = subprocess.run(["h5dump", "-H", "packed/train-00000.h5"], capture_output=True, text=True)
    case("h5dump reads a shard", dumped.returncode == 0 and "H5T_STD_U8LE" in dumped.stdout and
         "( 253, 32, 32, 3 )" in dumped.stdout and "H5T_STD_I32LE" in dumped.stdout, dumped.stdout)

    pack("synthetic", "one", "--images", "4000", "--test-images", "500", "--threads", "1")
    pack("synthetic", "three", "--images", "4000", "--test-images", "500", "--threads", "3",
         "--seed", "1")
    identity = check_manifest("one", check_shards("one"))
    same = all(open(f"one/{name}", "rb").read() == open(f"three/{name}", "rb").read()
               for name in os.listdir("one"))
    case("synthetic: the same bytes with any number of threads", same)
    case("synthetic: the same data set on every machine",
         identity == "b112659c5b1ce5e5f5e5a27fc870f8215892e91dbef004d5c6e808ff63529257", identity)
    pack("synthetic", "other", "--images", "100", "--test-images", "10", "--seed", "2")
    case("synthetic: another seed, other images",
         not numpy.array_equal(whole("other", "train")[0], whole("one", "train")[0][:100]))
    labels = whole("one", "train")[1]
    case("synthetic: every class as often", set(numpy.bincount(labels)) == {400})
    images = whole("one", "train")[0].astype(float)
    means = numpy.array([images[labels == c].mean() for c in range(10)])
    case("synthetic: no class is brighter", numpy.ptp(means) < 4, str(means))
    found, found_train = softmax.accuracy(whole("one", "train"), whole("one", "test"), 10)
    print(f"# softmax regression on the pixels: {100 * found:.1f}% of the test images,"
          f" {100 * found_train:.1f}% of the training images")
    case("synthetic: softmax regression on the pixels stays under 60%", found < 0.60, str(found))
    case("synthetic: and it was trained: it knows more of the training images than of others",
         found_train > found + 0.05, f"{found_train} {found}")
    trained = subprocess.run([lockstep, "train", "--data", "one", "--mode", "single", "--device", "cpu",
                              "--threads", "1", "--epochs", "2", "--results", "cnn"],
                             capture_output=True, text=True, env=environment)
    reached = 0.0
    if trained.returncode == 0:
        with open("cnn/summary.csv", newline="") as file:
            reached = float(next(csv.DictReader(file))["final_test_accuracy"])
        print(f"# the CNN, 2 epochs: {100 * reached:.1f}% of the test images")
    case("synthetic: the CNN passes 90%", reached > 0.90, trained.stderr or str(reached))

    failed = tap.done()
sys.exit(failed)
