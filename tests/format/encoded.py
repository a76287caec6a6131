#!/usr/bin/env python3
"""Encoded data sets as h5py sees them: data/README.md's version 2, recomputed without our code; and
odd JPEG files of others, where the shared folder beside the project has them.

usage: encoded.py LOCKSTEP ODD-JPEGS.TAR   (run with a Python that has h5py and numpy)

Prints TAP. Exit code 1 where a case failed; without h5py the plan says skipped.
"""
import csv
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile

try:
    import h5py
    import numpy
except ImportError as missing:
    print(f"1..0 # SKIP {missing}")
    sys.exit(0)
sys.dont_write_bytecode = True
tests = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [os.path.join(tests, "pack"), os.path.join(tests, "support")]
from pictures import jpeg, png  # noqa: E402
from tap import Tap  # noqa: E402

lockstep, odd_archive = (os.path.abspath(word) for word in sys.argv[1:3])
tap = Tap()
case = tap.check
environment = {key: value for key, value in os.environ.items()
               if key not in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")}


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
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


PARTS = {"bytes": "u1", "labels": "<i4", "offsets": "<i8", "sizes": "<i4", "crc32c": "<u4"}


def files_of(shard):
    """[(bytes, label, (height, width))] of a shard."""
    data, offsets = shard["bytes"][:].tobytes(), shard["offsets"][:]
    return [(data[offsets[n]:offsets[n + 1]], int(label), tuple(shard["sizes"][n]))
            for n, label in enumerate(shard["labels"][:])]


def shard_digest(file):
    names = [name.decode() for name in file.attrs["classes"]]
    text = (f"lockstep shard 2\nkind encoded\nsplit {file.attrs['split'].decode()}\n"
            f"shard {file.attrs['shard']}\nimages {len(file['labels'])}\n"
            f"bytes {len(file['bytes'])}\nclasses {len(names)}\n" +
            "".join(name + "\n" for name in names))
    return hashlib.sha256(text.encode() + b"".join(file[part][:].astype(kind).tobytes()
                                                   for part, kind in PARTS.items())).hexdigest()


def check_shard(file, split, number):
    name = os.path.basename(file.filename)
    case(f"{name}: types, layout and attributes",
         sorted(file) == sorted(PARTS) and
         all(file[part].dtype == kind and file[part].chunks is None
             for part, kind in PARTS.items()) and
         file.attrs["format"] == b"lockstep shard" and file.attrs["format_version"] == 2 and
         file.attrs["kind"] == b"encoded" and file.attrs["split"].decode() == split and
         file.attrs["shard"] == number and "first_index" not in file.attrs)
    case("its SHA-256 is that of its contents", file.attrs["sha256"].decode() == shard_digest(file))
    block = 1 << 20
    case("its blocks' CRC-32C are right", all(
        [crc32c(data[at:at + block]) for at in range(0, len(data), block)] ==
        list(file[part].attrs["crc32c"])
        for part in PARTS for data in [file[part][:].tobytes()]))
    case("and each file's", all(crc32c(data) == crc for (data, _, _), crc in
                                zip(files_of(file), file["crc32c"][:])))


def check_data_set(folder):
    """{split: [(bytes, label, size)]}, everything recomputed."""
    found = {}
    with h5py.File(os.path.join(folder, "manifest.h5"), "r") as manifest:
        lines = ""
        for split in ("train", "test"):
            group = manifest[split]
            names = [name.decode() for name in group["files"]]
            shards = [h5py.File(os.path.join(folder, name), "r") for name in names]
            for number, shard in enumerate(shards):
                check_shard(shard, split, number)
            digests = [digest.decode() for digest in group["sha256"]]
            case(f"manifest: the {split} split's shards",
                 digests == [shard.attrs["sha256"].decode() for shard in shards] and
                 list(group["images"]) == [len(shard["labels"]) for shard in shards] and
                 list(group["bytes"]) == [len(shard["bytes"]) for shard in shards] and
                 group.attrs["images"] == sum(group["images"]))
            lines += "".join(f"{d}  {n}\n" for d, n in zip(digests, names))
            found[split] = [file for shard in shards for file in files_of(shard)]
        case("manifest: kind, and no one size", manifest.attrs["kind"] == b"encoded" and
             manifest.attrs["format_version"] == 2 and "height" not in manifest.attrs)
        case("manifest: the id is the SHA-256 of its shards' digests and names",
             manifest.attrs["dataset_id"].decode() == hashlib.sha256(lines.encode()).hexdigest())
    return found


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def make_source():
    """Classes whose sorted order is not that in which they are made."""
    source = {}
    for split, count in (("train", 70), ("val", 9)):
        for label, name in ((2, "zebra"), (0, "Ant"), (1, "café au lait")):
            for n in range(count):
                kind = "grey" if n % 5 == 0 else "colour"
                data = jpeg(f"{split} {name} {n}", kind, 30000 if n % 3 == 0 else 0)
                write(f"source/{split}/{name}/{n:03}.jpg", data)
                source.setdefault(split, []).append((label, f"{n:03}", data))
    return {split: [(data, label) for label, _, data in sorted(files)]
            for split, files in source.items()}


def check_bytes():
    source = make_source()
    pack("images", "source", "sorted", "--encoded", "--order", "sorted", "--shards", "3")
    found = check_data_set("sorted")
    case("sorted: every file's bytes and label, in ImageFolder's order",
         [file[:2] for file in found["train"]] == source["train"] and
         [file[:2] for file in found["test"]] == source["val"])
    case("every size is the header's", all(size == (16, 24) for split in found.values()
                                           for _, _, size in split))
    pack("images", "source", "shuffled", "--encoded", "--shards", "3", "--seed", "5")
    found = check_data_set("shuffled")
    case("shuffled: the same files in another order, the test images in the same",
         sorted(file[:2] for file in found["train"]) == sorted(source["train"]) and
         [file[:2] for file in found["train"]] != source["train"] and
         [file[:2] for file in found["test"]] == source["val"])
    labels = [label for _, label, _ in found["train"]][:70]
    case("with all classes in the first shard", all(labels.count(n) > 8 for n in range(3)))
    pack("images", "source", "again", "--encoded", "--shards", "3", "--seed", "5", "--threads", "1")
    case("the same bytes with any number of threads",
         all(open(f"shuffled/{name}", "rb").read() == open(f"again/{name}", "rb").read()
             for name in os.listdir("shuffled")))
    with h5py.File("shuffled/manifest.h5") as manifest:
        case("the manifest says how", [manifest.attrs[name] for name in
                                       ("exif", "check", "order", "seed", "max_side", "quality")] ==
             [b"stored", b"decode", b"shuffled", 5, 0, 95])
    dumped = subprocess.run(["h5dump", "-H", "sorted/train-00000.h5"], capture_output=True,
                            text=True)
    case("h5dump reads a shard", dumped.returncode == 0 and 'DATASET "offsets"' in dumped.stdout)


def check_shrinking():
    write("large/train/a/1.png", png(300, 500))
    write("large/train/a/2.jpg", jpeg("small"))
    write("large/val/a/1.jpg", jpeg("v"))
    pack("images", "large", "shrunk", "--encoded", "--order", "sorted", "--max-side", "100")
    found = check_data_set("shrunk")["train"]
    case("--max-side: the longer side is that, the ratio stays, what is smaller stays as it was",
         [size for _, _, size in found] == [(60, 100), (16, 24)] and found[1][0] == jpeg("small"),
         found[0][2])
    case("a PNG is a JPEG now", found[0][0][:3] == b"\xff\xd8\xff" and
         found[0][0][-2:] == b"\xff\xd9")
    sizes = {}
    for quality in ("30", "90"):
        pack("images", "large", f"q{quality}", "--encoded", "--quality", quality)
        with h5py.File(f"q{quality}/train-00000.h5") as shard:
            sizes[quality] = len(shard["bytes"])
    case("--quality: less is smaller", sizes["30"] < sizes["90"], sizes)


# What we make of each file, where that is not "as it is": Pillow takes two whose data end early, and
# makes their pixels up.
CONVERTED = {"arithmetic.jpg": "arithmetic coding", "cmyk_adobe_app14.jpg": "CMYK",
             "cmyk_ycck_small.jpg": "CMYK", "png_renamed.JPEG": "PNG"}
REFUSED = {"bomb_65500.jpg", "empty.JPEG", "huff_overflow.jpg", "null_height.jpg",
           "sos_before_sof.jpg", "truncated_pillow.jpg", "twelve_bit.jpg",
           "dc_overflow.jpg", "progressive_partial.jpg"}
MADE_UP = {"dc_overflow.jpg", "progressive_partial.jpg"}


def lists(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        return {os.path.basename(line.split("\t")[0]): line.rstrip("\n").split("\t")[1]
                for line in file}


def check_odd():
    beside = os.path.dirname(os.path.dirname(odd_archive))
    if not os.path.exists(odd_archive):
        if os.environ.get("CI") == "true" and os.path.isdir(beside):
            case(f"{odd_archive} is there", False)
        else:
            print(f"# skipped: odd JPEG files: no {odd_archive}")
        return
    with tarfile.open(odd_archive) as archive:
        members = {os.path.basename(m.name): archive.extractfile(m).read()
                   for m in archive.getmembers() if m.isfile()}
    table = list(csv.DictReader(io.StringIO(members.pop("TABLE.tsv").decode()), delimiter="\t"))
    for name, data in members.items():
        write(f"odd/train/odd/{name}", data)
    write("odd/val/odd/1.jpg", jpeg("v"))
    pack("images", "odd", "odd-out", "--encoded", "--skip-bad", "--order", "sorted")
    found = check_data_set("odd-out")["train"]
    converted, left = lists("odd-out", "converted.tsv"), lists("odd-out", "left-out.tsv")
    taken = sorted(set(members) - set(left))
    case("odd files: what is left out", set(left) == REFUSED, sorted(left))
    case("odd files: what is converted", converted == CONVERTED, converted)
    case("odd files: all others are as they were", len(found) == len(taken) and
         all(data == members[name] for name, (data, _, _) in zip(taken, found)
             if name not in CONVERTED))
    verdicts = {row["file"]: row["PIL"] for row in table}
    agree = [name for name in members
             if (verdicts[name].endswith("ok")) == (name not in left) or name in MADE_UP]
    case(f"odd files: {len(agree)} of {len(members)} as Pillow judges them",
         len(agree) == len(members), sorted(set(members) - set(agree)))
    size = {name: verdicts[name].split()[2].split("x") for name in taken}
    case("odd files: sizes as Pillow's", all((int(size[name][1]), int(size[name][0])) == found_size
                                             for name, (_, _, found_size) in zip(taken, found)))
    pack("images", "odd", "odd-turned", "--encoded", "--skip-bad", "--order", "sorted", "--exif",
         "apply", "--check", "header")
    converted = lists("odd-turned", "converted.tsv")
    case("odd files: --exif apply turns one",
         converted == {**CONVERTED, "exif_rot6.jpg": "EXIF orientation 6"}, converted)
    case("odd files: a header tells all but what ends too early in the middle of its scans",
         set(lists("odd-turned", "left-out.tsv")) <= REFUSED and
         REFUSED - set(lists("odd-turned", "left-out.tsv")) <= MADE_UP,
         sorted(lists("odd-turned", "left-out.tsv")))


with tempfile.TemporaryDirectory() as work:
    os.chdir(work)
    check_bytes()
    check_shrinking()
    check_odd()
sys.exit(tap.done())
