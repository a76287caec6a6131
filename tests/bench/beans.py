#!/usr/bin/env python3
"""A pretrained vision transformer fine-tuned on Beans by lockstep and by transformers, from one file, on the
same images in the same order: the loss of each step.

    beans.py LOCKSTEP BEANS WEIGHTS WORK [BATCH [STEPS]]

BEANS: the folder of beans.tar, train/CLASS/*.jpg. WEIGHTS: a folder of HuggingFace's with config.json and
model.safetensors (vit-small-patch14.tar). Takes transformers, PyTorch, Pillow and h5py. By hand: a step of ViT-S/14
at 224 pixels takes 36 GFLOP an image, on each side. BATCH * STEPS images (8, 4), evenly from all classes, are
packed; an epoch of them is what is trained. transformers makes the new head and writes the model, which both
begin with. Its order is lockstep's, whose permutation stands here again. AdamW, 2e-5, decay 0.05, images as
both evaluate them: the middle 224 of 256 pixels, mean and deviation 0.5. Prints a row a step, and the largest
difference: exit code 1 where that is 1% or more.
"""
import csv
import os
import shutil
import subprocess
import sys

RATE, DECAY, SEED, SIDE = 2e-5, 0.05, 1, 224


def philox(seed, purpose, high, low):
    """base/philox.h: four numbers of 32 bits."""
    mask = 0xffffffff
    top = (high & 0x00ffffffffffffff) | purpose << 56
    c = [low & mask, low >> 32, top & mask, top >> 32]
    key = [seed & mask, seed >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ key[0], b & mask, (a >> 32) ^ c[3] ^ key[1], a & mask]
        key = [(key[0] + 0x9E3779B9) & mask, (key[1] + 0xBB67AE85) & mask]
    return c


def mixed(value):
    mask = 0xffffffff
    value ^= value >> 16
    value = value * 0x85EBCA6B & mask
    value ^= value >> 13
    value = value * 0xC2B2AE35 & mask
    return value ^ value >> 16


def order(count, seed, epoch):
    """base/permutation.h: the samples of an epoch."""
    bits = 1
    while 1 << 2 * bits < count:
        bits += 1
    keys = philox(seed, 2, epoch, 0) + philox(seed, 2, epoch, 1)
    mask = (1 << bits) - 1

    def step(value):
        left, right = value >> bits, value & mask
        for key in keys:
            left, right = right, left ^ (mixed(right ^ key) & mask)
        return left << bits | right

    out = []
    for value in range(count):
        value = step(value)
        while value >= count:
            value = step(value)
        out.append(value)
    return out


def choose(beans, work, count):
    """`count` images, evenly from all classes, as a folder to pack; how many classes there are."""
    classes = sorted(os.listdir(os.path.join(beans, "train")))
    for split, wanted in (("train", count), ("test", len(classes))):
        for number, name in enumerate(classes):
            source = os.path.join(beans, "train", name)
            target = os.path.join(work, "images", split, name)
            os.makedirs(target)
            for image in sorted(os.listdir(source))[:(wanted + len(classes) - 1 - number) // len(classes)]:
                shutil.copy(os.path.join(source, image), target)
    return len(classes)


def packed(work):
    """The training images in the order of the shards, each a path and its class."""
    import h5py
    images = os.path.join(work, "images", "train")
    known, out = {}, []
    for number, name in enumerate(sorted(os.listdir(images))):
        for image in os.listdir(os.path.join(images, name)):
            path = os.path.join(images, name, image)
            with open(path, "rb") as file:
                known[file.read()] = (path, number)
    for shard in sorted(os.listdir(os.path.join(work, "data"))):
        if not shard.startswith("train-"):
            continue
        with h5py.File(os.path.join(work, "data", shard)) as file:
            offsets = file["offsets"][()]
            for first, end in zip(offsets[:-1], offsets[1:]):
                out.append(known[file["bytes"][int(first):int(end)].tobytes()])
    return out


def start(weights, work, classes):
    """What both begin with."""
    import torch
    from transformers import ViTForImageClassification
    torch.manual_seed(SEED)
    model = ViTForImageClassification.from_pretrained(weights, num_labels=classes).float()
    model.save_pretrained(os.path.join(work, "start"), safe_serialization=True)
    return model.train()


def ours(lockstep, work, batch):
    def run(*words):
        subprocess.run([lockstep, *words], check=True)
    data, results = os.path.join(work, "data"), os.path.join(work, "ours")
    run("pack", "images", os.path.join(work, "images"), data, "--encoded")
    run("train", "--data", data, "--model", "vit-s16", "--patch", "14", "--init", os.path.join(work, "start"),
        "--device", "cpu", "--mode", "single", "--epochs", "1", "--global-batch", str(batch), "--image-size",
        str(SIDE), "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5", "--optimizer", "adamw", "--learning-rate",
        str(RATE), "--weight-decay", str(DECAY), "--seed", str(SEED), "--step-log", "--results", results)
    with open(os.path.join(results, "steps.csv"), newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def theirs(model, images, batch):
    import torch
    from PIL import Image
    from torchvision.transforms import functional
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    losses = []
    places = order(len(images), SEED, 1)
    for first in range(0, len(images), batch):
        chosen = [images[place] for place in places[first:first + batch]]
        pixels = []
        for path, _ in chosen:
            image = functional.resize(Image.open(path).convert("RGB"), SIDE * 256 // 224)
            pixels.append((functional.to_tensor(functional.center_crop(image, SIDE)) - 0.5) / 0.5)
        logits = model(torch.stack(pixels)).logits
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([label for _, label in chosen]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main():
    lockstep, beans, weights, work = sys.argv[1:5]
    batch, steps = (int(word) for word in (sys.argv[5:7] + ["8", "4"][len(sys.argv) - 5:]))
    os.makedirs(work)
    model = start(weights, work, choose(beans, work, batch * steps))
    got = ours(os.path.abspath(lockstep), work, batch)
    want = theirs(model, packed(work), batch)
    worst = 0
    print("step,lockstep,transformers,apart")
    for step, (a, b) in enumerate(zip(got, want, strict=True)):
        worst = max(worst, abs(a - b) / b)
        print(f"{step + 1},{a:.6f},{b:.6f},{abs(a - b) / b:.2e}")
    print(f"at most {worst:.2e} apart")
    return worst >= 0.01


if __name__ == "__main__":
    sys.exit(main())
