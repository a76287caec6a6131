#!/usr/bin/env python3
"""Damages a data set so that only the check that is meant can find it: every checksum, digest and
the data set id are made right again. Needs h5py; run by data.py under LOCKSTEP_PYTHON.

usage: damage.py FOLDER HOW [FOLDER HOW]...
"""
import hashlib
import os
import sys

import h5py
import numpy

BLOCK = 1 << 20
SHARD = "train-00001.h5"


def crc_table():
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        yield value


TABLE = list(crc_table())


def crc32c(content):
    value = 0xFFFFFFFF
    for byte in content:
        value = TABLE[(value ^ byte) & 255] ^ value >> 8
    return value ^ 0xFFFFFFFF


def put(shard, name, values):
    """A data set in place of the one that is there, its checksums right."""
    if name in shard:
        del shard[name]
    shard.create_dataset(name, data=values)
    content = values.tobytes()
    shard[name].attrs["crc32c"] = numpy.array(
        [crc32c(content[at:at + BLOCK]) for at in range(0, len(content), BLOCK)], numpy.uint32)


def fixed(text):
    return numpy.bytes_(text)


def seal(folder, shard):
    """The shard's digest, and with it the manifest's list and id."""
    images, labels = shard["images"], shard["labels"]
    extent = list(images.shape) + [1] * 4
    text = (f"lockstep shard 1\nsplit {shard.attrs['split'].decode()}\n"
            f"first {shard.attrs['first_index']}\nimages {extent[0]}\nheight {extent[1]}\n"
            f"width {extent[2]}\nchannels {extent[3]}\nclasses {len(shard.attrs['classes'])}\n"
            + "".join(f"{name.decode()}\n" for name in shard.attrs["classes"]))
    digest = hashlib.sha256(text.encode() + images[()].tobytes() + labels[()].tobytes()).hexdigest()
    shard.attrs["sha256"] = fixed(digest)
    with h5py.File(f"{folder}/manifest.h5", "r+") as manifest:
        manifest["train/sha256"][int(SHARD[6:11])] = digest.encode()
        identify(manifest)


def identify(manifest):
    lines = "".join(f"{digest.decode()}  {name.decode()}\n" for split in ("train", "test")
                    for digest, name in zip(manifest[split]["sha256"], manifest[split]["files"]))
    manifest.attrs["dataset_id"] = fixed(hashlib.sha256(lines.encode()).hexdigest())


def relabel(shard, index, value):
    labels = shard["labels"][()]
    labels[index] = value
    put(shard, "labels", labels)


def reset(shard, name, value):
    shard.attrs[name] = value


def dataset_of(how):
    """HOW of a shard: what to do with it."""
    return {
        "label-too-large": lambda s: relabel(s, 7, 10),
        "label-negative": lambda s: relabel(s, 9, -1),
        "images-float": lambda s: put(s, "images", s["images"][()].astype(numpy.float32)),
        "images-int8": lambda s: put(s, "images", s["images"][()].astype(numpy.int8)),
        "images-flat": lambda s: put(s, "images", s["images"][()].reshape(len(s["images"]), -1)),
        "images-narrow": lambda s: put(s, "images", s["images"][:, :, :16, :].copy()),
        "images-grey": lambda s: put(s, "images", s["images"][:, :, :, :1].copy()),
        "images-fewer": lambda s: put(s, "images", s["images"][:-1]),
        "images-none": lambda s: (put(s, "images", s["images"][:0]),
                                  put(s, "labels", s["labels"][:0])),
        "labels-int64": lambda s: put(s, "labels", s["labels"][()].astype(numpy.int64)),
        "labels-square": lambda s: put(s, "labels", s["labels"][()].reshape(-1, 1)),
        "labels-fewer": lambda s: put(s, "labels", s["labels"][:-1]),
        "both-fewer": lambda s: (put(s, "images", s["images"][:-1]),
                                 put(s, "labels", s["labels"][:-1])),
        "classes-fewer": lambda s: reset(s, "classes", s.attrs["classes"][:-1]),
        "version": lambda s: reset(s, "format_version", 3),
        "version-text": lambda s: reset(s, "format_version", fixed("1")),
        "split-other": lambda s: reset(s, "split", fixed("test")),
        "first-other": lambda s: reset(s, "first_index", 0)}.get(how)


def elsewhere(shard, device):
    """The labels' values are said to lie in another file."""
    count = len(shard["labels"])
    del shard["labels"]
    shard.create_dataset("labels", shape=(count,), dtype="<i4", external=[(device, 0, h5py.h5f.UNLIMITED)])


def link(shard, target):
    del shard["images"]
    shard["images"] = target


def virtual(shard):
    shape = shard["images"].shape
    layout = h5py.VirtualLayout(shape=shape, dtype=numpy.uint8)
    layout[...] = h5py.VirtualSource("train-00000.h5", "images", shape=shape)
    del shard["images"]
    shard.create_virtual_dataset("images", layout)


def huge(shard):
    """More images than there is memory, and none of them written."""
    for name, shape, kind in (("images", (1 << 30, 32, 32, 3), "u1"), ("labels", (1 << 30,), "<i4")):
        kept = shard[name].attrs["crc32c"]
        del shard[name]
        shard.create_dataset(name, shape=shape, dtype=kind)
        shard[name].attrs["crc32c"] = kept


def unknown_filter(shard):
    images = shard["images"]
    space, creation = h5py.h5s.create_simple(images.shape), h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk(images.shape)
    creation.set_filter(32100, h5py.h5z.FLAG_OPTIONAL, ())
    del shard["images"]
    h5py.h5d.create(shard.id, b"images", h5py.h5t.STD_U8LE, space, creation)


def unsealed(how):
    """HOW of a shard whose digest stays what it was."""
    return {
        "no-images": lambda s: s.__delitem__("images"),
        "no-labels": lambda s: s.__delitem__("labels"),
        "images-group": lambda s: (s.__delitem__("images"), s.create_group("images")),
        "no-crc": lambda s: s["images"].attrs.__delitem__("crc32c"),
        "crc-short": lambda s: s["images"].attrs.__setitem__("crc32c",
                                                             numpy.zeros(0, numpy.uint32)),
        "crc-wrong": lambda s: s["labels"].attrs.__setitem__("crc32c",
                                                             numpy.ones(1, numpy.uint32)),
        "no-digest": lambda s: s.attrs.__delitem__("sha256"),
        "digest-wrong": lambda s: reset(s, "sha256", fixed("0" * 64)),
        "text-variable": lambda s: reset(s, "split", "train"),
        "link-elsewhere": lambda s: link(s, h5py.ExternalLink("/etc/passwd", "/x")),
        "link-loop": lambda s: link(s, h5py.SoftLink("/images")),
        "values-device": lambda s: elsewhere(s, "/dev/zero"),
        "values-virtual": virtual,
        "values-unwritten": huge,
        "filter-unknown": unknown_filter}.get(how)


def of_manifest(how):
    return {
        "manifest-version": lambda m: reset(m, "format_version", 99),
        "manifest-format": lambda m: reset(m, "format", fixed("another program")),
        "manifest-id": lambda m: reset(m, "dataset_id", fixed("1" * 64)),
        "manifest-shards": lambda m: reset(m["train"], "shards", 3),
        "manifest-images": lambda m: reset(m["train"], "images", 10**15),
        "manifest-height": lambda m: reset(m, "height", 64),
        "manifest-sides": lambda m: reset(m, "width", 2**40),
        "manifest-no-test": lambda m: m.__delitem__("test"),
        "manifest-names": lambda m: (m["train/files"].__setitem__(1, b"train-00007.h5"),
                                     identify(m)),
        "manifest-outside": lambda m: (m["train/files"].__setitem__(1, b"../passwd"),
                                       identify(m)),
    }[how]


def rewrite(path):
    """The same contents in HDF5's newest format."""
    with h5py.File(path, "r") as old, h5py.File(path + ".new", "w", libver="latest") as new:
        for name in old:
            old.copy(name, new)
        for name, value in old.attrs.items():
            new.attrs.create(name, value, dtype=old.attrs.get_id(name).dtype)
    os.replace(path + ".new", path)


for folder, how in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    if how == "latest":
        rewrite(f"{folder}/{SHARD}")
    elif change := dataset_of(how):
        with h5py.File(f"{folder}/{SHARD}", "r+") as opened:
            change(opened)
            seal(folder, opened)
    elif change := unsealed(how):
        with h5py.File(f"{folder}/{SHARD}", "r+") as opened:
            change(opened)
    else:
        with h5py.File(f"{folder}/manifest.h5", "r+") as opened:
            of_manifest(how)(opened)
